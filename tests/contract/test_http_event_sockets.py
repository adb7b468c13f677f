"""What happens, over a real WebSocket of a real server."""

import asyncio
import gc
import json
import socket
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ci_common.jobs import EndReason
from ci_server import event_socket, uvicorn_server
from tests.contract.http_harness import running_server
from tests.waiting import LONGEST, eventually

PATH = "/api/v1/events"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for all tests that do not mind the jobs of the others."""
    with running_server(tmp_path_factory.mktemp("sockets"), ping_interval="0.2") as running:
        yield running


@pytest.fixture
def server(tmp_path):
    with running_server(tmp_path) as running:
        yield running


class Client:
    def __init__(self, socket) -> None:
        self.socket = socket

    def say(self, **command) -> None:
        self.socket.send(json.dumps(command))

    def next(self) -> dict:
        return json.loads(self.socket.recv(timeout=LONGEST))

    def take(self, count: int) -> list[dict]:
        return [self.next() for _ in range(count)]

    def ask(self, **command) -> dict:
        self.say(**command)
        return self.next()

    def closed_with(self) -> tuple[int, str]:
        """Read to the end; return how it was closed."""
        try:
            while True:
                self.socket.recv(timeout=LONGEST)
        except ConnectionClosed as closed:
            return closed.rcvd.code, closed.rcvd.reason


@contextmanager
def client(server, **options):
    with connect(server.url.replace("http", "ws", 1) + PATH, compression=None, **options) as opened:
        yield Client(opened)


def seqs(messages) -> list[int]:
    return [message["event"]["seq"] for message in messages]


def test_the_changes_of_jobs_come_as_they_happen(shared):
    with client(shared) as ws:
        subscribed = ws.ask(id="a", subscribe="jobs")
        after = subscribed.pop("after")
        assert subscribed == {"type": "subscribed", "id": "a", "subscribe": "jobs"}
        job_id = shared.ended(b"")
        messages = ws.take(3)
    assert {(m["type"], m["id"], m["event"]["job_id"]) for m in messages} == {
        ("event", "a", job_id)
    }
    assert [m["event"]["type"] for m in messages] == ["job.queued", "job.running", "job.ended"]
    assert seqs(messages) == [after + 1, after + 2, after + 3]


def test_it_goes_on_behind_any_number(shared):
    shared.ended(b"")
    with client(shared) as ws:
        ws.ask(subscribe="jobs", after=0)
        first = ws.next()["event"]
        assert first["seq"] == 1
        ws.ask(id="b", subscribe="jobs", after=1, type=["job.running"], job_id=first["job_id"])
    with client(shared) as ws:
        ws.ask(id="b", subscribe="jobs", after=1, type="job.running,job.queued")
        assert ws.next()["event"]["seq"] == 2


def test_filters_hold(shared):
    with client(shared) as ws:
        ws.ask(id="a", subscribe="jobs", project="mine", type="job.queued")
        shared.submit()
        mine = shared.submit(data={"project": "mine"})
        assert ws.next()["event"]["job_id"] == mine


def test_a_log_comes_from_its_beginning_and_then_live(shared):
    job = shared.claim(shared.submit())
    shared.write(job, "Größe\n".encode())
    with client(shared) as ws:
        subscribed = ws.ask(id="log", subscribe="log", job_id=job.id[:20])
        assert subscribed == {
            "type": "subscribed", "id": "log", "subscribe": "log", "job_id": job.id, "offset": 0,
        }  # fmt: skip
        assert ws.next() == {"type": "status", "id": "log", "offset": 0, "status": "running"}
        assert ws.next() == {"type": "log", "id": "log", "offset": 8, "data": "Größe\n"}
        shared.write(job, b"live\n")
        assert ws.next() == {"type": "log", "id": "log", "offset": 13, "data": "live\n"}
        shared.finish(job, EndReason.FAILED, exit_code=1)
        complete = {"success": False, "exit_code": 1, "reason": "failed", "detail": None}
        assert ws.next() == {"type": "complete", "id": "log", "offset": 13} | complete
        # It is over by itself: the name is free, and the log can be had again from any byte.
        assert ws.ask(id="log", subscribe="log", job_id=job.id, offset=8)["offset"] == 8
        assert ws.next()["data"] == "live\n"
        assert ws.next()["type"] == "complete"


def test_a_queued_jobs_log_is_waited_for(shared):
    job_id = shared.submit()
    with client(shared) as ws:
        ws.ask(id=1, subscribe="log", job_id=job_id)
        assert ws.next()["status"] == "queued"
        job = shared.claim(job_id)
        shared.write(job, b"x")
        shared.finish(job)
        kinds = [ws.next()["type"]]
        while kinds[-1] != "complete":
            kinds.append(ws.next()["type"])
        assert "log" in kinds


def test_how_deep_the_queue_is_comes_at_once_and_when_it_changes(server):
    with client(server) as ws:
        assert ws.ask(id="q", subscribe="queue") == {
            "type": "subscribed", "id": "q", "subscribe": "queue",
        }  # fmt: skip
        depth = {"type": "queue.depth", "version": 1, "queued": 0, "running": 0}
        assert ws.next() == {"type": "event", "id": "q", "event": depth}
        server.claim(server.submit())
        while ws.next()["event"] != depth | {"running": 1}:
            pass


def test_many_subscriptions_share_a_connection_and_end_one_by_one(shared):
    job = shared.claim(shared.submit())
    with client(shared) as ws:
        ws.ask(id="jobs", subscribe="jobs", job_id=job.id)
        ws.ask(id="log", subscribe="log", job_id=job.id)
        assert ws.next()["type"] == "status"
        assert ws.ask(unsubscribe="jobs") == {"type": "unsubscribed", "id": "jobs"}
        shared.write(job, b"x")
        shared.finish(job)
        messages = ws.take(2)
        assert {message["id"] for message in messages} == {"log"}
        assert ws.ask(ping=[1, {"a": None}]) == {"type": "pong", "ping": [1, {"a": None}]}
        assert ws.ask(subscribe="jobs")["id"] == 1
        assert ws.ask(subscribe="jobs")["id"] == 2


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("no json", "no command"),
        ("[]", "object"),
        ("{}", "exactly one"),
        ('{"subscribe": "jobs", "ping": 1}', "exactly one"),
        ('{"subscribe": "everything"}', "everything"),
        ('{"subscribe": "jobs", "afterwards": 1}', "afterwards"),
        ('{"subscribe": "jobs", "after": -1}', "after"),
        ('{"subscribe": "jobs", "after": "1"}', "after"),
        ('{"subscribe": "jobs", "offset": 1}', "offset"),
        ('{"subscribe": "jobs", "type": "job.exploded"}', "job.exploded"),
        ('{"subscribe": "queue", "project": "x"}', "project"),
        ('{"subscribe": "log"}', "job_id"),
        ('{"subscribe": "log", "job_id": ""}', "job_id"),
        ('{"subscribe": "log", "job_id": "%s"}' % ("x" * 201), "job_id"),
        ('{"subscribe": "jobs", "id": ""}', "id"),
        ('{"subscribe": "jobs", "id": true}', "id"),
        ('{"unsubscribe": "nothing"}', "nothing"),
        ('{"ping": 1, "after": 1}', "after"),
    ],
)
def test_a_mistake_is_answered_and_changes_nothing(shared, command, word):
    with client(shared) as ws:
        ws.socket.send(command)
        answer = ws.next()
        assert answer["type"] == "error"
        problem = answer["problem"]
        assert (problem["status"], problem["code"]) == (400, "invalid_request")
        assert word in problem["detail"]
        assert problem["request_id"] == ws.socket.response.headers["x-request-id"]
        assert ws.ask(ping=1)["type"] == "pong"


def test_what_cannot_be_found_is_an_error_of_that_subscription(shared):
    ended = shared.ended(b"abc")
    with client(shared) as ws:
        answer = ws.ask(id="x", subscribe="log", job_id="f" * 36)
        assert (answer["id"], answer["problem"]["code"]) == ("x", "job_not_found")
        answer = ws.ask(id="x", subscribe="log", job_id=ended, offset=4)
        assert (answer["id"], answer["problem"]["code"]) == ("x", "range_not_satisfiable")
        ws.ask(id="x", subscribe="jobs")
        answer = ws.ask(id="x", subscribe="jobs")
        assert (answer["type"], answer["id"]) == ("error", "x")


def test_a_job_that_is_removed_ends_its_log(shared):
    job = shared.claim(shared.submit())
    with client(shared) as ws:
        ws.ask(id="x", subscribe="log", job_id=job.id)
        assert ws.next()["status"] == "running"

        async def remove():
            async with shared.parts.repository._database.transaction() as transaction:
                await transaction.execute("DELETE FROM jobs WHERE id = ?", (job.id,))

        shared.call(remove())
        answer = ws.next()
        assert (answer["type"], answer["problem"]["code"]) == ("error", "job_not_found")


def test_subscriptions_are_bounded(shared):
    with client(shared) as ws:
        for number in range(event_socket.MOST_SUBSCRIPTIONS):
            assert ws.ask(id=number, subscribe="jobs")["type"] == "subscribed"
        answer = ws.ask(id="one more", subscribe="jobs")
        assert (answer["type"], answer["id"]) == ("error", "one more")
        ws.ask(unsubscribe=0)
        assert ws.ask(id="one more", subscribe="jobs")["type"] == "subscribed"


def test_messages_are_bounded(shared):
    with client(shared) as ws:
        ws.socket.send("x" * (event_socket.LARGEST_COMMAND + 1))
        assert ws.closed_with()[0] == event_socket.TOO_LARGE
    with client(shared) as ws:
        ws.socket.send(b"bytes")
        assert ws.closed_with() == (event_socket.NOT_TEXT, "commands are text")


def test_what_is_not_kept_any_more_is_a_gap(server):
    for _ in range(5):
        server.submit()
    assert server.call(server.parts.repository.events.prune(before=None, keep=2)) == 3
    with client(server) as ws:
        ws.ask(id="a", subscribe="jobs", after=1)
        assert ws.next() == {"type": "gap", "id": "a", "after": 1, "resumed": 3}
        assert seqs(ws.take(2)) == [4, 5]


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_a_page_of_another_site_is_refused(shared, origin):
    with pytest.raises(InvalidStatus) as refused, client(shared, origin=origin):
        pass
    response = refused.value.response
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert "another site" in json.loads(response.body)["detail"]
    assert response.headers["x-request-id"]


def test_a_page_of_our_own_is_not(shared):
    with client(shared, origin=shared.url) as ws:
        assert ws.ask(ping=0) == {"type": "pong", "ping": 0}


def test_a_local_executor_listens_to_this_machine_alone(tmp_path):
    with running_server(tmp_path, executor_name="local") as server:
        with handshake(server, "ci.example") as (_, answer):
            assert answer.startswith(b"HTTP/1.1 403 ")
        with client(server) as ws:
            assert ws.ask(ping=0)["type"] == "pong"


def test_the_server_keeps_the_connection_alive_and_compresses_nothing(shared):
    with connect(shared.url.replace("http", "ws", 1) + PATH) as opened:
        assert "permessage-deflate" not in opened.response.headers.get(
            "sec-websocket-extensions", ""
        )
        frames = []
        process = opened.protocol.recv_frame
        opened.protocol.recv_frame = lambda frame: (frames.append(frame.opcode), process(frame))[1]
        eventually(lambda: 9 in frames, what="a ping")


def test_a_server_that_goes_says_so(server):
    with client(server) as ws:
        ws.ask(subscribe="jobs")
        server.stop(within=20)
        assert ws.closed_with()[0] == event_socket.GOING_DOWN


def tasks_of(server) -> list[str]:
    async def names():
        return sorted(task.get_name().partition("-")[0] for task in asyncio.all_tasks())

    return server.call(names())


def files_of(server) -> set[str]:
    """Which log files this process holds open."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith(str(server.settings.data_folder / "logs"))}


