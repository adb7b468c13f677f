"""What ``ci admin`` does with a data directory, by the settings of its server."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ci_common.audit import AuditedAction, AuditLog
from ci_common.clock import Clock, SystemClock
from ci_common.errors import DatabaseUnusable
from ci_controller.lock import ControllerLock
from ci_persistence.backup import back_up
from ci_persistence.backup_folder import Manifest
from ci_persistence.check import Premises, check
from ci_persistence.connections import is_outdated
from ci_persistence.findings import Finding
from ci_persistence.repair import repair
from ci_persistence.restore import Restored, ended_before, restore
from ci_persistence.secret_rotation import rotate
from ci_persistence.space import Reserve
from ci_server import bootstrap
from ci_server.accounts import Record
from ci_server.audit import by_operator, write_down
from ci_server.audit_tools import note_here
from ci_server.machine_accounts import MachineAccounts
from ci_server.settings import Settings


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of a finding: ``problem`` says why it is still there, None if it is not."""

    finding: Finding
    problem: str | None


def make_backup(
    settings: Settings,
    destination: Path,
    clock: Clock | None = None,
    *,
    with_secrets_key: bool = False,
) -> Manifest:
    """Back up the server's data into the new folder ``destination``.

    Without the key of its secrets, unless that is asked for: who has both can read them.

    Raises:
        ConfigurationError: the destination cannot be made.
        DatabaseUnusable: there is no database, or it is damaged.
        StorageFull: no room there; nothing is left there.

    """
    data = bootstrap.data_directory(settings)
    keys = bootstrap.secret_keys(settings) if with_secrets_key else None
    manifest = back_up(data, destination.absolute(), clock or SystemClock(), keys)
    detail = "with the key of the secrets" if with_secrets_key else ""
    note_here(settings, AuditedAction.BACKUP, str(destination.absolute()), detail=detail)
    return manifest


def rotate_secrets_key(settings: Settings) -> int:
    """Seal all secrets with a new key; return how many values that were.

    Raises:
        DatabaseUnusable: there is no database, or none of ours that we know.
        SecretsUnreadable: one cannot be opened, or the key not be written.

    """
    data = bootstrap.data_directory(settings)
    count = rotate(data.database, bootstrap.secret_keys(settings))
    note_here(settings, AuditedAction.SECRETS_REENCRYPT)
    return count


def restore_backup(settings: Settings, source: Path, clock: Clock | None = None) -> Restored:
    """Make the server's data directory, which must be empty, what the backup holds.

    Raises:
        BackupUnusable: damaged, not whole, or of a later version.
        ConfigurationError: there is data already.
        StorageFull: no room; nothing is left there.

    """
    data = bootstrap.data_directory(settings)
    keys = bootstrap.secret_keys(settings)
    restored = restore(source.absolute(), data, clock or SystemClock(), keys)
    bootstrap.build_space(settings).keep_reserve()
    note_here(settings, AuditedAction.RESTORE, str(source.absolute()))
    return restored


def about_to_expire(settings: Settings, clock: Clock | None = None) -> int:
    """Return how many jobs a server that starts now would remove for their age."""
    if not settings.keep_jobs_for:
        return 0
    before = (clock or SystemClock()).now().earlier(settings.keep_jobs_for)
    return ended_before(bootstrap.data_directory(settings), before)


def check_data(settings: Settings, clock: Clock | None = None) -> list[Finding]:
    """Return what is wrong with the server's data. Changes nothing.

    Raises:
        DatabaseUnusable: there is no database, or none of ours that we know.

    """
    return check(_premises(settings, clock), time.sleep)


def repair_data(
    settings: Settings, findings: list[Finding], clock: Clock | None = None
) -> Iterator[Repaired]:
    """Mend what was found, one after the other; yield what became of each."""
    premises = _premises(settings, clock)
    lock = ControllerLock(premises.data.folder / "controller.lock")
    alone = lock.try_acquire()
    try:
        for finding in findings:
            problem = repair(premises, finding, alone=alone)
            if problem is None:
                note_here(settings, AuditedAction.REPAIR, finding.subject, finding.kind.value)
            yield Repaired(finding, problem)
    finally:
        lock.release()


@asynccontextmanager
async def open_accounts(
    settings: Settings, *, create: bool = False
) -> AsyncIterator[MachineAccounts]:
    """Hold the server's accounts, while the server runs or not.

    ``create``: where there is no database one is made, for a server to come.

    Raises:
        DatabaseUnusable: there is none, or none of ours that we know; or its schema is an older
            one, and a server runs on it.

    """
    data = bootstrap.data_directory(settings)
    exists = data.database.is_file()
    if not exists and not create:
        raise DatabaseUnusable(
            f"there is no database at {data.database}",
            hint="Name the server's with CI_DB_PATH, or --data-dir.",
        )
    lock = ControllerLock(data.folder / "controller.lock")
    if exists and is_outdated(data.database) and not lock.try_acquire():
        raise DatabaseUnusable(
            f"a server of an older version runs on {data.database}",
            hint="Start it again with this version first.",
        )
    repository = bootstrap.build_repository(settings)
    try:
        await repository.initialize()
        lock.release()
        yield MachineAccounts(
            repository.accounts,
            SystemClock(),
            _recording(repository.audit),
            repository.sign_in,
            settings,
        )
    finally:
        lock.release()
        await repository.close()


def _recording(log: AuditLog) -> Record:
    async def record(
        action: AuditedAction,
        subject: str = "",
        *,
        organisation: str | None = None,
        detail: str | None = None,
    ) -> None:
        entry = by_operator(action, subject, organisation=organisation, detail=detail)
        await write_down(log, entry)

    return record


def _premises(settings: Settings, clock: Clock | None) -> Premises:
    data = bootstrap.data_directory(settings)
    return Premises(
        data=data,
        clock=clock or SystemClock(),
        grace=settings.orphan_grace,
        space=bootstrap.build_space(settings),
        reserve=Reserve(data.reserve, settings.reserve_bytes),
        keys=bootstrap.secret_keys(settings),
    )
