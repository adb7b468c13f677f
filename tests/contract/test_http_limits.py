"""Over HTTP: how many requests, from whom, how large, and how long they may take."""

import asyncio
import socket
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice

import pytest

from ci_common.access import Role
from ci_server.http_protocol import TOO_SLOW, Protocol
from tests import plain_http
from tests.contract.http_harness import passing, running_server
from tests.contract.people import People
from tests.waiting import eventually


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server behind a proxy at this machine's own address; each test has clients of its own."""
    with running_server(
        tmp_path_factory.mktemp("limits"), passing, trusted_proxies="127.0.0.1",
        rate_limit_reads="3", rate_limit_streams="2", rate_limit_submissions="1",
        max_request_bytes="2000", max_header_bytes="8192", keep_alive_timeout="60",
    ) as running:  # fmt: skip
        yield running


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """A server that gives nobody time. Nothing on it may be expected to succeed."""
    folder = tmp_path_factory.mktemp("hasty")
    with running_server(
        folder, request_timeout="0.1", header_timeout="0.1", ping_interval="0.1",
        keep_alive_timeout="1",
    ) as running:  # fmt: skip
        yield running


def client(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


def test_one_too_many_is_told_when_to_come_back(server):
    headers = client("192.0.2.1")
    answers = [server.get("/version", headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"reads";q=3;w=60'
    assert answers[0].headers["ratelimit"] == '"reads";r=2;t=20'
    last = answers[3]
    assert last.headers["content-type"] == "application/problem+json"
    assert last.headers["ratelimit"].startswith('"reads";r=0;t=')
    assert last.json()["code"] == "rate_limited"
    assert 1 <= int(last.headers["retry-after"]) <= 20
    assert server.get("/version", headers=client("192.0.2.2")).status_code == 200
    assert server.get("/api/v1/version", headers=headers).status_code == 429


def test_what_a_client_invents_does_not_help_it(server):
    invented = [f"10.1.1.{number}, 192.0.2.9" for number in range(4)]
    answers = [server.get("/health", headers=client(each)) for each in invented]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]


def test_submissions_and_streams_are_counted_apart(server):
    headers = client("192.0.2.3")
    first = server.post("/submit-async", headers=headers)
    assert first.status_code == 200
    assert first.headers["ratelimit"] == '"submissions";r=0;t=60'
    refused = server.post("/submit-stream", headers=headers)
    assert refused.status_code == 429
    assert refused.json()["detail"].startswith("more than 1 submissions in 60 seconds")
    path = f"/jobs/{first.json()['job_id']}/stream"
    answers = [server.get(path, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"streams";q=2;w=60'
    assert server.get("/version", headers=headers).status_code == 200


def test_this_machine_is_not_limited(server):
    answers = [server.get("/version") for _ in range(6)]
    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit" not in answers[0].headers


def test_a_large_body_is_refused_where_no_project_is_due(server):
    said = plain_http.request("DELETE", f"{server.url}/cache", content=b"x" * 3000, timeout=60)
    assert (said.status_code, said.json()["code"]) == (413, "upload_too_large")
    assert "CI_MAX_REQUEST_BYTES" in said.json()["hint"]
    # A submission has a limit of its own.
    assert server.post("/submit-async", b"PK" + bytes(3000)).json()["code"] == "invalid_archive"


def test_an_answer_that_does_not_begin_in_time_is_given_up(hasty, monkeypatch):
    async def never(*_arguments, **_options):
        await asyncio.Event().wait()

    monkeypatch.setattr(type(hasty.parts.repository), "list_jobs", never)
    head = b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with waiting_for_headers(hasty), connected(hasty) as connection:
        connection.sendall(head)
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"request_timed_out" in answer
    assert b"retry-after" in answer.lower()


def test_a_stream_may_take_longer_than_a_request(hasty):
    with waiting_for_headers(hasty):
        job = hasty.claim(hasty.submit())
        with hasty.stream(f"/jobs/{job.id}/stream?from_beginning=true") as reader:
            # One comes with each tenth of a second, which is all that a request may take.
            pings = (line for line in reader.lines if line.startswith(":"))
            assert len(list(islice(pings, 3))) == 3
            hasty.finish(job)
            assert [event["type"] for _, event in reader][-1] == "complete"


@contextmanager
def waiting_for_headers(hasty):
    hasty.server.config.http_protocol_class = partial(Protocol, 60.0)
    yield
    hasty.server.config.http_protocol_class = partial(Protocol, 0.1)


def connected(server) -> closing[socket.socket]:
    host, port = server.url.removeprefix("http://").split(":")
    return closing(socket.create_connection((host, int(port)), timeout=60))


def rest(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def test_headers_that_do_not_come_are_not_waited_for(hasty):
    with connected(hasty) as connection:
        assert rest(connection) == b""
    with connected(hasty) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        # What came too late finds the connection closed without a word.
        assert rest(connection) in (b"", TOO_SLOW)


def test_headers_that_come_by_and_by_are_not_waited_for_either(hasty):
    with connected(hasty) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        connection.settimeout(0.02)
        eventually(lambda: is_closed(connection, b"X: y\r\n"), what="closed by the server")


def is_closed(connection: socket.socket, more: bytes) -> bool:
    """Look whether the server hung up, with or without a word; if not, send more."""
    try:
        try:
            connection.recv(65536)
        except TimeoutError:
            connection.sendall(more)
            return False
    except ConnectionError:
        pass  # it did so while something of ours was on its way
    return True


def test_a_second_request_has_its_own_time(server):
    with connected(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b'{"status":"alive"}'):
            answer += connection.recv(65536)
        for each in server.server.server_state.connections:
            each._header_timeout = 0.01
        connection.sendall(b"GET /hea")
        assert rest(connection).startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_is_not_used_any_more_is_closed(hasty):
    with waiting_for_headers(hasty), connected(hasty) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert rest(connection).startswith(b"HTTP/1.1 ")


def test_headers_have_a_size(server):
    with connected(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nX-Long: " + b"x" * 8300)
        assert rest(connection).startswith(b"HTTP/1.1 400 ")


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A server with accounts, behind a proxy at this machine's own address."""
    with running_server(
        tmp_path_factory.mktemp("busy"), passing, trusted_proxies="127.0.0.1",
        rate_limit_reads="3", rate_limit_failures="2",
    ) as running:  # fmt: skip
        people = People(running)
        people.organisation("acme")
        people.user("ada", {"acme": Role.MEMBER})
        yield running


def test_a_key_is_counted_wherever_it_is_shown_and_each_for_itself(busy):
    first, second = (People(busy).key("ada") for _ in range(2))

    def ask(number: int, key: dict[str, str]) -> int:
        return busy.get("/jobs", headers=key | client(f"198.51.100.{number}")).status_code

    assert [ask(number, first) for number in range(4)] == [200, 200, 200, 429]
    assert ask(0, second) == 200
    refused = busy.get("/jobs", headers=first | client("198.51.100.0"))
    assert "with your credential" in refused.json()["detail"]


def test_who_shows_no_good_key_is_counted_by_address_and_keeps_nobody_out(busy):
    address = client("198.51.100.77")
    bad = address | {"Authorization": "Bearer sci_guess"}
    guesses = [busy.get("/jobs", headers=bad).status_code for _ in range(4)]
    assert guesses == [401, 401, 429, 429]
    assert busy.get("/version", headers=address).status_code == 429
    assert busy.get("/jobs", headers=People(busy).key("ada") | address).status_code == 200
