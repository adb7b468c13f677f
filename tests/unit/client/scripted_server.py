"""A real HTTP server that answers as it is told, request by request, and can break off anywhere."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ci_common.events import JobEvent, encode_event


@dataclass(frozen=True)
class Seen:
    """A request that came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


Reply = Callable[["Handler"], None]


def message(event: JobEvent | Mapping[str, Any], offset: int | None = None) -> bytes:
    """An SSE message."""
    data = json.dumps(event) if isinstance(event, Mapping) else encode_event(event)
    number = "" if offset is None else f"id: {offset}\n"
    return f"{number}data: {data}\n\n".encode()


def answer(content: Any, status: int = 200, **headers: str) -> Reply:
    """A JSON document."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    kind = headers.pop("content_type", "application/json")

    def reply(handler: "Handler") -> None:
        handler.send_response_only(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def problem(status: int, code: str, detail: str, **headers: str) -> Reply:
    """A problem document."""
    document = {
        "type": f"urn:standby-ci:problem:{code}",
        "title": code,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": "req-1",
        "hint": "do it better",
    }
    return answer(document, status, content_type="application/problem+json", **headers)


def stream(*pieces: bytes, ending: str = "whole", content_type: str = "text/event-stream") -> Reply:
    """A stream: ``whole`` ends in good order, ``cut`` is reset in the middle, ``open`` stays."""

    def reply(handler: "Handler") -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            handler.wfile.flush()
        if ending == "whole":
            handler.wfile.write(b"0\r\n\r\n")
        elif ending == "cut":
            handler.wfile.write(b"ffff\r\n")
            handler.drop()
        else:
            handler.server.script.released.wait()

    return reply


def drop(handler: "Handler") -> None:
    """Break off without an answer."""
    handler.drop()


@dataclass
class Script:
    """What to answer, in order; ``seen`` is what was asked. The last reply serves for ever."""

    replies: list[Reply] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    url: str = ""
    refuse_bodies: bool = False
    """Whether to read nothing of an upload: its sender gets stuck in the middle."""
    upload_began: threading.Event = field(default_factory=threading.Event)

    def will(self, *replies: Reply) -> None:
        self.replies = list(replies)

    def take(self, seen: Seen) -> Reply:
        with self.arrived:
            self.seen.append(seen)
            self.arrived.notify_all()
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def wait_for_requests(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.seen) >= count, timeout=20)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "ScriptedServer"

    def do_GET(self) -> None:
        self._handle(b"")

    def do_DELETE(self) -> None:
        self._handle(b"")

    def do_POST(self) -> None:
        self.server.script.upload_began.set()
        if self.server.script.refuse_bodies:
            self.server.script.released.wait()
            self.close_connection = True
            return
        if "content-length" in self.headers:
            body = self.rfile.read(int(self.headers["content-length"]))
        else:
            body = b"".join(self._chunks())
        self._handle(body)

    def do_PUT(self) -> None:
        self.do_POST()

    def _chunks(self) -> Iterable[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()

    def _handle(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, body)
        try:
            self.server.script.take(seen)(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def drop(self) -> None:
        # No lingering: the other side gets a reset, as from a machine that died.
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


class ScriptedServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = Script()
        self.script.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error here."""
