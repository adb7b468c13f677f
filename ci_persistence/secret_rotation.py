"""Sealing all secrets with another key, beside a server that runs or not.

The new key is in the file before anything is sealed with it, and the old one leaves
it when nothing is any more: killed anywhere in between, everything still opens, and
doing it again comes to the end. The file is written under the database's write lock only,
so that no two who do this overlap, nor whoever seals meanwhile.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ci_common.errors import SecretsUnreadable
from ci_common.job_secrets import SecretPlace
from ci_persistence.connections import writing
from ci_persistence.job_secrets import given_to, place_of
from ci_persistence.secret_keys import SecretKey, SecretKeys

_SECRETS = "SELECT organisation, project, name, key_id, sealed FROM secrets"
_GIVEN = "SELECT job, attempt, key_id, sealed FROM given_secrets"
_RESEAL = (
    "UPDATE secrets SET key_id = :key_id, sealed = :sealed"
    " WHERE organisation = :organisation AND project = :project AND name = :name"
)
_RESEAL_GIVEN = "UPDATE given_secrets SET key_id = :key_id, sealed = :sealed WHERE job = :job"
_HAS_SECRETS = "SELECT 1 FROM sqlite_schema WHERE name = 'secrets'"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A value in the database: what it is, in words, where it opens, and by which key."""

    about: str
    place: bytes
    key_id: str
    sealed: bytes


def rotate(database: Path, keys: SecretKeys) -> int:
    """Seal everything with a new key and forget the old ones; return how many values that were.

    Blocks. Raises:
        DatabaseUnusable: there is no database, or none that we know.
        SecretsUnreadable: something cannot be opened, or the key not be written; all is
            as it was, but perhaps for a key more in the file.
        StorageBusy, DatabaseFull: not now.

    """
    with writing(database) as connection:
        if connection.execute(_HAS_SECRETS).fetchone() is None:
            return 0
        fresh = SecretKey.new()
        keys.write([*keys.read(), fresh])
        count = _reseal(connection, keys, fresh)
    # Not before that is on disk: until then the old ones open what is there.
    with writing(database) as connection:
        used = {fresh.id, *(each.key_id for each in sealed_values(connection))}
        keys.write([key for key in keys.read() if key.id in used])
    return count


def sealed_values(connection: sqlite3.Connection) -> Iterator[Sealed]:
    """Yield everything that is sealed in a database."""
    if connection.execute(_HAS_SECRETS).fetchone() is None:
        return
    for organisation, project, name, key_id, sealed in connection.execute(_SECRETS):
        place = SecretPlace(organisation=organisation, project=project, name=name)
        whose = f"{project}/{name}" if project else name
        about = f"{organisation}:{whose}" if organisation else whose
        yield Sealed(about, place_of(place), key_id, sealed)
    for job, attempt, key_id, sealed in connection.execute(_GIVEN):
        yield Sealed(f"given to job {job}", given_to(job, attempt), key_id, sealed)


def unreadable(connection: sqlite3.Connection, keys: SecretKeys) -> Iterator[tuple[str, str]]:
    """Yield what cannot be opened, with why."""
    for each in sealed_values(connection):
        try:
            keys.open(each.key_id, each.sealed, each.place)
        except SecretsUnreadable as error:
            yield each.about, error.detail


def _reseal(connection: sqlite3.Connection, keys: SecretKeys, key: SecretKey) -> int:
    count = 0
    for organisation, project, name, key_id, sealed in connection.execute(_SECRETS).fetchall():
        at = {"organisation": organisation, "project": project, "name": name}
        place = place_of(SecretPlace(**at))
        value = keys.open(key_id, sealed, place)
        values = {**at, "key_id": key.id, "sealed": key.seal(value, place)}
        connection.execute(_RESEAL, values)
        count += 1
    for job, attempt, key_id, sealed in connection.execute(_GIVEN).fetchall():
        place = given_to(job, attempt)
        value = keys.open(key_id, sealed, place)
        values = {"job": job, "key_id": key.id, "sealed": key.seal(value, place)}
        connection.execute(_RESEAL_GIVEN, values)
        count += 1
    return count
