"""One message to one receiver: resolved, checked, signed, sent, and what came back."""

import asyncio
import importlib
import ipaddress
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from ci_common import __version__
from ci_common.clock import Clock
from ci_common.webhooks import Attempt, Delivery, Destination, DestinationRules, Webhook, signature
from ci_controller.threads import run_in_thread

_log = logging.getLogger(__name__)

RESOLVE_TIMEOUT = 5.0
"""Seconds to look up a name."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses that a name leads to now. Raises ``OSError``."""


class NotSent(Exception):
    """The message did not get there, or may not; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Names of headers are in lower case; of a good answer no body is read."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


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
        answer: Answer | None = None
        try:
            async with asyncio.timeout(self._settings.timeout):
                answer = await self._post(delivery, webhook)
            error = _judge(answer.status)
        except NotSent as refusal:
            error = str(refusal)
        except TimeoutError:
            error = f"no answer within {self._settings.timeout:g} s"
        except Exception as failure:  # noqa: BLE001 -- else it would be tried without a pause
            _log.exception("sending %s met an internal error", delivery.id)
            error = f"internal error: {type(failure).__name__}"
        now = self._clock.now()
        return Attempt(
            at=now.wall,
            seconds=now.seconds_since(began),
            status=answer.status if answer else None,
            error=error,
            response=answer.body.decode(errors="replace") if answer else "",
            retry_after=_retry_after(answer.headers, now.wall) if answer else None,
        )

    async def _post(self, delivery: Delivery, webhook: Webhook) -> Answer:
        destination = self._destination(webhook.url)
        addresses = await self._addresses(destination)
        if self._tls is None:
            # Reading the system's authorities, and the library, takes tens of milliseconds.
            self._tls = await asyncio.to_thread(_prepare, self._make_tls)
        from ci_controller.webhooks.posting import post

        body = delivery.body.encode()
        headers = self._headers(delivery, webhook, destination, body)
        return await post(destination, addresses, tls=self._tls, headers=headers, body=body)

    def _destination(self, url: str) -> Destination:
        try:
            return self._settings.rules.read(url)
        except ValueError as error:  # the settings have changed since it was added
            raise NotSent(str(error)) from error

    async def _addresses(self, destination: Destination) -> Sequence[str]:
        """Return where to connect to. One address that is refused refuses them all."""
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT):
                found = await self._resolve(destination.host, destination.port)
        except TimeoutError:
            raise NotSent(f"the name {destination.host} was not resolved in time") from None
        except (OSError, UnicodeError) as error:
            raise NotSent(
                f"the name {destination.host} cannot be resolved: {_reason(error)}"
            ) from error
        for address in found:
            refusal = self._settings.rules.refusal(destination.host, ipaddress.ip_address(address))
            if refusal is not None:
                raise NotSent(refusal)
        if not found:
            raise NotSent(f"the name {destination.host} has no address")
        return found

    def _headers(
        self, delivery: Delivery, webhook: Webhook, destination: Destination, body: bytes
    ) -> Mapping[str, str]:
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


def _prepare(make_tls: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    importlib.import_module("ci_controller.webhooks.posting")
    return make_tls()


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


def _reason(error: Exception) -> str:
    # The numbers of gaierror are not the system's.
    return str(getattr(error, "strerror", None) or error)
