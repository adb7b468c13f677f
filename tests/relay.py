"""A way to a server that counts what goes over it, and can be cut in the middle."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class Relay:
    """Passes connections on. ``sent`` are the bytes that clients sent.

    ``cut``: after how many of them a connection is reset, by the connection's number.
    """

    def __init__(self, url: str) -> None:
        self.lead_to(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0
        self.connections = 0
        self.cut: dict[int, int] = {}
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def lead_to(self, url: str) -> None:
        """Lead new connections to the server at ``url``."""
        target = urlsplit(url)
        self._target = (target.hostname, target.port)

    def close(self) -> None:
        # A close alone does not wake the thread that accepts.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _start(self, target, *arguments) -> None:
        thread = threading.Thread(target=target, args=arguments, name="relay")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(self._target)
            self._start(self._connection, client, server, self.cut.get(self.connections))

    def _connection(self, client, server, limit) -> None:
        with client, server:
            back = threading.Thread(target=_pump, args=(server, client), name="relay back")
            back.start()
            try:
                self._forward(client, server, limit)
            finally:
                back.join(30)

    def _forward(self, client, server, limit) -> None:
        passed = 0
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
                self.sent += len(data)
                passed += len(data)
                if limit is not None and passed >= limit:
                    _reset(client)
                    _reset(server)
                    return
            server.shutdown(socket.SHUT_WR)


def _reset(connection: socket.socket) -> None:
    # No lingering: the other side gets a reset, as from a machine that died.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def relay_to(url: str) -> Iterator[Relay]:
    """A relay to the server at ``url`` until the block ends."""
    relay = Relay(url)
    try:
        yield relay
    finally:
        relay.close()
