"""Signals between the processes of one data directory, over Unix datagram sockets.

Every process binds a socket of its own, ``wake-<pid>-<n>.sock``, and sends
each signal to all the others. Nobody waits for an answer: a full, dead or
missing receiver loses a hint and finds out at its next look.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import socket
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from ci_common.signals import LocalSignals, Subscription

_LONGEST_SOCKET_PATH = 100
"""Unix socket addresses hold 108 bytes on Linux, 104 elsewhere."""

_MAX_DATAGRAM = 512


class DatagramSignals:
    """Signals to this process and to every other one with the same ``data_dir``."""

    def __init__(self, data_dir: Path) -> None:
        self._local = LocalSignals()
        self._folder = socket_folder(data_dir, "wake", "/wake-4194304-abcdef.sock")
        self._path: Path | None = None
        self._socket: socket.socket | None = None
        self._peers: tuple[str, ...] = ()
        self._peers_stamp = -1

    async def open(self) -> None:
        """Begin to receive. Idempotent."""
        if self._socket is not None:
            return
        loop = asyncio.get_running_loop()
        self._local.bind(loop)
        self._path = self._folder / f"wake-{os.getpid()}-{secrets.token_hex(3)}.sock"
        self._socket = _bind(self._path)
        loop.add_reader(self._socket, self._receive)

    async def close(self) -> None:
        """Cease to receive and remove the socket. Idempotent."""
        if self._socket is None or self._path is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others are still there
            self._folder.rmdir()

    def notify(self, topic: str) -> None:
        """Signal ``topic`` here and to the other processes."""
        self._local.notify(topic)
        self._send(topic.encode())

    def notify_threadsafe(self, topic: str) -> None:
        """Signal ``topic`` from any thread."""
        self._local.call_threadsafe(self.notify, topic)

    def subscribe(self, *topics: str) -> AbstractContextManager[Subscription]:
        """Hold a subscription to ``topics`` for a ``with`` block."""
        return self._local.subscribe(*topics)

    def _receive(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(BlockingIOError):
            while True:
                topic = self._socket.recv(_MAX_DATAGRAM)
                self._local.notify(topic.decode(errors="replace"))

    def _send(self, message: bytes) -> None:
        if self._socket is None:
            return
        for peer in self._others():
            try:
                self._socket.sendto(message, peer)
            except (ConnectionRefusedError, FileNotFoundError):
                # Its process is gone; nobody else would remove the name.
                Path(peer).unlink(missing_ok=True)
            except OSError:
                continue

    def _others(self) -> tuple[str, ...]:
        try:
            stamp = self._folder.stat().st_mtime_ns
        except OSError:
            return ()
        if stamp != self._peers_stamp:
            mine = str(self._path)
            found = (str(path) for path in self._folder.glob("wake-*.sock"))
            self._peers = tuple(path for path in found if path != mine)
            self._peers_stamp = stamp
        return self._peers


def _bind(path: Path) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        while True:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                bound.bind(str(path))
            except FileNotFoundError:
                continue  # the last of the others removed the folder just now
            return bound
    except BaseException:
        bound.close()
        raise


def socket_folder(data_dir: Path, name: str, longest: str) -> Path:
    """Return the folder ``name`` for sockets; elsewhere if a path in it would be too long."""
    folder = data_dir.resolve() / name
    if len(str(folder)) + len(longest) <= _LONGEST_SOCKET_PATH:
        return folder
    # Every process of this data directory must arrive at the same short name.
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"standby-ci-{os.getuid()}-{digest}"
