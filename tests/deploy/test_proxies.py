"""The nginx and Caddy examples, before a real server: nothing waits in them."""

import base64
import contextlib
import hashlib
import io
import os
import secrets
import shutil
import socket
import ssl
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.deploy.front import Front, front_of
from tests.e2e.harness import Server, parse_events
from tests.waiting import eventually

MIB = 1024**2

ESTABLISHED = "01"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that runs jobs as processes: what they wait for lies in this file system."""
    folder = Path(tempfile.mkdtemp(prefix="ci-"))
    settings = {
        "CI_EXECUTOR": "local",
        "CI_TRUSTED_PROXIES": "127.0.0.1",
        "CI_LET_ANYONE_RUN_CODE": "true",
        # Without one, only a proxy that closes a stream tells that its reader has gone.
        "CI_PING_INTERVAL": "1h",
    }
    server = Server(folder, "proxied_", settings)
    try:
        yield server.start()
    finally:
        server.stop()
        print(server.log.read_text()[-5000:])
        shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def front(request, proxies, server, tmp_path_factory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp(request.param)
    with front_of(proxies[request.param], request.param, server.port, folder) as front:
        yield front


def project(script: str, **more: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ci.toml", "install = []\ncommand = 'sh run.sh'\n")
        archive.writestr("run.sh", script)
        for name, content in more.items():
            archive.writestr(name, content)
    return packed.getvalue()


def test_each_line_comes_before_the_next_is_written(front: Front, tmp_path: Path) -> None:
    """A proxy that keeps anything back never shows a line: the job waits for it to be seen."""
    script = (
        "for n in 1 2 3; do\n"
        '  echo "line $n."\n'
        f"  until [ -e {tmp_path}/seen-$n ]; do sleep 0.05; done\n"
        "done\n"
    )
    text, ended = "", None
    with (
        front.client() as client,
        client.stream("POST", "/submit-stream", files={"file": project(script)}) as answer,
    ):
        answer.raise_for_status()
        for _, event in parse_events(answer.iter_lines()):
            text += event.get("data", "")
            for n in (1, 2, 3):
                if f"line {n}." in text:
                    (tmp_path / f"seen-{n}").touch()
            if event["type"] == "complete":
                ended = event
    assert ended is not None
    assert ended["success"], text


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_who_goes_lets_go_of_the_server_too(
    kind: str, proxies, server: Server, tmp_path: Path
) -> None:
    """A proxy that reads on for nobody would keep every stream open to the end of its job."""
    script = f"echo begun\nuntil [ -e {tmp_path}/go ]; do sleep 0.05; done\n"
    job = server.post("/submit-async", files={"file": project(script)}).json()["job_id"]
    others = peers(server)
    # One that has been asked nothing yet keeps no connection to the server.
    with front_of(proxies[kind], kind, server.port, tmp_path) as front:
        path = f"/jobs/{job}/stream?from_beginning=true"
        with front.client() as client, client.stream("GET", path) as answer:
            lines = answer.iter_lines()  # held: an iterator that goes closes the connection
            assert any("begun" in line for line in lines)
            ours = peers(server) - others
            assert len(ours) == 1
        eventually(lambda: not ours & peers(server), what="the proxy let go of the stream")
    (tmp_path / "go").touch()
    assert server.until(job, "completed")["success"]


def peers(server: Server) -> set[str]:
    """Return the other ends of the server's connections."""
    there = f":{server.port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[2] for row in rows if row[1].endswith(there) and row[3] == ESTABLISHED}


def test_an_upload_arrives_while_it_is_sent(front: Front, server: Server) -> None:
    """The second half is sent when the server has most of the first: nothing collects it."""
    large = project("wc -c < large", large=secrets.token_bytes(50 * MIB))
    boundary = secrets.token_hex(8)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="p.zip"\r\n'
        "Content-Type: application/zip\r\n\r\n"
    ).encode()
    body = head + large + f"\r\n--{boundary}--\r\n".encode()
    half = len(body) // 2

    def parts() -> Iterator[bytes]:
        yield body[:half]
        eventually(lambda: arrived(server) > half - 10 * MIB, what="half of the upload arrived")
        yield body[half:]

    with front.client() as client:
        answer = client.post(
            "/submit-async",
            content=parts(),
            headers={
                "Content-Type": f"multipart/form-data; boundary={boundary}",
                "Content-Length": str(len(body)),
            },
        )
        assert answer.status_code < 300, answer.text
    job = answer.json()["job_id"]
    assert server.until(job, "completed")["success"]
    assert str(50 * MIB) in server.text(job)


def arrived(server: Server) -> int:
    """Return the bytes of the upload that is under way."""
    sizes = [0]
    for path in (server.folder / "tmp").iterdir():
        with contextlib.suppress(OSError):
            sizes.append(path.stat().st_size)
    return max(sizes)


def test_a_websocket_is_led_through(front: Front) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    asked = (
        f"GET /api/v1/events HTTP/1.1\r\nHost: localhost:{front.port}\r\nConnection: Upgrade\r\n"
        f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    with (
        socket.create_connection(("127.0.0.1", front.port), timeout=60) as plain,
        front.tls.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(asked.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            received = connection.recv(4096)
            assert received, head
            head += received
        status = int(head.split()[1])
        assert status == 101, head
        accept = base64.b64encode(
            hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        )
        assert accept in head
        echo = masked(0x9, b"are you there?")
        connection.sendall(echo)
        assert pong_of(connection, head.partition(b"\r\n\r\n")[2]) == b"are you there?"


def masked(opcode: int, payload: bytes) -> bytes:
    """Return a final WebSocket frame of a client; masked with zeros, so that it reads as it is."""
    return bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def pong_of(connection: ssl.SSLSocket, data: bytes) -> bytes:
    """Return the payload of the first pong; what the server says by itself may come before."""
    while True:
        while len(data) < 2 or len(data) < 2 + (data[1] & 0x7F):
            received = connection.recv(65536)
            assert received, "the connection ended without a pong"
            data += received
        assert data[1] < 126, "a frame too long for this reader"
        opcode, payload, data = data[0] & 0xF, data[2 : 2 + data[1]], data[2 + data[1] :]
        if opcode == 0xA:
            return payload


class Witness(BaseHTTPRequestHandler):
    """Answers with the headers it was sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        told = "".join(f"{name}: {value}\n" for name, value in self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_what_a_client_claims_of_itself_is_replaced(kind: str, proxies, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Witness) as upstream:
        thread = threading.Thread(target=upstream.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            with (
                front_of(proxies[kind], kind, upstream.server_port, tmp_path) as front,
                front.client() as client,
            ):
                lies = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "http"}
                lies |= {
                    "X-Forwarded-Host": "evil.example",
                    "Forwarded": "for=6.6.6.6;host=evil.example",
                }
                told = client.get("/", headers=lies).text.lower()
        finally:
            upstream.shutdown()
            thread.join()
    assert "x-forwarded-for: 127.0.0.1\n" in told
    assert "x-forwarded-proto: https\n" in told
    assert f"x-forwarded-host: localhost:{front.port}\n" in told
    assert f"host: localhost:{front.port}\n" in told.replace("x-forwarded-host", "-")
    assert "6.6.6.6" not in told
    assert "evil.example" not in told
