"""``ci admin key`` on a data directory: the key from which all others are made."""

import json
from pathlib import Path

import pytest

from ci_client.exits import Exit
from ci_common.api_keys import hint_of, is_whole
from tests.unit.client.cli_harness import Ci


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "server" / "ci_jobs.db"
    monkeypatch.setenv("CI_DB_PATH", str(path))
    monkeypatch.setenv("CI_RESERVE_BYTES", "0")
    return path


def test_it_can_do_all_that_its_user_may_and_is_shown_once(ci: Ci, database: Path) -> None:
    ci("admin", "user", "create", "ada")
    made = ci("admin", "key", "create", "ada", "--name", "laptop")
    assert made.code == Exit.PASSED, made.err
    key = made.out.strip()
    assert is_whole(key)
    assert "(laptop) of ada: read, submit, admin in all organisations; expires never" in made.err
    kept = b"".join(path.read_bytes() for path in database.parent.glob("ci_jobs.db*"))
    assert hint_of(key).encode() in kept
    assert key[8:].encode() not in kept


def test_it_can_be_narrower(ci: Ci, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ci("admin", "org", "create", "acme")
    ci("admin", "user", "create", "root")
    ci("admin", "user", "create", "bot", "--org", "acme")
    words = ("admin", "key", "create", "bot", "--name", "x", "--json")
    made = json.loads(ci(*words, "--scope", "submit", "--org", "acme", "--expires", "1h").out)
    assert (made["scopes"], made["organisation"]) == (["submit"], "acme")
    assert made["expires_at"] is not None
    monkeypatch.setenv("CI_MAX_KEY_AGE", "1d")
    assert json.loads(ci(*words).out)["expires_at"] is not None
    too_long = ci(*words, "--expires", "2d")
    assert (too_long.code, "1d at most" in too_long.err) == (Exit.USAGE, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody", "--name", "x"), "nobody"),
        (("ada", "--name", "x", "--org", "acme"), "acme"),
        (("ada", "--name", ""), "name"),
        (("ada", "--name", "x", "--expires", "never"), "--expires"),
    ],
)
def test_what_cannot_be_is_told(ci: Ci, database: Path, words: tuple[str, ...], said: str) -> None:
    ci("admin", "user", "create", "ada")
    refused = ci("admin", "key", "create", *words)
    assert (refused.code, refused.out) == (Exit.USAGE, "")
    assert said in refused.err