def test_nothing_is_left_of_a_connection_that_is_gone(server):
    """Neither tasks nor open files, also when it is cut in the middle of a long log."""
    log = b"x" * 40_000_000
    job_id = server.ended(log)
    gc.collect()
    resting, listeners = tasks_of(server), server.listeners()
    with client(server) as ws:
        ws.ask(id="jobs", subscribe="jobs")
        ws.ask(id="queue", subscribe="queue")
        ws.ask(id="log", subscribe="log", job_id=job_id)
        ws.next()
        eventually(lambda: files_of(server), what="the log is open")
        assert tasks_of(server).count("subscription") == 3
        ws.socket.socket.shutdown(socket.SHUT_RDWR)
    eventually(lambda: tasks_of(server) == resting, what="the tasks are gone")
    eventually(lambda: not files_of(server), what="the files are closed")
    assert server.listeners() == listeners
    assert server.parts.shutdown._callbacks == {}


@contextmanager
def handshake(server, host: str):
    """Ask for a WebSocket under that name; give the connection and the head of the answer."""
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=LONGEST) as raw:
        raw.sendall(
            f"GET {PATH} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += raw.recv(1)
        yield raw, answer


@contextmanager
def idle_client(server):
    """A client that reads nothing unless the test does."""
    with handshake(server, "127.0.0.1") as (raw, answer):
        assert answer.startswith(b"HTTP/1.1 101 ")
        yield raw


def frame(**command) -> bytes:
    """A masked text frame of less than 126 bytes, masked with nothing."""
    text = json.dumps(command).encode()
    assert len(text) < 126
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


def test_a_client_that_reads_nothing_is_dropped(server, monkeypatch):
    """And is told why, if it reads after all."""
    monkeypatch.setattr(event_socket, "UNREAD_TIMEOUT", 0.5)
    monkeypatch.setattr(event_socket, "CLOSE_TIMEOUT", 0.1)
    job_id = server.ended(b"x" * 40_000_000)
    with idle_client(server) as raw:
        raw.sendall(frame(id="log", subscribe="log", job_id=job_id))
        eventually(lambda: "subscription" in tasks_of(server), what="it is served")
        eventually(lambda: "subscription" not in tasks_of(server), what="it is dropped")
        rest = b""
        while data := raw.recv(1 << 20):
            rest = (rest + data)[-200:]
            if b"\x03\xf0nothing was read" in rest:  # 1008
                break
        else:
            raise AssertionError(rest)


def test_a_client_that_never_reads_again_is_cut_off(server, monkeypatch):
    monkeypatch.setattr(event_socket, "UNREAD_TIMEOUT", 0.5)
    monkeypatch.setattr(event_socket, "CLOSE_TIMEOUT", 0.1)
    monkeypatch.setattr(uvicorn_server, "DROP_GRACE", 0.1)
    job_id = server.ended(b"x" * 40_000_000)
    with idle_client(server) as raw:
        raw.sendall(frame(id="log", subscribe="log", job_id=job_id))
        state = server.server.server_state
        eventually(lambda: state.connections, what="it is there")
        eventually(lambda: not state.connections, what="it is gone")
        assert raw.fileno() > 0


def test_a_slow_client_gets_everything_in_the_end(server):
    """And others do not wait for it, nor does it cost memory: what it lacks stays in the file."""
    text = "".join(f"{number}\n" for number in range(1_500_000))
    job_id = server.ended(text.encode())
    with client(server, max_queue=1) as slow, client(server) as quick:
        slow.ask(id="log", subscribe="log", job_id=job_id)
        quick.ask(id="jobs", subscribe="jobs")
        server.submit()
        assert quick.next()["event"]["type"] == "job.queued"
        pieces = []
        while (message := slow.next())["type"] != "complete":
            pieces.append(message["data"])
    assert "".join(pieces) == text


def test_ten_thousand_events_are_replayed_whole_and_in_order(server):
    statement = (
        "INSERT INTO events (at, type, job_id, project, submitter, status, attempt)"
        " VALUES (1, 'job.queued', 'x', '', '', 'queued', 0)"
    )

    async def fill():
        async with server.parts.repository._database.transaction() as transaction:
            await transaction.execute_many(statement, [()] * 10_000)

    server.call(fill())
    with client(server) as ws:
        ws.ask(id="a", subscribe="jobs", after=0)
        assert seqs(ws.take(10_000)) == list(range(1, 10_001))
