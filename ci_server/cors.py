"""Which pages of other sites may use this server from a browser, and what a browser is told.

The rule of ``origins.py`` holds besides: what is not allowed here may not change anything.
"""

from collections.abc import Collection, Mapping

from litestar.types import HTTPScope, Message, Send

from ci_server.authentication import KEY_END, KEY_EXPIRES_HEADER
from ci_server.request_limits import QUOTA_KEY

PREFLIGHT_AGE = 600
"""Seconds a browser may remember what it was told."""

EXPOSED = (
    "Link, Location, Retry-After, RateLimit, RateLimit-Policy, X-Request-ID, Content-Range, "
    "Accept-Ranges, Content-Disposition, ETag, CI-Key-Expires"
)
"""Headers of answers that pages may read."""

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
HEADERS = (
    "Authorization, CI-Organisation, Content-Type, Idempotency-Key, Last-Event-ID, Range, "
    "If-None-Match, X-Request-ID, CI-CSRF-Token"
)

SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (b"cache-control", b"no-store"),
)
"""What every answer says unless it says otherwise: it is neither to be guessed at, framed nor kept.

What there is to see depends on who asks, and browsers and proxies keep what nobody forbids.
"""

Headers = list[tuple[bytes, bytes]]


class AllowedOrigins:
    """The origins whose pages may use this server; credentials included, since each is exact."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def __contains__(self, origin: object) -> bool:
        return origin in self._origins

    def headers(self, scope: HTTPScope) -> Headers:
        """Return what an answer says to a browser about who may read it."""
        if not self._origins:
            return []
        varies = (b"vary", b"Origin")
        origin = header(scope, b"origin")
        if origin not in self._origins:
            return [varies]
        return [
            varies,
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", EXPOSED.encode()),
        ]

    def is_preflight(self, scope: HTTPScope) -> bool:
        """Return whether a browser asks on behalf of an allowed page what it may send."""
        return (
            scope["method"] == "OPTIONS"
            and header(scope, b"origin") in self._origins
            and bool(header(scope, b"access-control-request-method"))
        )


async def answer_preflight(send: Send) -> None:
    """Say what an allowed page may send."""
    told: Mapping[str, str] = {
        "access-control-allow-methods": METHODS,
        "access-control-allow-headers": HEADERS,
        "access-control-max-age": str(PREFLIGHT_AGE),
    }
    headers = [(name.encode(), text.encode()) for name, text in told.items()]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def add_headers(message: Message, scope: HTTPScope, cors: AllowedOrigins) -> None:
    """Add to an answer that is about to start what all answers say."""
    if message["type"] != "http.response.start":
        return
    headers = list(message.get("headers", ()))
    present = {name.lower() for name, _ in headers}
    headers += [pair for pair in SECURITY if pair[0] not in present]
    headers += cors.headers(scope)
    if end := scope["state"].get(KEY_END):
        headers += [(KEY_EXPIRES_HEADER.lower().encode(), end.encode())]
    if quota := scope["state"].get(QUOTA_KEY):
        headers += [(n.lower().encode(), v.encode()) for n, v in quota.headers().items()]
    message["headers"] = headers


def header(scope: HTTPScope, name: bytes) -> str:
    """Return a header of a request; empty if it has none."""
    return next((v.decode("latin-1") for n, v in scope["headers"] if n == name), "")
