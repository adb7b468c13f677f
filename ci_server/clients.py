"""Who a request comes from: the last hop that is no proxy of ours."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.types import HTTPScope, Scope, WebSocketScope

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

UNKNOWN = "-"
"""The address of a client that has none, at a Unix socket."""

_STATE_KEY = "client_address"
_HOST_KEY = "forwarded_host"
_IPV6_GROUP = 64
"""Bits of an IPv6 address that are one client's: it has all addresses behind them."""


def client_address(source: ASGIConnection[Any, Any, Any, Any] | Scope) -> str:
    """Return the address of a request's client (``192.0.2.1``, ``2001:db8::1``).

    Behind proxies that ``CI_TRUSTED_PROXIES`` names it is the one they tell.
    ``source``: the request, the socket, or its scope.
    """
    scope = source.scope if isinstance(source, ASGIConnection) else source
    found = scope.get("state", {}).get(_STATE_KEY)
    return str(found) if found else _peer(scope)


def forwarded_host(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """Return the host that a request was sent to, as a trusted proxy tells; None if none does."""
    host: str | None = connection.scope["state"].get(_HOST_KEY)
    return host


def client_group(address: str) -> str:
    """Return what stands for one client in limits: the address, or its IPv6 network."""
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_GROUP), strict=False))
    return address


class ProxyTrust:
    """Reads what trusted proxies say of a request's origin; what others say is ignored.

    Of ``X-Forwarded-For`` and ``Forwarded`` the first is read if both are there,
    since most proxies write that one and pass the other on as it came.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(name) for name in networks)

    def apply(self, scope: HTTPScope | WebSocketScope) -> None:
        """Note the client's address and the host it asked, and set the scheme it used."""
        address, state = _peer(scope), scope.setdefault("state", {})
        if self._networks and self._trusts(address):
            headers = _joined(scope["headers"])
            address = self._nearest_stranger(address, _hops(headers))
            scheme = _scheme(headers)
            if scheme is not None and scope["type"] == ScopeType.HTTP:
                cast("dict[str, Any]", scope)["scheme"] = scheme
            state[_HOST_KEY] = _told(headers, "host")
        state[_STATE_KEY] = address

    def _trusts(self, address: str) -> bool:
        if address == UNKNOWN:
            return True  # who can open our Unix socket is the proxy
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def _nearest_stranger(self, address: str, hops: list[str]) -> str:
        while hops and self._trusts(address):
            hop = _parse(hops.pop())
            if hop is None:
                break  # "unknown", or nonsense: nothing before it can be believed
            address = str(hop)
        return address


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    if not client:
        return UNKNOWN
    parsed = _parse(str(client[0]))
    return str(parsed) if parsed else str(client[0])


def _parse(text: str) -> Address | None:
    """Return the address in ``1.2.3.4``, ``1.2.3.4:80``, ``::1`` or ``[::1]:80``."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


_TELLING = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"})


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        if name in _TELLING:
            key, text = name.decode(), value.decode("latin-1")
            joined[key] = f"{joined[key]},{text}" if key in joined else text
    return joined


def _hops(headers: Mapping[str, str]) -> list[str]:
    """Return who handed the request on, the one nearest to us last."""
    if told := headers.get("x-forwarded-for"):
        return told.split(",")
    return [pairs.get("for", "") for pairs in _forwarded(headers)]


def _scheme(headers: Mapping[str, str]) -> str | None:
    told = (_told(headers, "proto") or "").lower()
    return told if told in {"http", "https"} else None


def _told(headers: Mapping[str, str], what: str) -> str | None:
    """Return what the nearest proxy tells of ``what``: ``proto`` or ``host``."""
    told = headers.get(f"x-forwarded-{what}", "").rpartition(",")[2].strip()
    if not told:
        told = next((pairs.get(what, "") for pairs in [*_forwarded(headers)][-1:]), "")
    return told or None


def _forwarded(headers: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the elements of ``Forwarded`` (RFC 7239)."""
    told = headers.get("forwarded", "")
    for element in told.split(",") if told else ():
        pairs = (pair.partition("=") for pair in element.split(";"))
        yield {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
