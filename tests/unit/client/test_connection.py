"""HTTP in our own terms."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from ci_client.answer import EndedTooSoon
from ci_client.api import CIClient
from ci_client.connection import describe, is_loopback_url, open_http, unreachable
from ci_client.exchange import BrokenExchange, NotConnected
from ci_client.invocation import Invocation
from ci_client.terminal import Terminal
from ci_client.upload import Form, Submission
from ci_common import errors
from ci_common.api_keys import new_key
from ci_common.errors import (
    AuthenticationFailed,
    CIError,
    ConfigurationError,
    PermissionDenied,
    ServerRefused,
    ServerUnreachable,
)
from tests.unit.client.scripted_server import Script, answer, drop, problem


def all_errors(kind: type[CIError] = CIError) -> list[type[CIError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in all_errors(child))]


@pytest.mark.parametrize(
    "kind", [kind for kind in all_errors() if kind.__module__ == errors.__name__]
)
async def test_every_error_of_the_server_comes_out_as_its_own_class(
    script: Script, kind: type[CIError]
) -> None:
    script.will(problem(400, kind.code, "it is so"))
    async with CIClient(script.url) as client:
        with pytest.raises(CIError, match="it is so") as caught:
            await client.jobs()
    assert type(caught.value) is kind
    assert caught.value.hint == "do it better"


async def test_a_code_of_a_newer_server_is_still_told(script: Script) -> None:
    script.will(problem(500, "tea_pot", "short and stout"))
    async with CIClient(script.url) as client:
        with pytest.raises(ServerRefused, match="short and stout") as caught:
            await client.jobs()
    assert caught.value.__notes__ == ["request req-1"]


@pytest.mark.parametrize("status", [401, 403])
async def test_no_access_is_told_as_such_whoever_says_it(script: Script, status: int) -> None:
    script.will(answer(b"<html>no", status, content_type="text/html"))
    async with CIClient(script.url) as client:
        with pytest.raises(AuthenticationFailed) as caught:
            await client.jobs()
    assert "CI_API_KEY" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(b"<h1>It works</h1>", 404), "404 Not Found: <h1>It works</h1>"),
        (answer(b"", 301, Location="https://else.example/"), "301 .* to https://else.example/"),
        (answer(b"[1, 2]", 500), "500 Internal Server Error"),
        (answer(b"not json"), "makes no sense"),
        (answer({"a": 1}), "makes no sense"),
    ],
)
async def test_answers_of_something_else_are_told(
    script: Script, reply: object, expected: str
) -> None:
    script.will(reply)  # type: ignore[arg-type]
    async with CIClient(script.url) as client:
        with pytest.raises(ServerRefused, match=expected):
            await client.jobs()


async def test_a_plain_question_is_not_repeated(script: Script) -> None:
    script.will(drop)
    async with CIClient(script.url) as client:
        with pytest.raises(ServerUnreachable):
            await client.jobs()
    assert len(script.seen) == 1


async def test_the_key_is_shown_as_a_bearer_token(script: Script) -> None:
    script.will(answer([]))
    async with CIClient(script.url, "s3cret") as client:
        await client.jobs()
    async with CIClient(script.url) as client:
        await client.jobs()
    assert [seen.headers.get("authorization") for seen in script.seen] == ["Bearer s3cret", None]


async def test_a_refusal_says_whether_a_key_was_sent_and_the_next_step(script: Script) -> None:
    script.will(problem(401, "not_signed_in", "who are you"))
    for key, note in (("s3cret", "the key was refused"), (None, "no key was sent")):
        async with CIClient(script.url, key) as client:
            with pytest.raises(AuthenticationFailed, match="who are you") as caught:
                await client.jobs()
        assert caught.value.__notes__ == [note]
        assert f"ci login --server {script.url};" in str(caught.value.hint)
        assert "s3cret" not in f"{caught.value.detail}{caught.value.hint}"


async def test_who_may_not_do_it_is_told_what_the_server_says(script: Script) -> None:
    script.will(problem(403, "permission_denied", "you lack the scope"))
    async with CIClient(script.url, "s3cret") as client:
        with pytest.raises(PermissionDenied, match="you lack the scope") as caught:
            await client.jobs()
    assert caught.value.hint == "do it better"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_key_does_not_follow_to_where_an_answer_leads(script: Script, status: int) -> None:
    script.will(answer(b"", status, Location=f"{script.url}/elsewhere"))
    async with CIClient(script.url, "s3cret") as client:
        with pytest.raises(ServerRefused, match=str(status)):
            await client.jobs()
    assert [seen.path for seen in script.seen] == ["/jobs?limit=100"]


@pytest.mark.parametrize("spoilt", [lambda key: key[:-1], lambda key: key + "0"])
def test_a_mistyped_key_is_not_sent(spoilt: Callable[[str], str]) -> None:
    key = new_key()
    open_http("http://localhost", key)
    with pytest.raises(ConfigurationError, match="mistyped or cut off") as caught:
        open_http("http://localhost", spoilt(key))
    assert key[:-1] not in f"{caught.value.detail}{caught.value.hint}"


async def test_the_organisation_goes_along(script: Script) -> None:
    script.will(answer([]))
    async with CIClient(script.url, organisation="acme") as client:
        await client.jobs()
    async with CIClient(script.url) as client:
        await client.jobs()
    assert [seen.headers.get("ci-organisation") for seen in script.seen] == ["acme", None]
    assert [seen.path for seen in script.seen] == [
        "/jobs?limit=100&organisation=acme",
        "/jobs?limit=100",
    ]
    with pytest.raises(ConfigurationError, match="name of an organisation"):
        open_http("http://localhost", None, "a\nb")


async def test_that_the_key_expires_is_told_once(script: Script) -> None:
    script.will(answer([], CI_Key_Expires="2026-01-02T03:04:05.000Z"))
    told: list[str] = []
    async with CIClient(script.url, "s3cret", notify=told.append) as client:
        await client.jobs()
        await client.jobs()
    assert told == [
        "the API key expires 2026-01-02T03:04:05.000Z; replace it: ci key rotate --save"
    ]


@pytest.mark.parametrize(
    ("url", "key", "warned"),
    [
        ("http://ci.example", "s3cret", True),
        ("http://10.0.0.7:8000", "s3cret", True),
        ("https://ci.example", "s3cret", False),
        ("http://localhost:8000", "s3cret", False),
        ("http://[::1]:8000", "s3cret", False),
        ("http://ci.example", None, False),
    ],
)
def test_a_key_in_the_clear_is_warned_of_once(
    url: str, key: str | None, warned: bool, tmp_path: Path
) -> None:
    said = StringIO()
    call = Invocation(url, key, Terminal(colour=False, err=said), str(tmp_path), {})
    for _ in range(2):
        call.connect().close()
    assert said.getvalue().count("warning: the API key goes to") == int(warned)
    assert "s3cret" not in said.getvalue()


async def test_pages_are_followed_and_no_other_server_is(script: Script) -> None:
    script.will(
        answer([{"job_id": "3"}], Link='<http://elsewhere.example/jobs?cursor=7>; rel="next"'),
        answer([{"job_id": "2"}, {"job_id": "1"}]),
    )
    async with CIClient(script.url) as client:
        assert [job["job_id"] for job in await client.jobs(2)] == ["3", "2"]
    assert [seen.path for seen in script.seen] == ["/jobs?limit=2", "/jobs?cursor=7"]


async def test_a_reference_cannot_leave_its_place_in_the_path(script: Script) -> None:
    script.will(answer({"job_id": "x"}))
    async with CIClient(script.url) as client:
        await client.job("../a b?c")
    assert script.seen[0].path == "/jobs/..%2Fa%20b%3Fc"


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("localhost:8000", "http://localhost:8000"),
        (" https://ci.example/prefix/ ", "https://ci.example/prefix"),
        ("[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_addresses_as_people_write_them(given: str, base: str) -> None:
    assert open_http(given, None).base_url == base


@pytest.mark.parametrize(
    "given",
    ["ftp://x", "http://", "http://a:b:c", "", "http://x:99999", "http://a b", "http://a\nb"],
)
def test_addresses_that_are_none(given: str) -> None:
    with pytest.raises(ConfigurationError, match="not a server's address"):
        open_http(given, None)


@pytest.mark.parametrize("key", ["a b", "ä", "a\nb"])
def test_keys_that_are_none(key: str) -> None:
    with pytest.raises(ConfigurationError, match="API key"):
        open_http("http://localhost", key)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:1", True),
        ("ci.localhost", True),
        ("http://127.9.9.9", True),
        ("http://[::1]", True),
        ("http://ci.example", False),
        ("http://10.0.0.1", False),
    ],
)
def test_what_is_this_machine(url: str, expected: bool) -> None:
    assert is_loopback_url(url) is expected


async def test_loopback_is_not_asked_for_through_a_proxy(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")
    monkeypatch.setenv("NO_PROXY", "")
    script.will(answer([]))
    async with CIClient(script.url) as client:
        assert await client.jobs() == []


def test_a_large_upload_gives_the_server_time_to_look_at_it(tmp_path: Path) -> None:
    path = tmp_path / "big.zip"
    with path.open("w+b") as archive:
        assert Form(Submission(archive)).patience == 0
        archive.truncate(1_000_000_000)
        assert Form(Submission(archive)).patience == 200


def caused_by(cause: Exception, kind: type[BrokenExchange] = NotConnected) -> Exception:
    error = kind("it failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (caused_by(ConnectionRefusedError(111, "Connect call failed")), "connection refused"),
        (caused_by(socket.gaierror(-2, "Name or service not known")), "Name or service not known"),
        (caused_by(ValueError("x")), "it failed"),
        (caused_by(TimeoutError("timed out")), "no connection within 10 s"),
        (caused_by(TimeoutError("timed out"), BrokenExchange), "nothing came for too long"),
        (caused_by(EndedTooSoon(""), BrokenExchange), "it was closed from there"),
        (BrokenExchange(""), "BrokenExchange"),
    ],
)
def test_causes_in_few_words(error: Exception, expected: str) -> None:
    assert describe(error) == expected


def test_a_certificate_that_is_not_trusted_has_its_own_hint() -> None:
    error = caused_by(
        ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    )
    found = unreachable("https://ci.example", error)
    assert "self-signed" in found.detail
    assert "SSL_CERT_FILE" in str(found.hint)


async def test_a_server_that_does_not_speak_http_is_unreachable() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with CIClient(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(ServerUnreachable):
                await client.jobs()
