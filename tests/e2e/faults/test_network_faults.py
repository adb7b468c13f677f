"""Readers and uploaders that stop, vanish, stall and come back; the server's memory is bounded."""

import asyncio
import contextlib
import json
import select
import socket
import struct
from pathlib import Path

import pytest

from ci_client.exits import Exit
from tests import plain_http
from tests.e2e.faults import sandbox
from tests.e2e.faults.conftest import require
from tests.e2e.faults.faulty_proxy import Fault, FaultyProxy
from tests.e2e.harness import WAIT_FOR_GO
from tests.e2e.test_faults import zip_of
from tests.waiting import eventually

MEGABYTE = 1024 * 1024

MEMORY = 144 * MEGABYTE
"""Bytes a server may use, page cache aside; it takes about 90 MB when it is idle."""


@pytest.fixture
def bounded(namespace):
    """Bound the memory of a server that is not started yet: one that takes more is killed."""
    require(sandbox.problem())
    with contextlib.ExitStack() as stack:

        def bound(server):
            limit = sandbox.memory_limit(namespace, MEMORY)
            server.prefix = tuple(stack.enter_context(limit))
            stack.callback(server.stop)
            return server

        yield bound


def request_of(path: str, *headers: str) -> bytes:
    # HTTP/1.0, so that the stream comes as it is, without chunks.
    return "\r\n".join([f"GET {path} HTTP/1.0", "Host: localhost", *headers, "", ""]).encode()


