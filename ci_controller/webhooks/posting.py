"""The HTTP of a try: one request over a connection of its own, to an address that was checked.

A module of its own, loaded with the first message: a server without webhooks
does without the library.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import httpcore2

from ci_common.webhooks import Destination
from ci_controller.webhooks.sending import Answer, NotSent

CONNECT_TIMEOUT = 5.0
"""Seconds to connect."""

LONGEST_RESPONSE = 1024
"""Bytes that are read of the body of an answer that is not a good one."""

_RESPONSE_TIMEOUT = 2.0
"""Seconds to wait for them."""


async def post(
    destination: Destination,
    addresses: Sequence[str],
    *,
    tls: ssl.SSLContext,
    headers: Mapping[str, str],
    body: bytes,
) -> Answer:
    """Send a body to the first of the addresses that takes a connection.

    Raises:
        NotSent: none did, or it does not speak HTTP.

    """
    try:
        return await _post(destination, addresses, tls, headers, body)
    except httpcore2.TimeoutException:
        raise NotSent(f"no connection within {CONNECT_TIMEOUT:g} s") from None
    except httpcore2.ProtocolError as failure:
        raise NotSent(f"it does not speak HTTP: {failure}") from failure
    except (OSError, httpcore2.NetworkError) as failure:
        raise NotSent(f"no connection: {_cause(failure)}") from failure


async def _post(
    destination: Destination,
    addresses: Sequence[str],
    tls: ssl.SSLContext,
    headers: Mapping[str, str],
    body: bytes,
) -> Answer:
    url = httpcore2.URL(
        scheme=destination.scheme,
        host=destination.host,
        port=destination.port,
        target=destination.target,
    )
    async with (
        httpcore2.AsyncConnectionPool(ssl_context=tls, network_backend=_Pinned(addresses)) as pool,
        pool.stream(
            "POST",
            url,
            headers=list(headers.items()),
            content=body,
            extensions={"timeout": {"connect": CONNECT_TIMEOUT}},
        ) as answer,
    ):
        names = {name.lower(): value for name, value in answer.headers}
        return Answer(answer.status, names, await _start_of(answer))


class _Pinned(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were checked, whatever name is asked for.

    TLS is still for the name: it is what the certificate is held against.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- it is the interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Return a connection to the first of the addresses that takes one."""
        del host
        *others, last = self._addresses
        for address in others:
            with suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                return await self._backend.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
        return await self._backend.connect_tcp(last, port, timeout, local_address, socket_options)


async def _start_of(answer: httpcore2.Response) -> bytes:
    """Return what is worth keeping of a body. The status counts, whatever becomes of the rest."""
    start = b""
    if 200 <= answer.status < 300:
        return start
    with suppress(TimeoutError, httpcore2.NetworkError, httpcore2.ProtocolError):
        async with asyncio.timeout(_RESPONSE_TIMEOUT):
            async for piece in answer.aiter_stream():
                start += piece
                if len(start) >= LONGEST_RESPONSE:
                    break
    return start[:LONGEST_RESPONSE]


def _cause(error: BaseException) -> str:
    """Return the innermost reason in a few words."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError | socket.gaierror):
        return str(error.strerror or error)  # their numbers are not the system's
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
