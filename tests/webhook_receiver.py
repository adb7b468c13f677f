"""A real HTTPS server that is told of jobs: keeps what comes, and answers as it is told."""

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from standardwebhooks import Webhook

NAME = "receiver.example"
"""What the certificates are for, beside 127.0.0.1."""

PATIENCE = 60.0


@dataclass(frozen=True)
class Authority:
    """A certificate authority of our own, and a certificate of its for ``NAME`` and 127.0.0.1."""

    ca: Path
    chain: Path

    @classmethod
    def make(cls, folder: Path) -> "Authority":
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("openssl is not installed: no certificate to serve with")
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
        names = f"subjectAltName=IP:127.0.0.1,DNS:{NAME}"
        ca = ("-x509", "-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", "ca.pem")
        leaf = (
            "-x509", "-subj", "/CN=receiver", "-addext", names, "-CA", "ca.pem", "-CAkey", "ca.key",
            "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "leaf.key", "-out",
            "leaf.pem",
        )  # fmt: skip
        for made in (ca, leaf):
            subprocess.run(
                [openssl, "req", *key, *made], check=True, capture_output=True, cwd=folder
            )
        chain = folder / "chain.pem"
        chain.write_text((folder / "leaf.pem").read_text() + (folder / "leaf.key").read_text())
        return cls(folder / "ca.pem", chain)

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


@dataclass(frozen=True)
class Message:
    """A message that came in, and for which name."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def content(self) -> dict:
        return json.loads(self.body)

    def verified_with(self, secret: str) -> dict:
        """Return the content; fail as the reference library does if the signature is wrong."""
        return Webhook(secret).verify(self.body, self.headers)


Reply = Callable[["Handler"], None]


def status(code: int, body: bytes = b"", **headers: str) -> Reply:
    def reply(handler: "Handler") -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


@dataclass
class Receiver:
    """``replies`` are given in turn, the last for ever."""

    url: str = ""
    port: int = 0
    replies: list[Reply] = field(default_factory=lambda: [status(204)])
    messages: list[Message] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    """What TLS was asked for (SNI)."""
    released: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self, message: Message) -> Reply:
        with self.arrived:
            self.messages.append(message)
            self.arrived.notify_all()
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def wait_for(self, number: int) -> list[Message]:
        """Return the messages once there are so many."""
        with self.arrived:
            enough = self.arrived.wait_for(lambda: len(self.messages) >= number, timeout=PATIENCE)
            assert enough, f"{len(self.messages)} of {number} messages came"
            return list(self.messages)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.receiver.take(Message(self.path, headers, body))
        try:
            reply(self)
        except OSError:
            self.close_connection = True  # the sender has seen enough

    def log_message(self, *arguments: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver

    def handle_error(self, *arguments: object) -> None:
        """A handshake that a test breaks off is nobody's fault."""


@contextmanager
def receiving(authority: Authority | None) -> Iterator[Receiver]:
    """Run a receiver on 127.0.0.1, with TLS if there is an authority."""
    server = _Server(("127.0.0.1", 0), Handler)
    receiver = server.receiver = Receiver(port=server.server_port)
    receiver.url = f"http://127.0.0.1:{receiver.port}/hook?a=1"
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.chain)
        context.sni_callback = lambda _socket, name, _context: receiver.names.append(name)
        # The handshake is the handler's thread's business: one that hangs must not stop the rest.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        receiver.url = receiver.url.replace("http:", "https:")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="receiver")
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
