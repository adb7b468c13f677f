"""`ci login`, `ci logout`, `ci whoami` and `ci key`, called in this process, on a real server."""

import io
import json
import os
import stat
import sys
from datetime import timedelta
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail
from keyring.errors import KeyringLocked, PasswordDeleteError

from ci_client.dispatch import run
from ci_common.access import Role, Scope
from ci_common.api_keys import hint_of, is_whole, new_key
from tests.contract.http_harness import passing, running_server
from tests.contract.people import People, key_id, now
from tests.unit.client.cli_harness import Outcome


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("server"), passing) as running:
        people = People(running)
        people.organisation("acme")
        people.organisation("beta")
        people.user("root", server_admin=True)
        people.user("ada", {"acme": Role.MEMBER, "beta": Role.MEMBER})
        yield running


@pytest.fixture(scope="module")
def people(server):
    return People(server)


@pytest.fixture(autouse=True)
def no_keyring():
    """Whatever this machine has: none is to be found, unless a test brings its own."""
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    for name in [name for name in os.environ if name.startswith("CI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project = tmp_path / "project"
    project.mkdir()
    (project / "test_it.py").write_text("def test_it(): pass\n")
    (project / "ci.toml").write_text("command = 'true'\n")
    monkeypatch.chdir(project)
    return tmp_path


@pytest.fixture
def credentials(home) -> Path:
    return home / "config/standby-ci/credentials"


@pytest.fixture
def ci(home, server, capfdbinary, monkeypatch):
    monkeypatch.setenv("CI_SERVER_URL", server.url)

    def call(*words: str, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = run(list(words))
        return Outcome(code, *capfdbinary.readouterr())

    return call


def secret_of(headers: dict[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def ada(people) -> str:
    return secret_of(people.key("ada"))


class TestLogin:
    def test_a_key_is_verified_kept_and_used(self, ci, ada, credentials, server):
        refused = ci("submit")
        assert refused.code == 4
        assert "no key was sent" in refused.err
        assert f"ci login --server {server.url}" in refused.err

        done = ci("login", stdin=f"{ada}\n")
        assert (done.code, done.out) == (0, ""), done.err
        assert f"signed in to {server.url} as ada; the key is kept in {credentials}" in done.err
        assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
        assert ada not in done.err

        submitted = ci("submit", "--org", "acme")
        assert submitted.code == 0, submitted.err
        assert "1 passed" in submitted.out
        assert ada not in submitted.err

        shown = ci("config", "show", "--origin")
        assert f"{hint_of(ada)}…  ({credentials})" in shown.out
        assert ada not in shown.out

    def test_its_own_address_goes_before_the_others(self, ci, ada, server, monkeypatch):
        monkeypatch.setenv("CI_SERVER_URL", "http://elsewhere.example")
        assert ci("login", "--server", server.url, stdin=ada).code == 0
        assert ci("--server", server.url, "list").code == 0
        assert "ada" in ci("whoami", "--server", server.url).out

    def test_a_refused_key_is_not_kept(self, ci, credentials):
        done = ci("login", stdin=new_key())
        assert done.code == 4
        assert "the key was refused" in done.err
        assert not credentials.exists()

    @pytest.mark.parametrize("spoil", [lambda k: k[:-1], lambda k: k[:9] + "-" + k[10:]])
    def test_a_mistyped_key_is_told_without_asking(self, ci, ada, credentials, spoil, monkeypatch):
        monkeypatch.setenv("CI_SERVER_URL", "http://nobody.invalid")
        done = ci("login", stdin=spoil(ada))
        assert done.code == 2
        assert "mistyped or cut off" in done.err
        assert ada[:-1] not in done.err
        assert "no API key of Standby CI" in ci("login", stdin="hunter2").err
        assert not credentials.exists()

    def test_a_server_without_accounts_keeps_none(self, ci, ada, credentials, home):
        with running_server(home / "other") as other:
            done = ci("login", "--server", other.url, stdin=ada)
        assert done.code == 2
        assert "has no accounts" in done.err
        assert not credentials.exists()

    def test_a_variable_that_goes_before_it_is_told(self, ci, ada, monkeypatch):
        monkeypatch.setenv("CI_API_KEY", new_key())
        assert "CI_API_KEY is set" in ci("login", stdin=ada).err
        assert ci("list").code == 4

    def test_what_others_can_read_is_not_used(self, ci, ada, credentials):
        ci("login", stdin=ada)
        credentials.chmod(0o644)
        refused = ci("list")
        assert refused.code == 2
        assert f"chmod 600 {credentials}" in refused.err


class TestOtherServers:
    def test_a_project_gets_no_key_that_is_kept_for_another(self, ci, ada, server, home):
        assert ci("login", stdin=ada).code == 0
        with running_server(home / "other") as other:
            Path("ci.toml").write_text(f'server = "{other.url}"\n')
            seen = []
            take = other.parts.authentication.actor

            async def looking(connection):
                seen.append(connection.headers.get("authorization"))
                return await take(connection)

            object.__setattr__(other.parts.authentication, "actor", looking)
            os.environ.pop("CI_SERVER_URL")
            assert ci("list").code == 0
            assert "api_key      -  (not set)" in ci("config", "show", "--origin").out
            Path("ci.toml").write_text(f'server = "{server.url}"\n')
            assert ci("list").code == 0
        assert seen == [None]


class TestOrganisation:
    def test_it_is_said_once_and_for_all(self, ci, ada, server, monkeypatch):
        monkeypatch.setenv("CI_API_KEY", ada)
        unsaid = ci("submit", "--async")
        assert unsaid.code == 2
        assert "acme, beta" in unsaid.err
        assert "--org or CI_ORGANISATION" in unsaid.err
        Path("ci.toml").write_text('organisation = "beta"\n')
        assert organisation_of(ci("submit", "--async"), server) == "org_beta"
        monkeypatch.setenv("CI_ORGANISATION", "acme")
        of_acme = ci("submit", "--async")
        assert organisation_of(of_acme, server) == "org_acme"
        assert organisation_of(ci("submit", "--async", "--org", "beta"), server) == "org_beta"
        assert ci("submit", "--async", "--org", "").code == 2
        retried = ci("retry", "--async", of_acme.out.strip())
        assert organisation_of(retried, server) == "org_acme"

    def test_lists_are_of_it(self, ci, ada, monkeypatch):
        monkeypatch.setenv("CI_API_KEY", ada)
        mine = {
            name: ci("submit", "--async", "--org", name).out.strip() for name in ("acme", "beta")
        }

        def listed(*words: str) -> set[str]:
            lines = ci("list", "--all", "--json", *words).out.splitlines()
            return {json.loads(line)["job_id"] for line in lines} & set(mine.values())

        assert listed() == set(mine.values())
        assert listed("--org", "beta") == {mine["beta"]}
        monkeypatch.setenv("CI_ORGANISATION", "acme")
        assert listed() == {mine["acme"]}
        assert listed("--org", "") == set(mine.values())
        for words in (["queue"], ["tests", "--flaky"], ["cache", "ls"], ["events", "--no-follow"]):
            assert ci(*words, "--org", "beta").code == 0
            unknown = ci(*words, "--org", "gamma")
            assert (unknown.code, "gamma" in unknown.err) == (2, True), words


def organisation_of(outcome: Outcome, server) -> str:
    assert outcome.code == 0, outcome.err
    return server.job(outcome.out.strip()).organisation


class TestWhoami:
    def test_it_tells_who_where_and_until_when(self, ci, people, monkeypatch):
        key = people.key("ada", scopes=[Scope.READ], expires_at=now() + timedelta(days=3))
        monkeypatch.setenv("CI_API_KEY", secret_of(key))
        shown = ci("whoami")
        assert shown.code == 0
        facts = dict(line.split("  ", 1) for line in shown.out.splitlines())
        assert facts["organisations"].strip() == "acme (member), beta (member)"
        assert facts["key"].strip() == f"{key_id(key['Authorization'])} (test)"
        assert "the API key expires" in shown.err
        assert shown.err.count("expires") == 1
        assert json.loads(ci("whoami", "--json").out)["user"] == "ada"

    def test_without_a_key_it_exits_with_4(self, ci):
        assert ci("whoami").code == 4

    def test_the_doctor_says_whether_the_key_works(self, ci, people, monkeypatch):
        monkeypatch.setattr("ci_client.commands.doctor._machine_checks", list)
        key = people.key("ada", expires_at=now() + timedelta(days=3, hours=1))
        monkeypatch.setenv("CI_API_KEY", secret_of(key))
        well = ci("doctor").out
        assert "✓ access: with the key from CI_API_KEY, as ada; it expires 20" in well
        assert "in 3 days; replace it: ci key rotate --save" in well
        monkeypatch.setenv("CI_API_KEY", new_key())
        assert "✗ access: " in ci("doctor").out


class TestKeys:
    def test_made_listed_and_revoked(self, ci, ada, monkeypatch):
        monkeypatch.setenv("CI_API_KEY", ada)
        made = ci("key", "create", "--name", "bot", "--scope", "read", "--org", "acme",
                  "--expires", "90d")  # fmt: skip
        assert made.code == 0, made.err
        secret = made.out.strip()
        assert is_whole(secret)
        assert "(bot) of ada: read in acme; expires 20" in made.err
        row = next(line for line in ci("key", "ls").out.splitlines() if " bot " in line)
        assert row.split()[2:6] == [hint_of(secret), "active", "read", "acme"]
        monkeypatch.setenv("CI_API_KEY", secret)
        assert ci("list").code == 0
        denied = ci("key", "ls")
        assert denied.code == 4
        assert "`admin`" in denied.err
        monkeypatch.setenv("CI_API_KEY", ada)
        assert ci("key", "revoke", row.split()[0]).code == 0
        monkeypatch.setenv("CI_API_KEY", secret)
        assert ci("list").code == 4
        monkeypatch.setenv("CI_API_KEY", ada)
        assert " bot " not in ci("key", "ls").out
        ended = map(json.loads, ci("key", "ls", "--all", "--json").out.splitlines())
        assert [each["state"] for each in ended if each["id"] == row.split()[0]] == ["revoked"]
        assert ci("key", "revoke", "key_none").code == 2

    def test_a_server_admin_makes_them_for_others(self, ci, people, monkeypatch):
        monkeypatch.setenv("CI_API_KEY", secret_of(people.key("root")))
        made = json.loads(ci("key", "create", "--name", "x", "--user", "ada", "--json").out)
        assert made["user"] == "ada"
        assert made["id"] in ci("key", "ls", "--user", "ada").out
        assert made["id"] not in ci("key", "ls").out

    @pytest.mark.parametrize(
        "words",
        [
            ["create"],
            ["create", "--name", "x", "--scope", "write"],
            ["create", "--name", "x", "--expires", "soon"],
            ["create", "--name", "x", "--expires", "0"],
            ["rotate", "--overlap", "90d"],
            ["rotate", "--overlap", "-1"],
            ["rotate", "key_1", "--save"],
            ["rotate", "--save"],
        ],
    )
    def test_what_is_wrong_is_told_before_anything_happens(self, ci, ada, words, monkeypatch):
        monkeypatch.setenv("CI_API_KEY", ada)
        monkeypatch.setenv("CI_SERVER_URL", "http://nobody.invalid")
        assert ci("key", *words).code == 2


class TestRotating:
    def test_the_kept_key_is_replaced_and_the_old_one_stays_good(self, ci, ada, credentials):
        ci("login", stdin=ada)
        done = ci("key", "rotate", "--save")
        assert (done.code, done.out) == (0, ""), done.err
        assert f"the new key is kept in {credentials}" in done.err
        new = credentials.read_text().split()[-1]
        assert new != ada
        assert is_whole(new)
        assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
        assert ci("list").code == 0
        assert ci("--api-key", "-", "list", stdin=ada).code == 0
        assert ci("key", "rotate", "--save", "--overlap", "0").code == 0
        assert ci("--api-key", "-", "list", stdin=new).code == 4
        assert ci("list").code == 0

    def test_what_is_kept_gives_way_to_no_other_key(
        self, ci, ada, people, credentials, monkeypatch
    ):
        ci("login", stdin=ada)
        monkeypatch.setenv("CI_API_KEY", secret_of(people.key("ada")))
        refused = ci("key", "rotate", "--save")
        assert (refused.code, "comes from: CI_API_KEY" in refused.err) == (2, True)
        assert credentials.read_text().split()[-1] == ada

    def test_one_that_cannot_be_kept_is_shown_after_all(self, ci, ada, credentials, monkeypatch):
        ci("login", stdin=ada)

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("ci_client.credentials._replace", full)
        done = ci("key", "rotate", "--save")
        assert done.code == 2
        assert is_whole(done.out.strip())
        assert "No space left" in done.err
        assert credentials.read_text().split()[-1] == ada

    def test_another_key_is_given_by_its_id(self, ci, ada, people, monkeypatch):
        monkeypatch.setenv("CI_API_KEY", ada)
        other = key_id(people.key("ada", scopes=[Scope.READ])["Authorization"])
        new = ci("key", "rotate", other)
        assert is_whole(new.out.strip())
        again = ci("key", "rotate", other)
        assert again.code == 2
        assert "was replaced by" in again.err


class TestLogout:
    def test_the_key_is_forgotten_and_stays_good(self, ci, ada):
        ci("login", stdin=ada)
        assert "is forgotten" in ci("logout").err
        assert ci("list").code == 4
        assert ci("--api-key", "-", "list", stdin=ada).code == 0
        again = ci("logout")
        assert (again.code, "no key was kept" in again.err) == (0, True)

    def test_or_it_is_revoked_whatever_it_could_do(self, ci, people, credentials):
        weak = secret_of(people.key("ada", scopes=[Scope.READ]))
        ci("login", stdin=weak)
        done = ci("logout", "--revoke")
        assert done.code == 0
        assert "is revoked" in done.err
        assert ci("--api-key", "-", "list", stdin=weak).code == 4
        assert weak not in credentials.read_text()

    def test_one_that_is_not_good_any_more_is_forgotten_all_the_same(self, ci, people, server):
        key = people.key("ada")
        ci("login", stdin=secret_of(key))
        server.call(server.parts.api_keys.revoke(key_id(key["Authorization"])))
        assert ci("list").code == 4
        done = ci("logout", "--revoke")
        assert done.code == 0
        assert "not good any more" in done.err
        assert "is forgotten" in done.err


class MemoryKeyring(KeyringBackend):
    """A keyring that can be locked."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def _check(self) -> None:
        if self.locked:
            raise KeyringLocked("it is locked")

    def get_password(self, service, username):
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self._check()
        self.kept[service, username] = password

    def delete_password(self, service, username):
        self._check()
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError


class TestKeyring:
    @pytest.fixture
    def ring(self):
        ring = MemoryKeyring()
        keyring.set_keyring(ring)
        return ring

    def test_the_key_is_kept_there_and_no_file_has_it(self, ci, ada, ring, credentials, server):
        done = ci("login", stdin=ada)
        assert "the key is kept in the keyring" in done.err
        assert ring.kept == {("standby-ci", server.url): ada}
        assert ada not in credentials.read_text()
        assert ci("list").code == 0
        assert "(the keyring)" in ci("config", "show", "--origin").out
        assert ci("key", "rotate", "--save").code == 0
        (new,) = ring.kept.values()
        assert new != ada
        assert new not in credentials.read_text()
        assert ci("logout").code == 0
        assert ring.kept == {}

    def test_unless_it_is_not_to_be(self, ci, ada, ring, credentials):
        ci("login", stdin=ada)
        done = ci("login", "--no-keyring", stdin=ada)
        assert str(credentials) in done.err
        assert ring.kept == {}
        assert ada in credentials.read_text()
        ci("key", "rotate", "--save")
        assert ring.kept == {}

    def test_or_cannot_be(self, ci, ada, ring, credentials):
        ring.locked = True
        assert str(credentials) in ci("login", stdin=ada).err
        assert ci("list").code == 0

    def test_one_that_is_locked_later_is_told_with_the_way_out(self, ci, ada, ring, server):
        ci("login", stdin=ada)
        ring.locked = True
        done = ci("list")
        assert done.code == 2
        assert "it is locked" in done.err
        assert f"ci login --server {server.url}" in done.err
        ring.locked = False
        ring.kept.clear()
        assert "not there any more" in ci("list").err