def stuck_reader(server, path: str) -> socket.socket:
    """Ask for a stream and never read it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(request_of(path))
    return connection


def test_readers_that_stop_reading(own_engine, server_on, bounded, project):
    """Fault 35: each costs a few buffers, and nobody else waits for them."""
    server = bounded(server_on()).start()
    size = 64 * MEGABYTE
    line = "x" * 63 + "\n"
    noise = f"yes {line.strip()} | dd bs=64k count={size // 65536} iflag=fullblock status=none"
    job_id = server.submit(project(f"{WAIT_FOR_GO.format(go='/tmp/go')}\n{noise}\necho end"))
    path = f"/jobs/{job_id}/stream?from_beginning=true"
    with contextlib.ExitStack() as stack:
        stuck = [stack.enter_context(stuck_reader(server, path)) for _ in range(20)]
        server.until_log(job_id, "Running tests")
        own_engine.go(job_id)
        received = sum(
            event["data"].count(line)
            for _, event in server.events(path)
            if event["type"] == "log" and "end" not in event["data"]
        )
        assert server.job(job_id)["success"] is True
        for connection in stuck:
            assert connection.recv(1) == b"H"
    assert received > 0
    log = Path(server.folder / "logs" / f"{job_id}.log").read_bytes()
    assert log.count(line.encode()) == size // len(line)


class Follower:
    """Reads a job's log over as many connections as it takes, each from the last event's id."""

    def __init__(self, port: int, job_id: str, *, patience: float) -> None:
        self._port = port
        self._job_id = job_id
        self._patience = patience
        self._last: str | None = None
        self._pieces: list[str] = []

    async def read(self) -> str:
        """Return the whole log once the job is complete."""
        complete = False
        while not complete:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                complete = await self._connect()
        return "".join(self._pieces)

    async def _connect(self) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=MEGABYTE)
        try:
            seen = [f"Last-Event-ID: {self._last}"] if self._last else []
            path = f"/jobs/{self._job_id}/stream?from_beginning=true"
            writer.write(request_of(path, *seen))
            answer = await self._until(reader, b"\r\n\r\n")
            assert b" 200 " in answer.splitlines()[0], answer
            while not self._take(await self._until(reader, b"\n\n")):
                pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return True

    async def _until(self, reader: asyncio.StreamReader, end: bytes) -> bytes:
        async with asyncio.timeout(self._patience):
            return await reader.readuntil(end)

    def _take(self, block: bytes) -> bool:
        """Take in one event, all of which has arrived; return whether it was the last one."""
        fields = dict(line.split(": ", 1) for line in block.decode().strip().split("\n"))
        if "data" not in fields:
            return False
        event = json.loads(fields["data"])
        self._last = fields["id"]
        self._pieces += [event["data"]] if event["type"] == "log" else []
        return event["type"] == "complete"


@pytest.mark.parametrize("readers", [500])
async def test_readers_that_come_back(servers, namespace, bounded, project, readers):
    """Fault 36: whatever the network does to them, they miss nothing and get nothing twice."""
    server = bounded(servers(namespace, executor="local", ping_interval="0.5")).start()
    # A line in pieces, so that events end in the middle of lines and characters.
    words = (
        "i=0; while [ $i -lt 60 ]; do i=$((i+1)); printf 'ä line %s ' $i; sleep 0.03; echo; done"
    )
    job_id = await asyncio.to_thread(server.submit, project(words))
    async with FaultyProxy(server.port, seed=36, most_bytes=6000).running() as proxy:
        followers = [Follower(proxy.port, job_id, patience=1.5) for _ in range(readers)]
        logs = await asyncio.gather(*(follower.read() for follower in followers))
        output = await asyncio.to_thread(_output_of_wait, server, job_id, proxy.port)
    text = await asyncio.to_thread(server.text, job_id)
    assert "".join(f"ä line {n} \n" for n in range(1, 61)) in text
    assert set(logs) == {text}
    assert output.decode() == text
    assert all(proxy.faults[fault] > readers / 4 for fault in Fault)


def _output_of_wait(server, job_id: str, port: int) -> bytes:
    """Return what ``ci wait`` printed; it is called again while its first question is cut off."""
    for _ in range(20):
        client = server.ci_process("wait", "--all", job_id, env=_server_at(port))
        output, _ = client.communicate(timeout=60)
        if client.returncode != Exit.UNREACHABLE or output:
            return output
    raise AssertionError("the proxy never let it through")


def _server_at(port: int) -> dict[str, str]:
    return {"CI_SERVER_URL": f"http://127.0.0.1:{port}"}


def form(size: int) -> tuple[bytes, bytes]:
    """Return the head of an upload's request and its body, whose zip has over ``size`` bytes."""
    content = zip_of(**{"ci.toml": "install = []\ncommand = 'true'\n"}) + bytes(size)
    body = b"\r\n".join(
        [
            b"--x",
            b'Content-Disposition: form-data; name="file"; filename="p.zip"',
            b"",
            content,
            b"--x--",
            b"",
        ]
    )
    head = [
        "POST /submit-async HTTP/1.1",
        "Host: localhost",
        "Content-Type: multipart/form-data; boundary=x",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(head).encode(), body


def uploads_under_way(server) -> int:
    folder = server.folder / "tmp"
    return len(list(folder.iterdir())) if folder.is_dir() else 0


@pytest.fixture
def uploader(servers, namespace):
    """A server that is patient with uploads for a second, and a way to connect to it."""
    server = servers(namespace, executor="local", upload_idle_timeout="1").start()
    with contextlib.ExitStack() as stack:

        def connect() -> socket.socket:
            made = socket.create_connection(("127.0.0.1", server.port), timeout=60)
            return stack.enter_context(made)

        yield server, connect


def test_an_upload_that_stands_still(uploader):
    """The other end is gone and nobody said so: given up after the idle time-out."""
    server, connect = uploader
    head, body = form(3 * MEGABYTE)
    connection = connect()
    connection.sendall(head + body[: 2 * MEGABYTE])
    eventually(lambda: uploads_under_way(server) == 1, what="the upload is under way")
    answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"upload_aborted" in answer + connection.recv(65536)
    assert uploads_under_way(server) == 0
    assert server.get("/jobs").json() == []


@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_uploader_that_goes_away(uploader, how):
    server, connect = uploader
    head, body = form(3 * MEGABYTE)
    connection = connect()
    connection.sendall(head + body[: 2 * MEGABYTE])
    eventually(lambda: uploads_under_way(server) == 1, what="the upload is under way")
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    eventually(lambda: uploads_under_way(server) == 0, what="the temporary file is gone")
    assert server.get("/jobs").json() == []


def test_a_slow_uploader_is_waited_for(uploader):
    """Slower in all than the idle time-out, but never still for so long."""
    server, connect = uploader
    head, body = form(0)
    connection = connect()
    connection.sendall(head)
    for start in range(0, len(body), len(body) // 4):
        assert select.select([connection], [], [], 0.4) == ([], [], []), "answered too early"
        connection.sendall(body[start : start + len(body) // 4])
    answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200")
    assert len(server.get("/jobs").json()) == 1


def test_a_crowd_of_uploads_that_stand_still(servers, namespace, bounded):
    """What has arrived waits on the disk, not in memory; others are served meanwhile."""
    server = bounded(servers(namespace, executor="local", upload_idle_timeout="5")).start()
    head, body = form(2 * MEGABYTE)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            connection.sendall(head + body[: 1000 * 1000])
        eventually(lambda: uploads_under_way(server) == 100, what="all are under way")
        other = plain_http.post(f"{server.url}/submit-async", content=body, headers=_form_headers())
        assert other.status_code == 400, "zeros behind a zip are no zip"
        assert server.answers()
    eventually(lambda: uploads_under_way(server) == 0, what="the temporary files are gone")


def _form_headers() -> dict[str, str]:
    return {"Content-Type": "multipart/form-data; boundary=x"}
