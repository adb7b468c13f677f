"""One message to one receiver: resolved, checked, signed, sent, and what came back."""

import asyncio
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpcore2

from ci_common import __version__
from ci_common.clock import Clock
from ci_common.webhooks import Attempt, Delivery, Destination, DestinationRules, Webhook, signature
from ci_controller.threads import run_in_thread

_log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
"""Seconds to look up a name, and again to connect."""

LONGEST_RESPONSE = 1024
"""Bytes that are read of the body of an answer that is not a good one."""

_RESPONSE_TIMEOUT = 2.0
"""Seconds to wait for them."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses that a name leads to now. Raises ``OSError``."""


class _Refused(Exception):
    """The message is not sent there; the text says why."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, in the system's order. Raises ``OSError``."""

    def look_up() -> Sequence[str]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    # A thread of its own: one name server that hangs must not take those that jobs need.
    return await run_in_thread(look_up, name="webhook-resolve")


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSettings:
    """``timeout``: seconds a whole try may take."""

    rules: DestinationRules = field(default_factory=DestinationRules)
    timeout: float = 15.0


class Sender:
    """Sends messages. Every connection is new, goes to a checked address, and follows nowhere.

    No proxy is used, whatever the environment says: it would do the looking up.
    """

    def __init__(
        self,
        settings: SendSettings,
        clock: Clock,
        *,
        resolve: Resolve = resolve,
        make_tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._resolve = resolve
        self._make_tls = make_tls
        self._tls: ssl.SSLContext | None = None

    async def send(self, delivery: Delivery, webhook: Webhook) -> Attempt:
        """Try once to deliver; return how it went. Raises nothing but a cancellation."""
        began = self._clock.now()
        status, response, retry_after = None, b"", None
        try:
            async with asyncio.timeout(self._settings.timeout):
                status, headers, response = await self._post(delivery, webhook)
            retry_after = _retry_after(headers, began.wall)
            error = _judge(status)
        except _Refused as refusal:
            error = str(refusal)
        except TimeoutError:
            error = f"no answer within {self._settings.timeout:g} s"
        except (OSError, httpcore2.ConnectError, httpcore2.NetworkError) as failure:
            error = f"no connection: {_cause(failure)}"
        except httpcore2.TimeoutException:
            error = f"no connection within {CONNECT_TIMEOUT:g} s"
        except httpcore2.ProtocolError as failure:
            error = f"it does not speak HTTP: {failure}"
        except Exception as failure:  # noqa: BLE001 -- else it would be tried without a pause
            _log.exception(
                "sending %s to webhook %s met an internal error", delivery.id, webhook.id
            )
            error = f"internal error: {type(failure).__name__}"
        now = self._clock.now()
        return Attempt(
            at=now.wall,
            seconds=now.seconds_since(began),
            status=status,
            error=error,
            response=response.decode(errors="replace"),
            retry_after=retry_after,
        )

    async def _post(
        self, delivery: Delivery, webhook: Webhook
    ) -> tuple[int, Mapping[bytes, bytes], bytes]:
        destination = self._destination(webhook.url)
        addresses = await self._addresses(destination)
        body = delivery.body.encode()
        url = httpcore2.URL(
            scheme=destination.scheme,
            host=destination.host,
            port=destination.port,
            target=destination.target,
        )
        async with (
            httpcore2.AsyncConnectionPool(
                ssl_context=await self._trust(), network_backend=_Pinned(addresses)
            ) as pool,
            pool.stream(
                "POST",
                url,
                headers=self._headers(delivery, webhook, destination, body),
                content=body,
                extensions={"timeout": {"connect": CONNECT_TIMEOUT}},
            ) as answer,
        ):
            headers = {name.lower(): value for name, value in answer.headers}
            return answer.status, headers, await _start_of(answer)

    def _destination(self, url: str) -> Destination:
        try:
            return self._settings.rules.read(url)
        except ValueError as error:  # the settings have changed since it was added
            raise _Refused(str(error)) from error

    async def _addresses(self, destination: Destination) -> Sequence[str]:
        """Return where to connect to. One address that is refused refuses them all."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                found = await self._resolve(destination.host, destination.port)
        except TimeoutError:
            raise _Refused(f"the name {destination.host} was not resolved in time") from None
        except (OSError, UnicodeError) as error:
            raise _Refused(
                f"the name {destination.host} cannot be resolved: {_cause(error)}"
            ) from error
        for address in found:
            refusal = self._settings.rules.refusal(destination.host, ipaddress.ip_address(address))
            if refusal is not None:
                raise _Refused(refusal)
        if not found:
            raise _Refused(f"the name {destination.host} has no address")
        return found

    def _headers(
        self, delivery: Delivery, webhook: Webhook, destination: Destination, body: bytes
    ) -> Mapping[bytes | str, bytes | str]:
        now = self._clock.now().wall
        timestamp = int(now.timestamp())
        return {
            "Host": _host_header(destination),
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "User-Agent": f"standby-ci/{__version__}",
            "Accept": "*/*",
            "Connection": "close",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(delivery.id, timestamp, body, webhook.secrets(now)),
        }

    async def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            # Reading the system's authorities takes tens of milliseconds.
            self._tls = await asyncio.to_thread(self._make_tls)
        return self._tls


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
    if _judge(answer.status) is None:
        return start
    with suppress(TimeoutError, httpcore2.NetworkError, httpcore2.ProtocolError):
        async with asyncio.timeout(_RESPONSE_TIMEOUT):
            async for piece in answer.aiter_stream():
                start += piece
                if len(start) >= LONGEST_RESPONSE:
                    break
    return start[:LONGEST_RESPONSE]


def _judge(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    redirects = "; redirects are not followed" if 300 <= status < 400 else ""
    return f"it answered {status}{_phrase(status)}{redirects}"


def _phrase(status: int) -> str:
    return f" {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else ""


def _retry_after(headers: Mapping[bytes, bytes], now: datetime) -> float | None:
    text = headers.get(b"retry-after", b"").decode("ascii", "replace").strip()
    if text.isdecimal():
        return float(text)
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    return None


def _host_header(destination: Destination) -> str:
    host = f"[{destination.host}]" if ":" in destination.host else destination.host
    usual = {"http": 80, "https": 443}[destination.scheme]
    return host if destination.port == usual else f"{host}:{destination.port}"


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
