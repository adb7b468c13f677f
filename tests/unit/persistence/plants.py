"""Faults that are planted in a data directory, one by one."""

import os
import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime

from ci_common.audit import AuditedAction, AuditEntry
from ci_persistence.findings import Kind
from tests.unit.persistence.checking import change, placed
from tests.unit.persistence.data import Data


async def zip_gone(data):
    job = await data.queued()
    data.paths.zip_at(job.zip_path).unlink()
    return job.id


async def zip_changed(data):
    job = await data.queued(b"a zip")
    data.paths.zip_at(job.zip_path).write_bytes(b"a zap")
    return job.id


async def directory_was_moved(data):
    job = await data.queued()
    former = f"/former/stash/{job.id}.zip"
    change(data, "UPDATE jobs SET zip_path = ? WHERE id = ?", former, job.id)
    return job.id


async def zip_without_a_row(data):
    return str(placed(data, f"stash/{uuid.uuid4()}.zip"))


async def zip_of_an_ended_job(data):
    job = await data.ended()
    await data.repository.release([job.id])
    return str(placed(data, f"stash/{job.id}.zip"))


async def upload_left_over(data):
    return str(placed(data, "tmp/upload-abc.zip"))


async def log_gone(data):
    job = await data.ended()
    data.paths.log_of(job.id).unlink()
    return job.id


async def log_cut(data):
    job = await data.running(b"first attempt\n")
    await data.repository.requeue(job.id, attempt=1, charged=True, detail="lost")
    await data.start(await data.job(job))
    os.truncate(data.paths.log_of(job.id), 5)
    return job.id


async def log_of_a_job_that_never_began(data):
    job = await data.queued()
    data.write(job, b"whose?\n")
    return job.id


async def log_without_a_row(data):
    return str(placed(data, f"logs/{uuid.uuid4()}.log"))


async def artifacts_gone(data):
    job = await data.ended()
    statement = (
        'INSERT INTO artifacts (job, path, size, sha256, modified, executable, "offset")'
        " VALUES (?, 'out.txt', 1, '', 0, 0, 512)"
    )
    change(data, statement, job.seq)
    return job.id


async def artifacts_without_a_row(data):
    return str(placed(data, f"artifacts/{uuid.uuid4()}.tar"))


async def recipe_unreadable(data):
    job = await data.queued()
    change(data, "UPDATE jobs SET recipe = '{' WHERE id = ?", job.id)
    return job.id


async def running_recipe_unreadable(data):
    job = await data.running()
    change(data, "UPDATE jobs SET recipe = '[]' WHERE id = ?", job.id)
    return job.id


async def ended_recipe_unreadable(data):
    job = await data.ended()
    change(data, "UPDATE jobs SET recipe = 'null' WHERE id = ?", job.id)
    return job.id


async def job_of_a_missing_organisation(data):
    job = await data.ended()
    change(data, "UPDATE jobs SET organisation = 'org_gone' WHERE id = ?", job.id)
    return "org_gone"


async def webhook_of_a_missing_organisation(data):
    statement = (
        "INSERT INTO webhooks (id, url, description, types, projects, reasons, secret, created,"
        " enabled, since, organisation) VALUES ('wh_1', '', '', '[]', '[]', '[]', '', 0, 1, 0, ?)"
    )
    change(data, statement, "no name at all!")
    return "no name at all!"


async def log_open_to_others(data):
    path = data.paths.log_of((await data.ended()).id)
    path.chmod(0o644)
    return str(path)


async def database_open_to_others(data):
    data.paths.database.chmod(0o640)
    return str(data.paths.database)


async def folder_open_to_others(data):
    data.paths.stash.chmod(0o755)
    return str(data.paths.stash)


async def reserve_gone(data):
    data.paths.reserve.unlink()
    return str(data.paths.reserve)


async def audit_entry_changed(data):
    entry = AuditEntry(at=datetime(2026, 1, 1, tzinfo=UTC), action=AuditedAction.KEY_ADD)
    await data.repository.audit.record(entry)
    with closing(sqlite3.connect(data.paths.database)) as connection, connection:
        connection.execute("DROP TRIGGER audit_is_not_changed")
        connection.execute("UPDATE audit SET actor = 'eve'")
    return str(data.paths.database)


Plant = Callable[[Data], Awaitable[str]]

MENDABLE: list[tuple[Plant, Kind]] = [
    (zip_gone, Kind.STASH_MISSING),
    (zip_changed, Kind.STASH_DAMAGED),
    (directory_was_moved, Kind.STASH_ELSEWHERE),
    (zip_without_a_row, Kind.STASH_ORPHAN),
    (zip_of_an_ended_job, Kind.STASH_ORPHAN),
    (upload_left_over, Kind.UPLOAD_ORPHAN),
    (log_gone, Kind.LOG_MISSING),
    (log_cut, Kind.LOG_SHORT),
    (log_of_a_job_that_never_began, Kind.LOG_UNEXPECTED),
    (log_without_a_row, Kind.LOG_ORPHAN),
    (artifacts_gone, Kind.ARTIFACTS_MISSING),
    (artifacts_without_a_row, Kind.ARTIFACTS_ORPHAN),
    (recipe_unreadable, Kind.ROW_UNREADABLE),
    (running_recipe_unreadable, Kind.ROW_UNREADABLE),
    (ended_recipe_unreadable, Kind.ROW_UNREADABLE),
    (job_of_a_missing_organisation, Kind.ORGANISATION_MISSING),
    (webhook_of_a_missing_organisation, Kind.ORGANISATION_MISSING),
    (log_open_to_others, Kind.PERMISSIONS),
    (database_open_to_others, Kind.PERMISSIONS),
    (folder_open_to_others, Kind.PERMISSIONS),
    (reserve_gone, Kind.RESERVE_MISSING),
]
