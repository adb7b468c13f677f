"""The schema: how a database gets from nothing, or from an older version, to the present one."""

import re
import sqlite3
from contextlib import ExitStack, closing

import pytest

from ci_common.errors import DatabaseUnusable
from ci_common.jobs import JobStatus
from ci_persistence.schema import APPLICATION_ID, Header, Migration, load_migrations, upgrade
from tests.unit.persistence.processes import start_python

ONE = Migration(1, "0001_one.sql", "CREATE TABLE one (a TEXT); -- no more\n")
TWO = Migration(
    2,
    "0002_two.sql",
    "CREATE TABLE two (a TEXT);\nCREATE TRIGGER copy AFTER INSERT ON one BEGIN\n"
    "  INSERT INTO two VALUES (new.a);\nEND;\nINSERT INTO one VALUES ('a;\n-- b');",
)
BROKEN = Migration(
    2, "0002_broken.sql", "CREATE TABLE two (a TEXT);\nINSERT INTO nowhere SELECT 1;"
)

INITIALIZE = """
import asyncio, sys
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.repository import new_job

async def main():
    repository = SQLiteJobRepository(sys.argv[1], busy_timeout=60)
    print("ready", flush=True)
    sys.stdin.readline()
    await repository.initialize()
    job, _ = await repository.add(new_job())
    print(job.id, flush=True)
    sys.stdin.readline()
    await repository.close()

asyncio.run(main())
"""


def query(path, sql):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def header(path) -> Header:
    with closing(sqlite3.connect(path)) as connection:
        return Header.of(connection)


def test_a_new_database_says_whose_it_is_and_what_made_it(path):
    upgrade(path, [ONE, TWO], busy_timeout=1)
    assert header(path) == Header(APPLICATION_ID, 2)
    applied = query(path, "SELECT version, name, sha256 FROM schema_migrations")
    assert applied == [(1, ONE.name, ONE.sha256), (2, TWO.name, TWO.sha256)]
    ((at,),) = query(path, "SELECT applied_at FROM schema_migrations WHERE version = 2")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", at)


def test_an_older_database_is_brought_forward_with_its_rows(path):
    upgrade(path, [ONE], busy_timeout=1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO one VALUES ('old')")
    upgrade(path, [ONE, TWO], busy_timeout=1)
    assert query(path, "SELECT a FROM one") == [("old",), ("a;\n-- b",)]
    assert query(path, "SELECT a FROM two") == [("a;\n-- b",)]


def test_upgrading_again_changes_nothing(path):
    upgrade(path, [ONE, TWO], busy_timeout=1)
    before = path.read_bytes()
    upgrade(path, [ONE, TWO], busy_timeout=1)
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_the_version_before(path):
    upgrade(path, [ONE], busy_timeout=1)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        upgrade(path, [ONE, BROKEN], busy_timeout=1)
    assert header(path).version == 1
    tables = {name for (name,) in query(path, "SELECT name FROM sqlite_master")}
    assert tables == {"one", "schema_migrations"}
    upgrade(path, [ONE, TWO], busy_timeout=1)
    assert header(path).version == 2


def test_a_database_that_another_process_brought_further_is_refused(path):
    upgrade(path, [ONE, TWO], busy_timeout=1)
    with pytest.raises(DatabaseUnusable, match="newer version"):
        upgrade(path, [ONE], busy_timeout=1)


def test_our_migrations_are_numbered_and_make_a_database(path):
    migrations = load_migrations()
    assert [m.name[:4] for m in migrations] == [f"{m.version:04}" for m in migrations]
    upgrade(path, migrations, busy_timeout=1)
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("names", [["0002_a.sql"], ["0001_a.sql", "0003_b.sql"]])
def test_a_gap_in_the_numbers_is_noticed(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(ValueError, match="gap"):
        load_migrations(tmp_path)


def test_other_files_beside_the_migrations_are_ignored(tmp_path):
    for name in ("0001_a.sql", "README.md"):
        (tmp_path / name).write_text("SELECT 1;")
    assert [m.name for m in load_migrations(tmp_path)] == ["0001_a.sql"]


def test_the_schema_knows_exactly_the_states_of_the_domain(path):
    upgrade(path, load_migrations(), busy_timeout=1)
    ((table,),) = query(path, "SELECT sql FROM sqlite_master WHERE name = 'jobs'")
    (known,) = re.findall(r"CHECK \(status IN \((.*?)\)\)", table)
    assert set(re.findall(r"'(\w+)'", known)) == {status.value for status in JobStatus}
    ended = {s.value for s in JobStatus if s.ended}
    (verdict,) = re.findall(r"reason IS NOT NULL\) = \(status IN \((.*?)\)\)", table)
    assert set(re.findall(r"'(\w+)'", verdict)) == ended


def test_the_switch_to_wal_waits_for_another_process_that_makes_it(path, monkeypatch):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        other.execute("ROLLBACK")

    monkeypatch.setattr("ci_persistence.schema.time.sleep", sleep)
    with closing(other):
        upgrade(path, [ONE], busy_timeout=60)
    assert len(waited) == 1
    assert query(path, "PRAGMA journal_mode") == [("wal",)]


def test_the_switch_to_wal_does_not_wait_for_ever(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            upgrade(path, [ONE], busy_timeout=0.05)


def test_processes_that_start_at_once_make_one_database(path):
    with ExitStack() as stack:
        children = [stack.enter_context(start_python(INITIALIZE, path)) for _ in range(4)]
        for child in children:
            assert child.stdout.readline() == "ready\n"
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        ids = {child.stdout.readline().strip() for child in children}
        for child in children:
            child.communicate("done\n", timeout=60)
    assert [child.returncode for child in children] == [0] * 4
    assert {job_id for (job_id,) in query(path, "SELECT id FROM jobs")} == ids
    assert len(ids) == 4
    versions = [m.version for m in load_migrations()]
    assert query(path, "SELECT version FROM schema_migrations") == [(v,) for v in versions]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
