"""What the audit log holds, how it is asked, and that no change of it goes unseen."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ci_common.audit import LONGEST_TEXT, AuditedAction, AuditEntry, AuditFilter, Outcome
from ci_persistence.audit_chain import ADD, ChainBroken, Head, append, next_row, verify
from ci_persistence.connections import reading, writing
from ci_persistence.jobs import SQLiteJobRepository

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = AuditFilter()


def entry(action: AuditedAction = AuditedAction.KEY_ADD, **fields) -> AuditEntry:
    values = {"at": NOW, "actor": "Ada", "actor_id": "usr_1", "organisation": "org_1"}
    return AuditEntry(action=action, **(values | fields))


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[SQLiteJobRepository, SQLiteJobRepository]]:
    """Two processes' views of one log."""
    first, second = (SQLiteJobRepository(tmp_path / "jobs.db") for _ in range(2))
    await first.initialize()
    await second.initialize()
    yield first, second
    await second.close()
    await first.close()


@pytest.fixture
def log(both):
    return both[0].audit


@pytest.fixture
def path(both, tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


async def subjects(log, limit: int = 100, before: int | None = None, **wanted) -> list[str]:
    found = await log.entries(AuditFilter(**wanted), limit=limit, before=before)
    return [each.entry.subject for each in found]


async def test_an_entry_comes_back_as_it_was_written(log):
    written = entry(
        outcome=Outcome.REFUSED, subject="key k1", credential="key", credential_id="k0",
        address="192.0.2.1", request_id="r1", detail="scope read",
    )  # fmt: skip
    await log.record(written)
    (found,) = await log.entries(EVERYTHING, limit=10)
    assert (found.seq, found.entry, len(found.digest)) == (1, written, 32)


async def test_pages_go_from_the_newest_to_the_oldest(log):
    for number in range(5):
        await log.record(entry(subject=str(number)))
    assert await subjects(log, limit=2) == ["4", "3"]
    assert await subjects(log, limit=2, before=4) == ["2", "1"]


async def test_each_filter_leaves_out_what_does_not_agree(log):
    await log.record(entry(subject="a", at=NOW - timedelta(days=1)))
    await log.record(entry(AuditedAction.KEY_REVOKE, subject="b", actor="bob", actor_id="usr_2"))
    await log.record(entry(AuditedAction.SIGN_IN, subject="c", organisation=""))
    await log.record(entry(subject="d", organisation="org_2", outcome=Outcome.REFUSED))
    assert await subjects(log, since=NOW) == ["d", "c", "b"]
    assert await subjects(log, until=NOW) == ["a"]
    assert await subjects(log, actor="BOB") == await subjects(log, actor="usr_2") == ["b"]
    assert await subjects(log, action="key.revoke") == ["b"]
    assert await subjects(log, action="key") == ["d", "b", "a"]
    assert await subjects(log, action="ke") == []
    assert await subjects(log, outcome=Outcome.REFUSED) == ["d"]
    assert await subjects(log, within=frozenset({"org_2"})) == ["d"]
    assert await subjects(log, within=frozenset({"", "org_1"})) == ["b", "a"]
    assert await subjects(log, within=frozenset()) == []
    assert await subjects(log, actor="ada", action="key", since=NOW) == ["d"]


async def test_what_no_database_takes_is_made_storable(log):
    await log.record(entry(subject="\ud800\0", detail="x" * (LONGEST_TEXT + 1)))
    (found,) = await log.entries(EVERYTHING, limit=10)
    assert found.entry.subject == "?\ufffd"
    assert found.entry.detail == "x" * (LONGEST_TEXT - 1) + "…"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'eve'",
        "UPDATE OR REPLACE audit SET seq = seq + 1",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE seq = 1",
        (
            "INSERT INTO audit SELECT seq + 7, at, action, outcome, subject, actor_id, actor,"
            " credential, credential_id, address, request_id, organisation, detail, sha256"
            " FROM audit"
        ),
    ],
)
async def test_the_database_itself_refuses_to_change_an_entry(log, path, statement):
    await log.record(entry())
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)


async def test_writers_of_any_number_of_processes_make_one_chain(both, path):
    first, second = (each.audit for each in both)
    await asyncio.gather(*(each.record(entry()) for each in (first, second) * 20))
    with writing(path) as connection:
        append(connection, entry(AuditedAction.BACKUP))
    with reading(path) as connection:
        head = verify(connection)
    (latest,) = await first.entries(EVERYTHING, limit=1)
    assert head == Head(41, latest.digest)


async def test_an_empty_log_is_whole(log, path):
    with reading(path) as connection:
        assert verify(connection) == Head()


TAMPERING = {
    "changed": ("UPDATE audit SET actor = 'eve' WHERE seq = 2", 2),
    "other case": ("UPDATE audit SET actor = 'ADA' WHERE seq = 3", 3),
    "other digest": ("UPDATE audit SET sha256 = zeroblob(32) WHERE seq = 1", 1),
    "left out": ("DELETE FROM audit WHERE seq = 2", 2),
    "first gone": ("DELETE FROM audit WHERE seq = 1", 1),
    "closed up": (
        "DELETE FROM audit WHERE seq = 2; UPDATE audit SET seq = seq - 1 WHERE seq > 2",
        2,
    ),
}


@pytest.mark.parametrize("how", TAMPERING)
async def test_tampering_shows_where_it_begins(log, path, how):
    for number in range(4):
        await log.record(entry(subject=str(number)))
    script, seq = TAMPERING[how]
    tamper(path, script)
    with reading(path) as connection, pytest.raises(ChainBroken) as broken:
        verify(connection)
    assert broken.value.seq == seq


async def test_an_entry_with_a_digest_of_its_own_does_not_fit_those_behind_it(log, path):
    for number in range(4):
        await log.record(entry(subject=str(number)))
    found = await log.entries(EVERYTHING, limit=4)
    before = {"seq": 1, "sha256": found[-1].digest}
    forged = next_row(before, entry(subject="forged"))
    tamper(path, "DELETE FROM audit WHERE seq = 2")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(ADD, forged)
    with reading(path) as connection, pytest.raises(ChainBroken) as broken:
        verify(connection)
    assert broken.value.seq == 3


async def test_an_end_that_was_cut_off_shows_to_whoever_kept_its_digest(log, path):
    for number in range(4):
        await log.record(entry(subject=str(number)))
    with reading(path) as connection:
        known = verify(connection)
    tamper(path, "DELETE FROM audit WHERE seq > 2")
    with reading(path) as connection:
        assert verify(connection).seq == 2
        with pytest.raises(ChainBroken, match="entry 4 was there once"):
            verify(connection, known)
    await log.record(entry())
    await log.record(entry())
    with reading(path) as connection, pytest.raises(ChainBroken, match="another one") as broken:
        verify(connection, known)
    assert broken.value.seq == 4


async def test_what_was_the_latest_once_is_still_there(log, path):
    await log.record(entry())
    with reading(path) as connection:
        known = verify(connection)
    await log.record(replace(entry(), subject="later"))
    with reading(path) as connection:
        assert verify(connection, known).seq == 2


def tamper(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for name in ("is_not_changed", "is_not_deleted", "only_grows"):
            connection.execute(f"DROP TRIGGER audit_{name}")
        connection.executescript(script)
