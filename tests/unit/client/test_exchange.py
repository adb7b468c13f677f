"""Exchanges over the standard library's connections, and the events read from them."""

import io
import json
import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_client.connection import open_http
from ci_client.exchange import BrokenExchange
from ci_client.messages import messages
from ci_client.session import Session
from ci_client.upload import Form, Submission
from ci_common.errors import ConfigurationError, ServerRefused, UploadTooLarge
from tests.unit.client.scripted_server import Handler, Script, answer


@pytest.fixture
def proxied(script: Script, monkeypatch: pytest.MonkeyPatch) -> Script:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", script.url.replace("http://", "http://me:s%40cret@"))
    return script


def test_a_proxy_of_the_environment_is_asked_for_the_whole_address(proxied: Script) -> None:
    proxied.will(answer([]))
    with Session("http://ci.example/prefix", "key") as session:
        assert session.jobs() == []
    (seen,) = proxied.seen
    assert seen.path == "http://ci.example/prefix/jobs?limit=100"
    assert seen.headers["host"] == "ci.example"
    assert seen.headers["proxy-authorization"] == "Basic bWU6c0BjcmV0"
    assert seen.headers["authorization"] == "Bearer key"


def test_a_server_that_no_proxy_names_is_reached_directly(
    proxied: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "ci.invalid")
    with pytest.raises(BrokenExchange):
        open_http("http://ci.invalid", None).send("GET", "/")
    assert proxied.seen == []


def test_a_proxy_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:secret@proxy.example:1")
    with pytest.raises(ConfigurationError, match=r"socks5://proxy\.example:1 cannot be used"):
        open_http("https://ci.example", None)


def test_the_way_to_a_tls_server_through_a_proxy_is_asked_for(
    proxied: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(handler: Handler) -> None:
        asked.append(handler.path)
        handler.send_error(403)

    monkeypatch.setattr(Handler, "do_CONNECT", refuse, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxied.url)
    with pytest.raises(BrokenExchange, match="403"):
        open_http("https://ci.example", None).send("GET", "/")
    assert asked == ["ci.example:443"]


def test_a_user_in_the_address_is_shown_to_the_server_and_to_nobody_else(script: Script) -> None:
    script.will(answer([]))
    http = open_http(script.url.replace("http://", "http://me:secret@"), None)
    with http.send("GET", "/jobs") as response:
        assert json.loads(response.read()) == []
    assert script.seen[0].headers["authorization"] == "Basic bWU6c2VjcmV0"
    assert "secret" not in http.base_url + response.url


def test_a_body_that_ends_too_early_is_no_body(script: Script) -> None:
    def reply(handler: Handler) -> None:
        handler.send_response_only(200)
        handler.send_header("Content-Length", "10")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    script.will(reply)
    with open_http(script.url, None).send("GET", "/") as response, pytest.raises(BrokenExchange):
        response.read()


def test_a_server_that_refuses_an_upload_in_the_middle_is_heard() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        connections: list[socket.socket] = []

        def refuse(sent: int, _total: int) -> None:
            if connections:
                return
            connection, _ = server.accept()
            connections.append(connection)
            body = b'{"code": "upload_too_large", "detail": "too much"}'
            connection.sendall(
                b"HTTP/1.1 413 x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            connection.shutdown(socket.SHUT_RD)

        submission = Submission(io.BytesIO(bytes(600_000)), progress=refuse)
        with Session(url) as session, pytest.raises(UploadTooLarge, match="too much"):
            session.submit(submission)
        connections[0].close()


def test_a_form_is_as_long_as_it_says() -> None:
    form = Form(Submission(io.BytesIO(b"zip"), project="größe", command=("a",)))
    assert len(b"".join(form)) == form.size
    assert b"".join(form) == b"".join(form)


STREAM = (
    'id: 1\ndata: a\r\ndata:b\n\n: ping\n\nevent: x\rid: 2\rdata: "é\u2028"\r\r\ndata\n\nid: 3\n\n'
)
HELD = [("a\nb", "1"), ('"é\u2028"', "2"), ("", "2")]


@given(st.lists(st.integers(0, 80)))
def test_messages_do_not_depend_on_where_they_are_cut(cuts: list[int]) -> None:
    raw = STREAM.encode()
    ends = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    pieces = [raw[start:end] for start, end in pairwise(ends) if start < end]
    assert list(messages(pieces)) == HELD


def test_a_line_without_an_end_is_given_up() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1024 * 1024)

    with pytest.raises(ServerRefused, match="without an end"):
        list(messages(endless()))
