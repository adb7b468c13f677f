"""Servers behind TLS, reached directly and through a proxy."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from ci_client.session import Session
from ci_common.errors import ServerUnreachable

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and ci.example that only itself vouches for, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: no certificate to serve with")
    pem = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        [
            openssl, "req", "-x509", "-nodes",
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:ci.example",
            "-days", "2", "-keyout", f"{pem}.key", "-out", f"{pem}.crt",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    pem.write_text(Path(f"{pem}.crt").read_text() + Path(f"{pem}.key").read_text())
    return pem


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def head_of(sock: socket.socket) -> bytes:
    """The head of the request that comes in."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and (data := sock.recv(1)):
        head += data
    return head


def serve(
    listening: socket.socket, certificate: Path, greeting: bytes = b""
) -> tuple[bytes, bytes]:
    """Answer one request over TLS; with a ``greeting``, after playing the proxy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    plain, _ = listening.accept()
    asked = head_of(plain) if greeting else b""
    plain.sendall(greeting)
    with context.wrap_socket(plain, server_side=True) as secured:
        head = head_of(secured)
        secured.sendall(ANSWER)
    return asked, head


def test_a_server_with_a_certificate_we_trust(
    listening: socket.socket,
    thread: ThreadPoolExecutor,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    served: Future[tuple[bytes, bytes]] = thread.submit(serve, listening, certificate)
    with Session(f"https://127.0.0.1:{listening.getsockname()[1]}", "key") as session:
        assert session.jobs() == []
    assert b"Authorization: Bearer key\r\n" in served.result()[1]


def test_one_with_a_certificate_that_nobody_vouches_for(
    listening: socket.socket, thread: ThreadPoolExecutor, certificate: Path
) -> None:
    served = thread.submit(serve, listening, certificate)
    with (
        Session(f"https://127.0.0.1:{listening.getsockname()[1]}") as session,
        pytest.raises(ServerUnreachable, match=r"self.signed") as caught,
    ):
        session.jobs()
    assert "SSL_CERT_FILE" in str(caught.value.hint)
    assert isinstance(served.exception(), ssl.SSLError)


def test_through_a_proxy(
    listening: socket.socket,
    thread: ThreadPoolExecutor,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:pw@127.0.0.1:{listening.getsockname()[1]}")
    monkeypatch.setenv("NO_PROXY", "")
    served = thread.submit(
        serve, listening, certificate, b"HTTP/1.1 200 Connection established\r\n\r\n"
    )
    with Session("https://ci.example", "key") as session:
        assert session.jobs() == []
    asked, head = served.result()
    assert asked.startswith(b"CONNECT ci.example:443 HTTP/1.1\r\nHost: ci.example:443\r\n")
    assert b"Proxy-Authorization: Basic bWU6cHc=\r\n" in asked
    assert b"key" not in asked
    assert head.startswith(b"GET /jobs?limit=100 HTTP/1.1\r\nHost: ci.example\r\n")
    assert b"Proxy" not in head
