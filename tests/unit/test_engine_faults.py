"""A Docker engine that is not there, or not well."""

import asyncio
import json
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

import pytest

from ci_common.errors import ConfigurationError, EngineUnavailable
from ci_common.executor import ContainerSpec
from ci_controller.containers import ContainerManager
from tests.fakes.tars import pieces

DEADLINE = 30.0

SPEC = ContainerSpec(image="any", memory=1, cpus=1.0, pids=1, network="none", log_limit=1)


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


class Daemon(BaseHTTPRequestHandler):
    """A daemon that knows its version, hangs on ``stuck`` containers, and dies in mid-stream."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.endswith("/version"):
            self._answer({"Version": "1", "ApiVersion": "1.41"})
        elif "stuck" in path:
            self.server.released.wait()
        elif path.endswith("/logs"):
            self._die_in_mid_stream()
        else:
            self._answer({"State": {"Status": "running"}})

    def do_POST(self) -> None:
        self.do_GET()

    def _answer(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _die_in_mid_stream(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        data = frame(1, b"2026-01-01T00:00:00.000000000Z half\n") + b"\x01\0\0"
        self.wfile.write(b"%x\r\n%s" % (len(data) + 100, data))
        self.close_connection = True

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *args: object) -> None:
        pass


class DaemonServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str) -> None:
        self.released = threading.Event()
        super().__init__(path, Daemon)


@pytest.fixture
def daemon(tmp_path, monkeypatch) -> Iterator[DaemonServer]:
    path = tmp_path / "d.sock"
    with DaemonServer(str(path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


async def all_calls_fail(manager: ContainerManager, match: str) -> None:
    name = manager.container_name("job", 1)
    for call in (
        manager.open(),
        manager.ping(),
        manager.observe(),
        manager.launch(name, SPEC),
        manager.feed(name, pieces(b""), print),
        manager.follow(name, print, skip=0),
        manager.has_output(name),
        manager.exit_of(name),
        manager.wait_exit(name, timeout=0.1),
        manager.startup_error(name),
        manager.stop(name, grace=0),
        manager.remove(name),
    ):
        with pytest.raises(EngineUnavailable, match=match):
            await call


@pytest.mark.parametrize(
    ("host", "cause"),
    [
        ("unix:///nowhere/docker.sock", "no socket where it should listen"),
        ("tcp://127.0.0.1:1", "[Cc]onnection refused"),
        ("ssh://somewhere", "forward the engine's socket"),
    ],
)
async def test_an_engine_that_is_not_there(monkeypatch, host, cause):
    monkeypatch.setenv("DOCKER_HOST", host)
    manager = ContainerManager("x_")
    await all_calls_fail(manager, cause)
    await manager.close()


async def test_an_engine_that_never_answers_fails_every_call_in_time(tmp_path, monkeypatch):
    path = tmp_path / "s.sock"
    accepted: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(lambda _, writer: accepted.append(writer), path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    manager = ContainerManager("x_", engine_timeout=0.1)
    began = time.monotonic()
    await all_calls_fail(manager, "took too long|more than")
    assert time.monotonic() - began < DEADLINE
    await manager.close()
    server.close()
    for writer in accepted:
        writer.close()


async def test_one_wedged_container_delays_no_other(daemon):
    manager = ContainerManager("x_", engine_timeout=0.5)
    stuck = [asyncio.create_task(manager.exit_of(f"x_ci-stuck{n}-1")) for n in range(5)]
    async with asyncio.timeout(DEADLINE):
        assert await manager.exit_of("x_ci-fine-1") is None
        assert not any(task.done() for task in stuck)
        for result in await asyncio.gather(*stuck, return_exceptions=True):
            assert isinstance(result, EngineUnavailable)
    await manager.close()


async def test_a_hanging_engine_is_not_sent_more_and_more_calls(daemon):
    manager = ContainerManager("x_", engine_timeout=0.2, max_calls=2)
    calls = [manager.exit_of(f"x_ci-stuck{n}-1") for n in range(20)]
    before = threading.active_count()
    gathered = asyncio.gather(*calls, return_exceptions=True)
    await asyncio.sleep(0)
    # Two calls, the daemon's threads for them, and the version asked for before.
    assert threading.active_count() - before <= 6
    assert all(isinstance(result, EngineUnavailable) for result in await gathered)
    await manager.close()


async def test_an_engine_that_dies_looks_like_the_end_of_the_stream(daemon):
    manager = ContainerManager("x_")
    got: list[bytes] = []
    pump = await manager.follow("x_ci-job-1", got.append, skip=0)
    async with asyncio.timeout(DEADLINE):
        await pump.wait()
    assert b"".join(got) == b"half\n"
    await manager.close()


async def test_wrong_tls_settings_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2376")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path / "nowhere"))
    manager = ContainerManager("x_")
    with pytest.raises(ConfigurationError, match="TLS"):
        await manager.ping()
    await manager.close()


async def test_what_answers_may_be_no_engine_at_all(tmp_path, monkeypatch):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    path = tmp_path / "s.sock"
    server = await asyncio.start_unix_server(answer, path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    manager = ContainerManager("x_")
    with pytest.raises(EngineUnavailable, match="not a Docker engine"):
        await manager.ping()
    await manager.close()
    server.close()
