"""`ci secret`, called in this process: a value is never an argument, and never printed."""

import io
import json
import sys

import pytest

from tests.unit.client.cli_harness import Ci
from tests.unit.client.scripted_server import Script, answer

SECRET = {
    "name": "TOKEN",
    "project": "",
    "organisation": "",
    "created_at": "2026-01-01T10:00:00.000Z",
    "updated_at": "2026-01-02T10:00:00.000Z",
}
VALUE = "open-sesame-or-else"


@pytest.fixture
def piped(monkeypatch):
    """Have something come on stdin."""

    def pipe(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return pipe


def asked(script: Script) -> list[tuple[str, str, object]]:
    return [
        (seen.method, seen.path, json.loads(seen.body) if seen.body else None)
        for seen in script.seen
    ]


def test_a_value_from_stdin_without_its_last_newline(ci: Ci, script: Script, piped) -> None:
    script.will(answer(SECRET))
    piped(f"{VALUE}\n".encode())
    outcome = ci("secret", "set", "TOKEN", "--project", "my shop")
    assert (outcome.code, outcome.out) == (0, "")
    assert "TOKEN is kept for the project my shop" in outcome.err
    assert VALUE not in outcome.err
    assert asked(script) == [("PUT", "/api/v1/secrets/TOKEN?project=my+shop", {"value": VALUE})]


def test_a_value_from_a_file_as_it_is(ci: Ci, script: Script, tmp_path) -> None:
    script.will(answer(SECRET))
    (tmp_path / "key.pem").write_bytes(b"one line\r\nanother\n")
    outcome = ci("secret", "set", "TOKEN", "--from-file", str(tmp_path / "key.pem"), "--json")
    assert json.loads(outcome.out) == SECRET
    assert asked(script)[0][2] == {"value": "one line\r\nanother\n"}


def test_a_value_that_cannot_be_masked_is_not_sent(ci: Ci, script: Script, piped) -> None:
    piped(b"hunter2\n")
    outcome = ci("secret", "set", "TOKEN")
    assert outcome.code == 2
    assert "fewer than 8 bytes" in outcome.err
    assert "masked" in outcome.err
    assert not script.seen


def test_a_file_that_is_not_there_or_no_text(ci: Ci, tmp_path) -> None:
    assert ci("secret", "set", "TOKEN", "--from-file", str(tmp_path / "no")).code == 2
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    outcome = ci("secret", "set", "TOKEN", "--from-file", str(tmp_path / "binary"))
    assert outcome.code == 2
    assert "base64" in outcome.err


def test_no_value_is_taken_as_an_argument(ci: Ci) -> None:
    assert ci("secret", "set", "TOKEN", VALUE).code == 2


def test_the_list_and_a_removal(ci: Ci, script: Script) -> None:
    script.will(
        answer([SECRET, SECRET | {"project": "shop"}]), answer([]), answer(None, status=204)
    )
    outcome = ci("secret", "ls")
    header, first, second = outcome.out.splitlines()
    assert header.split() == ["NAME", "PROJECT", "SET", "AT"]
    assert first.split()[:2] == ["TOKEN", "-"]
    assert second.split()[:2] == ["TOKEN", "shop"]
    assert "there are none" in ci("secret", "ls", "--project", "x").err
    outcome = ci("secret", "rm", "TOKEN", "--project", "shop")
    assert "TOKEN for the project shop is removed" in outcome.err
    assert asked(script)[1:] == [
        ("GET", "/api/v1/secrets?project=x", None),
        ("DELETE", "/api/v1/secrets/TOKEN?project=shop", None),
    ]
