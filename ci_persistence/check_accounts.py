"""What can be wrong with accounts, and with what belongs to organisations."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator

import msgspec

from ci_common.clock import Moment
from ci_persistence.account_rows import (
    KEY,
    ORGANISATION,
    USER,
    key_from_row,
    organisation_from_row,
    user_from_row,
)
from ci_persistence.findings import Finding, Kind
from ci_persistence.job_rows import to_microseconds

_TABLES: tuple[tuple[str, str, Callable[[sqlite3.Row], object]], ...] = (
    ("users", f"users.id, {USER}", user_from_row),
    ("organisations", ORGANISATION, organisation_from_row),
    ("api_keys", KEY, key_from_row),
)
_NO_ADMIN = (
    "SELECT EXISTS (SELECT 1 FROM users)"
    " AND NOT EXISTS (SELECT 1 FROM users WHERE server_admin AND disabled IS NULL)"
)
# Of these tables no reference holds them: a job's organisation may not go before the job does.
_MISSING = (
    "SELECT organisation, sum(jobs) AS jobs, sum(webhooks) AS webhooks FROM ("
    " SELECT organisation, count(*) AS jobs, 0 AS webhooks FROM jobs"
    " WHERE organisation <> '' GROUP BY organisation"
    " UNION ALL SELECT organisation, 0, count(*) FROM webhooks"
    " WHERE organisation <> '' GROUP BY organisation"
    ") WHERE organisation NOT IN (SELECT id FROM organisations) GROUP BY organisation"
)
_MAKE_AGAIN = "INSERT OR IGNORE INTO organisations (id, name, created) VALUES (?, ?, ?)"


def check_accounts(database: str, connection: sqlite3.Connection) -> Iterator[Finding]:
    """Yield what is wrong with users, keys and organisations. ``database``: its path."""
    for table, columns, read in _TABLES:
        for row in connection.execute(f"SELECT {columns} FROM {table}"):  # noqa: S608 -- constants
            try:
                read(row)
            except (ValueError, msgspec.MsgspecError) as error:
                what = f"its row in {table} cannot be read: {error}"
                yield Finding(Kind.ROW_UNREADABLE, row["id"], what, repairable=False)
    if connection.execute(_NO_ADMIN).fetchone()[0]:
        what = "there are users, and none of them is a server admin who is not disabled"
        yield Finding(Kind.ADMIN_MISSING, database, f"{what}: ci admin user set-admin NAME")
    for row in connection.execute(_MISSING):
        owned = f"{row['jobs']} jobs and {row['webhooks']} webhooks"
        what = f"there is no organisation with this id, and it has {owned}"
        yield Finding(Kind.ORGANISATION_MISSING, row["organisation"], what)


def make_organisation_again(connection: sqlite3.Connection, organisation: str, now: Moment) -> None:
    """Make the organisation with this id, without members, if it is not there."""
    name = f"lost-{hashlib.sha256(organisation.encode()).hexdigest()[:12]}"
    connection.execute(_MAKE_AGAIN, (organisation, name, to_microseconds(now.wall)))
