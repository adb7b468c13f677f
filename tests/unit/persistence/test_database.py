"""The connections: what they promise about locks, cancellation and errors."""

import asyncio
import sqlite3
import threading
from contextlib import closing

import pytest

from ci_common.errors import DatabaseFull, DatabaseUnusable, StorageBusy
from ci_persistence.database import Database, _to_the_end
from tests.fakes.repository import new_job

INSERT = "INSERT INTO schema_migrations VALUES (?, 'test', '', '')"
COUNT = "SELECT count(*) FROM schema_migrations WHERE name = 'test'"


@pytest.fixture
async def database(path):
    database = Database(path, busy_timeout=30)
    await database.open()
    yield database
    await database.close()


def outside(path) -> sqlite3.Connection:
    """Another program that has the file open, and does not wait for locks."""
    return sqlite3.connect(path, isolation_level=None, timeout=0)


async def rows(database) -> int:
    return (await database.fetch_all(COUNT))[0][0]


async def until_it_waits(database) -> None:
    """Let a task that was just made get as far as its ``BEGIN``."""
    await asyncio.sleep(0)
    assert database._write_lock.locked()
    await asyncio.sleep(0)


async def assert_writable(database, path) -> None:
    """No transaction was left open: neither this process nor another is kept from writing."""
    with closing(outside(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    async with database.transaction() as transaction:
        await transaction.execute(INSERT, (1000,))
    async with database.transaction() as transaction:
        await transaction.execute("DELETE FROM schema_migrations WHERE version = 1000")


# --- settings ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),  # FULL
        ("foreign_keys", 1),
        ("busy_timeout", 30_000),
        ("mmap_size", 0),
    ],
)
async def test_every_connection_is_set_up_alike(database, pragma, value):
    for connection in (database._writer, *database._readers):
        (row,) = await connection.execute_fetchall(f"PRAGMA {pragma}")
        assert row[0] == value


async def test_a_reader_cannot_write(database):
    with pytest.raises(DatabaseUnusable):
        await database.fetch_all(INSERT, (1,))


async def test_only_the_owner_may_read_the_database(database, path):
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


async def test_a_closed_database_leaves_one_file_and_no_thread(database, path):
    await database.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    for thread in threading.enumerate():
        if "_connection_worker" in thread.name:
            thread.join(timeout=30)  # its last act was to say that it ends
            assert not thread.is_alive()


async def test_a_database_that_is_not_open_says_so(path):
    database = Database(path)
    with pytest.raises(DatabaseUnusable, match="not open"):
        await database.fetch_all(COUNT)
    with pytest.raises(DatabaseUnusable, match="not open"):
        async with database.transaction():
            pass
    await database.close()


async def test_a_database_can_be_opened_again(database):
    await database.close()
    await database.open()
    assert await rows(database) == 0


# --- transactions --------------------------------------------------------------------------


async def test_readers_see_what_was_committed_and_nothing_else(database):
    async with database.transaction() as transaction:
        await transaction.execute(INSERT, (1000,))
        assert await rows(database) == 0
    assert await rows(database) == 1


async def test_an_error_undoes_the_whole_transaction(database, path):
    async def fail_half_way():
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, (1000,))
            raise LookupError

    with pytest.raises(LookupError):
        await fail_half_way()
    assert await rows(database) == 0
    await assert_writable(database, path)


async def test_a_statement_that_fails_undoes_the_whole_transaction(database, path):
    async def insert_one_row_twice():
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, (1000,))
            await transaction.execute(INSERT, (1000,))

    with pytest.raises(sqlite3.IntegrityError):
        await insert_one_row_twice()
    assert await rows(database) == 0
    await assert_writable(database, path)


async def test_transactions_of_many_tasks_do_not_mix(database):
    async def copy_newest(_):
        async with database.transaction() as transaction:
            row = await transaction.fetch_one("SELECT max(version) FROM schema_migrations")
            await asyncio.sleep(0)
            await transaction.execute(INSERT, (row[0] + 1,))

    await asyncio.gather(*map(copy_newest, range(20)))
    assert await rows(database) == 20


async def test_closing_waits_for_the_transaction_under_way(database, path):
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def write():
        async with database.transaction() as transaction:
            begun.set()
            await go_on.wait()
            await transaction.execute(INSERT, (1000,))

    writing = asyncio.create_task(write())
    await begun.wait()
    closing_task = asyncio.create_task(database.close())
    for _ in range(5):  # as far as it gets
        await asyncio.sleep(0)
    assert await rows(database) == 0
    go_on.set()
    await asyncio.gather(writing, closing_task)
    with closing(outside(path)) as other:
        assert other.execute(COUNT).fetchone() == (1,)


# --- cancellation --------------------------------------------------------------------------


