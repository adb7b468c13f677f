"""``ci admin user`` and ``ci admin org`` on a data directory, as a person calls them."""

import io
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from ci_client.exits import Exit
from ci_common.api_keys import digest_of, is_whole
from ci_controller.lock import ControllerLock
from ci_persistence.schema import load_migrations, upgrade
from tests.unit.client.cli_harness import Ci, Outcome


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the settings say that the database is; there is none yet."""
    path = tmp_path / "server" / "ci_jobs.db"
    monkeypatch.setenv("CI_DB_PATH", str(path))
    monkeypatch.setenv("CI_RESERVE_BYTES", "0")
    return path


@pytest.fixture
def admin(ci: Ci, database: Path) -> Ci:
    """``ci admin`` where there are an organisation and an admin of the server."""
    assert ci("admin", "org", "create", "acme").code == Exit.PASSED
    assert ci("admin", "user", "create", "root", "--admin").code == Exit.PASSED
    return lambda *words: ci("admin", *words)


def rows(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.code == Exit.PASSED, outcome.err
    return [json.loads(line) for line in outcome.out.splitlines()]


def users(admin: Ci) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in rows(admin("user", "ls", "--json"))}


class TestTheFirstUser:
    def test_is_made_before_there_is_a_server_and_is_an_admin(self, ci: Ci, database: Path) -> None:
        outcome = ci("admin", "user", "create", "ada")
        assert outcome.code == Exit.PASSED
        assert outcome.out.startswith("http://127.0.0.1:8000/set-password?link=")
        assert "ada is a server admin now, as the first user has to be" in outcome.err
        assert database.is_file()
        assert "bob is a user now" in ci("admin", "user", "create", "bob").err

    @pytest.mark.parametrize(
        "words", [("user", "ls"), ("user", "disable", "ada"), ("org", "ls"), ("org", "adopt", "a")]
    )
    def test_other_commands_make_no_database(self, ci: Ci, database: Path, words: Any) -> None:
        outcome = ci("admin", *words)
        assert outcome.code == Exit.INFRASTRUCTURE
        assert f"there is no database at {database}" in outcome.err
        assert not database.exists()

    def test_the_data_directory_may_be_named(self, ci: Ci, database: Path, tmp_path: Path) -> None:
        folder = tmp_path / "elsewhere"
        ci("admin", "user", "create", "ada", "--data-dir", str(folder))
        assert (folder / "ci_jobs.db").is_file()
        assert not database.exists()


class TestUsers:
    def test_with_an_organisation_a_role_and_an_address(self, admin: Ci) -> None:
        words = ("--org", "ACME", "--role", "viewer", "--email", "ada@x.example", "--json")
        (made,) = rows(admin("user", "create", "ada", *words))
        assert (made["organisations"], made["email"]) == ({"acme": "viewer"}, "ada@x.example")
        assert {"link", "link_expires_at"} == made.keys() - users(admin)["ada"].keys()
        made = users(admin)["ada"]
        assert rows(admin("user", "show", "ADA", "--json")) == [made]

    def test_they_are_shown_as_a_table_and_one_by_its_facts(self, admin: Ci) -> None:
        admin("user", "create", "ada", "--org", "acme")
        header, ada, root = admin("user", "ls").out.splitlines()
        assert header.split()[:3] == ["USER", "STATE", "ORGANISATIONS"]
        assert ada.split("  ")[0] == "ada"
        assert "acme (member)" in ada
        assert "server admin" in root
        facts = admin("user", "show", "ada").out
        assert "organisations  acme (member)\n" in facts
        assert "password       none\n" in facts

    def test_one_is_renamed_disabled_enabled_and_made_an_admin(self, admin: Ci) -> None:
        admin("user", "create", "ada", "--email", "a@x.example")
        assert admin("user", "change", "ada", "--name", "ada2", "--email", "").code == Exit.PASSED
        assert users(admin)["ada2"]["email"] == ""
        assert "open nothing" in admin("user", "disable", "ada2").err
        assert users(admin)["ada2"]["disabled_at"] is not None
        assert "disabled" in admin("user", "show", "ada2").out
        admin("user", "enable", "ada2")
        assert users(admin)["ada2"]["disabled_at"] is None
        admin("user", "set-admin", "ada2")
        assert users(admin)["ada2"]["server_admin"]
        admin("user", "unset-admin", "ada2")
        assert not users(admin)["ada2"]["server_admin"]

    def test_nothing_to_change_is_wrong_usage(self, admin: Ci) -> None:
        assert admin("user", "change", "root").code == Exit.USAGE

    def test_one_is_removed_only_if_that_is_meant(self, admin: Ci) -> None:
        admin("user", "create", "ada")
        outcome = admin("user", "remove", "ada")
        assert outcome.code == Exit.USAGE
        assert "--yes" in outcome.err
        assert "ada" in users(admin)
        assert admin("user", "remove", "ada", "--yes").err == "ada is removed\n"
        assert "ada" not in users(admin)

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (("create", "a b"), "is none for a user"),
            (("create", "ROOT"), "there is a user 'ROOT' already"),
            (("create", "ada", "--role", "admin"), "say which with --org"),
            (("create", "ada", "--org", "nowhere"), "there is no organisation 'nowhere'"),
            (("create", "ada", "--email", "x"), "is not an address"),
            (("show", "nobody"), "there is no user 'nobody'"),
            (("disable", "root"), "nobody would be left who is a server admin"),
            (("unset-admin", "root"), "nobody would be left who is a server admin"),
            (("remove", "root", "--yes"), "nobody would be left who is a server admin"),
        ],
    )
    def test_what_is_refused_says_why_and_changes_nothing(
        self, admin: Ci, words: Any, told: str
    ) -> None:
        before = users(admin)
        outcome = admin("user", *words)
        assert outcome.code not in {Exit.PASSED, Exit.INTERRUPTED}
        assert told in outcome.err
        assert users(admin) == before


class TestLettingIn:
    @pytest.fixture
    def said(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        """Say something on standard input."""
        return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))

    def test_a_password_from_standard_input(
        self, admin: Ci, said: Callable[[str], None], database: Path
    ) -> None:
        said("a lighthouse eats plums\n")
        outcome = admin("user", "create", "ada", "--password-stdin")
        assert (outcome.code, outcome.out) == (Exit.PASSED, "")
        said("seven quiet tractors\n")
        assert admin("user", "password", "ada", "--password-stdin").code == Exit.PASSED
        with closing(sqlite3.connect(database)) as connection:
            (kept,) = connection.execute("SELECT password FROM users WHERE name='ada'").fetchone()
        assert PasswordHasher().verify(kept, "seven quiet tractors")
        assert users(admin)["ada"]["has_password"]

    def test_a_password_that_will_not_do_makes_no_user(
        self, admin: Ci, said: Callable[[str], None]
    ) -> None:
        said("password\n")
        outcome = admin("user", "create", "ada", "--password-stdin")
        assert (outcome.code, outcome.out) == (Exit.USAGE, "")
        assert "password: shorter" in outcome.err
        assert "ada" not in users(admin)

    def test_a_key_is_printed_once_and_known_by_its_digest(self, admin: Ci, database: Path) -> None:
        outcome = admin("user", "create", "robot", "--key")
        key = outcome.out.strip()
        assert is_whole(key)
        assert outcome.err.endswith("shown only now\n")
        assert not users(admin)["robot"]["has_password"]
        with closing(sqlite3.connect(database)) as connection:
            rows = connection.execute("SELECT sha256, scopes FROM api_keys").fetchall()
        assert rows == [(digest_of(key), "admin read submit")]
        assert key.encode() not in database.read_bytes()

    def test_a_link_goes_to_the_public_address(
        self, admin: Ci, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CI_PUBLIC_URL", "https://ci.example/")
        outcome = admin("user", "password", "root", "--link")
        assert outcome.out.startswith("https://ci.example/set-password?link=")
        (given,) = rows(admin("user", "password", "root", "--link", "--json"))
        assert given.keys() == {"name", "link", "link_expires_at"}

    @pytest.mark.parametrize(
        "words", [(), ("--link", "--password-stdin"), ("--password", "--password-stdin")]
    )
    def test_one_way_has_to_be_said(self, admin: Ci, words: Any) -> None:
        assert admin("user", "password", "root", *words).code == Exit.USAGE

    def test_where_nobody_can_be_asked_the_way_out_is_told(self, admin: Ci, monkeypatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("tulip anchor mosaic\n" * 2))
        refused = admin("user", "password", "root", "--password")
        assert refused.code == Exit.USAGE
        assert "--password-stdin" in refused.err


def test_what_is_done_on_the_machine_is_written_down(admin: Ci, database: Path) -> None:
    admin("user", "create", "ada", "--org", "acme")
    admin("user", "disable", "ada")
    admin("org", "remove-member", "acme", "ada")
    admin("user", "remove", "ada", "--yes")
    admin("user", "remove", "ada", "--yes")
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT action, subject, credential, detail FROM audit ORDER BY seq"
        found = connection.execute(query).fetchall()
    assert [each[:3] for each in found[3:]] == [
        ("user.add", "user ada", "machine"),
        ("member.set", "user ada", "machine"),
        ("user.invite", "user ada", "machine"),
        ("user.change", "user ada", "machine"),
        ("member.remove", "user ada", "machine"),
        ("user.remove", "user ada", "machine"),
    ]
    assert [each[3] for each in found[3:]] == ["", "role: member", "", "disabled: True", "", ""]


class TestOrganisations:
    def test_quotas_are_set_shown_and_given_back(self, admin: Ci) -> None:
        words = ("--max-running", "2", "--max-artifact-bytes", "1g")
        (made,) = rows(admin("org", "create", "lab", *words, "--json"))
        assert (made["max_running"], made["max_artifact_bytes"]) == (2, 2**30)
        words = ("--max-running", "default", "--max-queued", "0")
        (changed,) = rows(admin("org", "quota", "lab", *words, "--json"))
        expected = {"max_running": None, "max_queued": 0}
        assert changed == made | expected
        assert rows(admin("org", "ls", "--json"))[1] == changed
        assert "1.0 GiB" in admin("org", "ls").out

    @pytest.mark.parametrize("value", ["x", "-1", "", "1.5"])
    def test_a_quota_that_is_none_is_wrong_usage(self, admin: Ci, value: str) -> None:
        outcome = admin("org", "quota", "acme", "--max-running", value)
        assert outcome.code == Exit.USAGE
        assert "`default`" in outcome.err

    def test_members_come_change_and_go(self, admin: Ci) -> None:
        assert admin("org", "add", "acme", "root").err == "root is member of acme now\n"
        admin("org", "add", "acme", "root", "--role", "admin")
        members = rows(admin("org", "members", "acme", "--json"))
        assert members == [{"name": "root", "role": "admin", "disabled": False}]
        assert admin("org", "members", "acme").out.splitlines()[1].split() == ["root", "admin"]
        assert admin("org", "remove-member", "acme", "root").code == Exit.PASSED
        outcome = admin("org", "members", "acme")
        assert (outcome.out, outcome.code) == ("", Exit.PASSED)
        assert (
            "there is no member 'root' of acme" in admin("org", "remove-member", "acme", "root").err
        )

    def test_one_is_renamed_and_removed_only_if_that_is_meant(self, admin: Ci) -> None:
        admin("org", "create", "lab")
        assert admin("org", "rename", "lab", "Lab2").code == Exit.PASSED
        assert admin("org", "remove", "lab2").code == Exit.USAGE
        names = [each["name"] for each in rows(admin("org", "ls", "--json"))]
        assert names == ["acme", "Lab2"]
        assert admin("org", "remove", "lab2", "--yes").err == "Lab2 is removed\n"
        assert len(rows(admin("org", "ls", "--json"))) == 1

    def test_one_adopts_what_is_nobodys(self, admin: Ci) -> None:
        assert admin("org", "adopt", "acme").err == "acme has 0 jobs more\n"
        assert "there is no organisation 'x'" in admin("org", "adopt", "x").err


class TestAnOlderDatabase:
    @pytest.fixture
    def lock(self, database: Path) -> Iterator[ControllerLock]:
        """A database of the version before accounts."""
        older = [each for each in load_migrations() if each.name < "0012"]
        upgrade(database, older, busy_timeout=1.0)
        lock = ControllerLock(database.parent / "controller.lock")
        yield lock
        lock.release()

    def test_is_upgraded_while_no_server_runs(
        self, ci: Ci, database: Path, lock: ControllerLock
    ) -> None:
        assert ci("admin", "user", "create", "ada").code == Exit.PASSED
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("SELECT name FROM users").fetchall() == [("ada",)]
        assert lock.try_acquire()

    def test_is_left_alone_while_one_does(
        self, ci: Ci, database: Path, lock: ControllerLock
    ) -> None:
        assert lock.try_acquire()
        outcome = ci("admin", "user", "create", "ada")
        assert outcome.code == Exit.INFRASTRUCTURE
        assert "a server of an older version runs" in outcome.err
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (11,)
