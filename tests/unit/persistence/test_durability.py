"""What was acknowledged is there after the worst."""

import sqlite3
from contextlib import closing

from ci_persistence.jobs import SQLiteJobRepository
from tests.unit.persistence.processes import start_python

ADD_WITHOUT_END = """
import asyncio, sys
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.repository import new_job

async def add_for_ever(repository):
    while True:
        job, _ = await repository.add(new_job())
        print(job.id, flush=True)

async def main():
    repository = SQLiteJobRepository(sys.argv[1], busy_timeout=60)
    await repository.initialize()
    await asyncio.gather(*[add_for_ever(repository) for _ in range(4)])

asyncio.run(main())
"""

STOP_WITHIN_A_TRANSACTION = """
import asyncio, sys
from ci_persistence.database import Database
from ci_persistence.jobs import SQLiteJobRepository
from pathlib import Path
from tests.fakes.repository import new_job

async def main():
    repository = SQLiteJobRepository(sys.argv[1])
    await repository.initialize()
    job, _ = await repository.add(new_job())
    async with repository._database.transaction() as transaction:
        await transaction.execute("UPDATE jobs SET project = 'never committed'")
        print(job.id, flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


def assert_sound(path):
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_killed_at_any_moment_every_acknowledged_job_is_there(path):
    with start_python(ADD_WITHOUT_END, path) as child:
        acknowledged = {child.stdout.readline().strip() for _ in range(200)}
        child.kill()
        # What it had printed before it died was acknowledged too; half a line was not.
        rest = child.stdout.read().split("\n")[:-1]
    acknowledged.update(rest)

    repository = SQLiteJobRepository(path)
    await repository.initialize()
    found = {job.id for job in await repository.get_many(acknowledged)}
    await repository.close()

    assert len(acknowledged) >= 200
    assert found == acknowledged
    assert_sound(path)


async def test_killed_within_a_transaction_nothing_of_it_is_there_and_no_lock(path):
    with start_python(STOP_WITHIN_A_TRANSACTION, path) as child:
        job_id = child.stdout.readline().strip()
        child.kill()

    repository = SQLiteJobRepository(path, busy_timeout=0.05)
    await repository.initialize()
    assert (await repository.get(job_id)).project == ""
    assert await repository.requeue(job_id, attempt=0, charged=False, detail="") is False
    await repository.close()
    assert_sound(path)


def test_a_process_that_closed_its_repository_exits_by_itself(path):
    program = STOP_WITHIN_A_TRANSACTION.replace(
        "async with", "await repository.close()\n    return\n    async with"
    )
    with start_python(program, path) as child:
        child.communicate(timeout=60)
    assert child.returncode == 0