class Gate:
    """A SQL function that holds its connection's thread until it is told to go on."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> int:
        self.entered.set()
        self.opened.wait()
        return 1

    async def wait_entered(self) -> None:
        await asyncio.to_thread(self.entered.wait)


@pytest.fixture
async def gate(database):
    gate = Gate()
    for connection in (database._writer, *database._readers):
        await connection.create_function("gate", 0, gate)
    yield gate
    gate.opened.set()


async def test_a_task_cancelled_while_its_statement_runs_leaves_no_transaction(
    database, path, gate
):
    async def write():
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, (1000,))
            await transaction.fetch_one("SELECT gate()")

    task = asyncio.create_task(write())
    await gate.wait_entered()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # an impatient caller
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()  # whoever waits for it may rely on the transaction being over
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await rows(database) == 0
    await assert_writable(database, path)


async def test_a_task_cancelled_between_statements_leaves_no_transaction(database, path):
    begun = asyncio.Event()

    async def write():
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, (1000,))
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await rows(database) == 0
    await assert_writable(database, path)


async def test_a_task_cancelled_while_it_waits_for_another_process_leaves_no_transaction(
    database, path
):
    async def write():
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, (1000,))

    with closing(outside(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(write())
        await until_it_waits(database)
        task.cancel()
        other.execute("COMMIT")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await rows(database) == 0
    await assert_writable(database, path)


async def test_a_task_cancelled_while_it_waits_for_another_task_does_not_keep_the_lock(
    database, path
):
    async def write():
        async with database.transaction():
            pytest.fail("the lock was held by another task")

    async with database.transaction():
        task = asyncio.create_task(write())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await assert_writable(database, path)


async def test_a_task_cancelled_while_it_commits_has_committed(database, path, gate):
    body_ended = asyncio.Event()

    async def write():
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, (2000,))
            # The connection's thread is kept busy, so that the commit has to wait for it.
            held.append(asyncio.create_task(transaction.fetch_one("SELECT gate()")))
            await gate.wait_entered()
            body_ended.set()

    held = []
    task = asyncio.create_task(write())
    await body_ended.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.gather(*held)
    assert await rows(database) == 1
    await assert_writable(database, path)


async def test_a_cancelled_read_does_not_disturb_the_next(database, path, gate):
    readings = [
        asyncio.create_task(database.fetch_all("SELECT gate() FROM schema_migrations"))
        for _ in database._readers
    ]
    await gate.wait_entered()
    for task in readings:
        task.cancel()
    await asyncio.gather(*readings, return_exceptions=True)
    gate.opened.set()
    assert await asyncio.gather(*[rows(database) for _ in range(10)]) == [0] * 10
    with closing(outside(path)) as other:
        # No snapshot is held: the log can be rolled in and emptied.
        busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert busy == 0


async def test_what_must_end_is_not_cut_by_a_cancellation():
    go_on, ended = asyncio.Event(), asyncio.Event()

    async def work():
        await go_on.wait()
        ended.set()

    task = asyncio.create_task(_to_the_end(work()))
    await asyncio.sleep(0)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


# --- errors --------------------------------------------------------------------------------


async def test_a_database_locked_by_another_process_is_busy(repository, path):
    with closing(outside(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy):
            await repository.add(new_job())
        assert (await repository.count()).queued == 0
    await repository.add(new_job())
    assert (await repository.count()).queued == 1


async def test_the_wait_does_not_add_up_over_the_tasks_that_wait(path):
    database = Database(path, busy_timeout=0.2)
    await database.open()

    async def write():
        async with database.transaction():
            pass

    with closing(outside(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(5):  # one after the other they would take ten
            outcomes = await asyncio.gather(*[write() for _ in range(50)], return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StorageBusy}
    await database.close()


async def test_a_short_lock_is_waited_out(database, path):
    async def write():
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, (1000,))

    with closing(outside(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(write())
        await until_it_waits(database)
        other.execute("COMMIT")
    await task
    assert await rows(database) == 1


async def test_a_full_disk_is_said_and_leaves_everything_as_it_was(repository):
    job, _ = await repository.add(new_job())
    writer = repository._database._writer
    ((pages,),) = await writer.execute_fetchall("PRAGMA page_count")
    await writer.execute_fetchall(f"PRAGMA max_page_count = {pages}")

    too_large = new_job(project="x" * 100_000)
    with pytest.raises(DatabaseFull):
        await repository.add(too_large)

    assert [found.id for found in await repository.list_recent(limit=10)] == [job.id]
    await writer.execute_fetchall("PRAGMA max_page_count = 1000000")
    await repository.add(too_large)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StorageBusy),
        (sqlite3.SQLITE_LOCKED, StorageBusy),
        (sqlite3.SQLITE_PROTOCOL, StorageBusy),
        (sqlite3.SQLITE_FULL, DatabaseFull),
        (sqlite3.SQLITE_IOERR_WRITE, DatabaseFull),
        (sqlite3.SQLITE_IOERR_FSYNC, DatabaseFull),
        (sqlite3.SQLITE_IOERR_READ, DatabaseUnusable),
        (sqlite3.SQLITE_CORRUPT_INDEX, DatabaseUnusable),
        (sqlite3.SQLITE_NOTADB, DatabaseUnusable),
        (sqlite3.SQLITE_READONLY, DatabaseUnusable),
        (sqlite3.SQLITE_CANTOPEN, DatabaseUnusable),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.DatabaseError),
    ],
)
async def test_each_error_of_sqlite_has_its_meaning(database, code, expected):
    error = sqlite3.DatabaseError("as SQLite said it")
    error.sqlite_errorcode = code

    async def fail():
        async with database.transaction():
            raise error

    with pytest.raises(expected):
        await fail()


async def test_a_file_that_cannot_be_opened_is_said(tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    with pytest.raises(DatabaseUnusable, match="cannot be used"):
        await Database(folder).open()

    (tmp_path / "a file").write_bytes(b"")
    with pytest.raises(DatabaseUnusable, match="cannot be used"):
        await Database(tmp_path / "a file" / "jobs.db").open()
