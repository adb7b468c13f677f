"""Open streams of one container: its output, its log, its input."""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

import requests

from ci_controller.docker_engine.client import (
    ClientPool,
    EngineClient,
    body_of,
    make_patient,
    socket_of,
)
from ci_controller.docker_engine.faults import TRANSPORT_FAULTS
from ci_controller.docker_engine.frames import ChunkDecoder

_log = logging.getLogger(__name__)

_READ_SIZE = 256 * 1024
_SEND_SIZE = 256 * 1024


class _Stream:
    """A response that stays open, and the client it keeps to itself until it is closed."""

    def __init__(
        self, clients: ClientPool, connect: Callable[[EngineClient], requests.Response]
    ) -> None:
        """Open; raises what the SDK raises."""
        self._clients = clients
        self._client = clients.take()
        try:
            self._response = connect(self._client)
            self._socket = socket_of(self._response)
        except BaseException:
            clients.drop(self._client)
            raise
        self._open = True

    def interrupt(self) -> None:
        """Break the connection; whoever reads or writes it notices."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection and give the client back. Idempotent."""
        if self._open:
            self._open = False
            self._response.close()
            self._clients.give_back(self._client)


class Decoder(Protocol):
    """Takes an output stream's coding off."""

    def decode(self, data: bytes) -> bytes:
        """Return what ``data`` adds to the output."""
        ...


class OutputStream(_Stream):
    """A container's output, as an attach or a log gives it. An ``OutputSource``.

    However the stream ends, the iteration just ends: an engine that dies looks
    like a container that does, so look at the container afterwards.
    """

    def __init__(
        self,
        clients: ClientPool,
        connect: Callable[[EngineClient], requests.Response],
        decoder: Decoder,
    ) -> None:
        """Open; raises what the SDK raises."""
        super().__init__(clients, connect)
        self._decoder = decoder
        make_patient(self._socket)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the output as it comes."""
        try:
            for data in self._body():
                if output := self._decoder.decode(data):
                    yield output
        except (*TRANSPORT_FAULTS, ValueError) as error:
            _log.debug("output stream broke off: %s", error)

    def _body(self) -> Iterator[bytes]:
        reader, chunked = body_of(self._response)
        chunks = ChunkDecoder()
        while not chunks.ended and (data := reader.read1(_READ_SIZE)):
            yield chunks.decode(data) if chunked else data


class InputStream(_Stream):
    """A container's standard input. An ``InputChannel``."""

    def send(self, data: memoryview) -> int:
        """Send some of ``data``; return how much. Raises OSError when it is cut or broken."""
        return self._socket.send(data[:_SEND_SIZE])

    def finish(self) -> None:
        """Say that nothing more comes, and lose nothing of what is still on its way."""
        # Before the close: closing alone may reset a TCP connection and lose what is on its way.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Send no more, wherever it is."""
        self.interrupt()
