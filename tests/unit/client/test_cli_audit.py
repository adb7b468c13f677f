"""``ci admin audit``, and what the rest of ``ci admin`` leaves there."""

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ci_client.exits import Exit
from ci_common.accounts import Organisation
from ci_common.audit import AuditedAction, AuditEntry, Outcome
from ci_persistence.jobs import SQLiteJobRepository
from tests.unit.client.cli_harness import Ci

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ENTRIES = (
    AuditEntry(at=NOW, action=AuditedAction.KEY_ADD, subject="key_1", actor="ada",
               address="192.0.2.1", organisation="o1"),
    AuditEntry(at=NOW, action=AuditedAction.KEY_REVOKE, subject="key_1\x1b[0m", actor="bob"),
    AuditEntry(at=NOW, action=AuditedAction.ACCESS_REFUSED, outcome=Outcome.REFUSED,
               subject="GET /jobs", address="192.0.2.9"),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with some entries, which the settings name."""
    folder = tmp_path / "server"
    folder.mkdir(mode=0o700)

    async def fill() -> None:
        repository = SQLiteJobRepository(folder / "ci_jobs.db")
        await repository.initialize()
        await repository.accounts.add_organisation(
            Organisation(id="o1", name="acme", created_at=NOW)
        )
        for entry in ENTRIES:
            await repository.audit.record(entry)
        await repository.close()

    asyncio.run(fill())
    monkeypatch.setattr("ci_persistence.check.SECOND_LOOK", 0.0)
    monkeypatch.setenv("CI_DB_PATH", str(folder / "ci_jobs.db"))
    monkeypatch.setenv("CI_RESERVE_BYTES", "0")
    monkeypatch.delenv("SUDO_USER", raising=False)
    return folder


def tamper(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "ci_jobs.db")) as connection, connection:
        connection.execute("DROP TRIGGER audit_is_not_changed")
        connection.execute("UPDATE audit SET actor = 'eve' WHERE seq = 2")


def subjects(ci: Ci, *arguments: str) -> list[str]:
    outcome = ci("admin", "audit", "--json", *arguments)
    assert outcome.code == Exit.PASSED, outcome.err
    return [json.loads(line)["subject"] for line in outcome.out.splitlines()]


def test_the_latest_come_first_with_nothing_that_a_terminal_obeys(ci: Ci, folder: Path) -> None:
    outcome = ci("admin", "audit")
    assert outcome.code == Exit.PASSED
    header, refused, revoked, added = outcome.out.splitlines()
    assert header.split() == ["WHEN", "WHO", "FROM", "ACTION", "SUBJECT", "ORG", "DETAIL"]
    assert "access.refused (refused)" in refused
    assert "192.0.2.9" in refused
    assert "bob" in revoked
    assert "\x1b" not in revoked
    assert added.split()[-1] == "acme"


def test_filters_leave_out_what_is_not_asked_for(ci: Ci, folder: Path) -> None:
    assert subjects(ci, "--actor", "ADA") == ["key_1"]
    assert subjects(ci, "--action", "access") == ["GET /jobs"]
    assert subjects(ci, "--org", "ACME") == ["key_1"]
    assert subjects(ci, "--refused") == ["GET /jobs"]
    assert subjects(ci, "-n", "1") == ["GET /jobs"]
    assert subjects(ci, "--since", "2026-01-02") == []
    assert len(subjects(ci, "--until", "2026-01-02")) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--org", "none"), "there is no organisation 'none'"),
        (("--action", "x"), "action: there is none"),
        (("--since", "x"), "since: 'x' is not a time"),
        (("--known", "1:00"), "--known is for --verify"),
        (("--verify", "--known", "1:00"), "64 hexadecimal digits"),
    ],
)
def test_what_is_asked_wrongly_is_said(ci: Ci, folder: Path, arguments, said: str) -> None:
    outcome = ci("admin", "audit", *arguments)
    assert outcome.code != Exit.PASSED
    assert said in outcome.err


def test_a_log_that_is_whole_is_shown_to_be(ci: Ci, folder: Path) -> None:
    outcome = ci("admin", "audit", "--verify")
    assert outcome.code == Exit.PASSED
    assert outcome.out.startswith("3:")
    assert "3 entries are as they were written" in outcome.err
    again = ci("admin", "audit", "--verify", "--json", "--known", outcome.out.strip())
    facts = json.loads(again.out)
    assert (facts["whole"], facts["seq"]) == (True, 3)


def test_a_change_of_it_is_found_by_verify_and_by_check(ci: Ci, folder: Path) -> None:
    assert ci("admin", "check").out == ""
    tamper(folder)
    outcome = ci("admin", "audit", "--verify")
    assert outcome.code == Exit.JOB_FAILED
    assert "entry 2 is not as it was written" in outcome.out
    checked = ci("admin", "check", "--json")
    assert checked.code == Exit.JOB_FAILED
    assert [json.loads(line)["name"] for line in checked.out.splitlines()] == ["audit_changed"]


def test_what_is_done_on_the_machine_is_there_under_the_account_that_did_it(
    ci: Ci, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, other = tmp_path / "backup", tmp_path / "other"
    assert ci("admin", "backup", str(backup)).code == Exit.PASSED
    monkeypatch.setenv("SUDO_USER", "grace")
    assert ci("admin", "restore", str(backup), "--data-dir", str(other)).code == Exit.PASSED
    shown = ci("admin", "audit", "--json", "-n", "1").out
    (entry,) = map(json.loads, shown.splitlines())
    assert (entry["action"], entry["subject"]) == ("data.backup", str(backup))
    assert entry["credential"] == "machine"
    restored = ci("admin", "audit", "--json", "--data-dir", str(other)).out.splitlines()
    newest = json.loads(restored[0])
    assert newest["action"] == "data.restore"
    assert newest["actor"] == f"{entry['actor']} (grace)"
    assert len(restored) == 4
    assert ci("admin", "audit", "--verify", "--data-dir", str(other)).code == Exit.PASSED
