"""HTTP exchanges with one server, over the standard library's connections.

The richer HTTP libraries take longer to import than a warm server takes to
run a small job.
"""

import http.client
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self
from urllib.parse import SplitResult, unquote, urlsplit

from ci_common.errors import ConfigurationError

if TYPE_CHECKING:
    from ci_client.upload import Form

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 45.0
"""Seconds of silence that mean a dead connection: three of the server's pings."""
WRITE_TIMEOUT = 60.0
_BLOCK = 64 * 1024
_PORTS = {"http": 80, "https": 443}


class BrokenExchange(Exception):
    """The connection failed in the middle; the cause is chained."""


class NotConnected(BrokenExchange):
    """No connection came about; the cause is chained."""


class Response:
    """An answer; its body is read as it comes. Close it, or use it in ``with``."""

    def __init__(
        self, url: str, raw: http.client.HTTPResponse, release: Callable[[], None]
    ) -> None:
        self.url = url
        self.status = raw.status
        self.reason = raw.reason
        self.headers = raw.headers
        self._raw = raw
        self._release = release

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._release()

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes in.

        Raises:
            BrokenExchange: it ended too early, or nothing came for too long.

        """
        with _failing_as(BrokenExchange):
            while data := self._raw.read1(_BLOCK):
                yield data
            if self._raw.length:  # read1 takes a cut for an end
                raise http.client.IncompleteRead(b"", self._raw.length)

    def read(self) -> bytes:
        """Return the whole body."""
        return b"".join(self.pieces())


class Http:
    """Exchanges with the server at ``url``, each over a connection of its own.

    ``headers`` go with all of them.
    """

    def __init__(self, url: SplitResult, headers: Mapping[str, str], *, trust_env: bool) -> None:
        host = url.netloc.rpartition("@")[2]
        self.base_url = f"{url.scheme}://{host}{url.path}"
        self._url = url
        self._headers = {
            "Accept": "*/*",
            "Connection": "close",
            **_credentials(url, "Authorization"),
            **headers,
        }
        self._proxy = _proxy_for(url) if trust_env else None
        self._prefix = url.path
        if self._proxy and url.scheme == "http":
            self._prefix = self.base_url
            self._headers |= _credentials(self._proxy, "Proxy-Authorization")
        self._open: set[http.client.HTTPConnection] = set()

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: "Form | None" = None,
    ) -> Response:
        """Send a request and return the answer once its head is there.

        Raises:
            NotConnected: nobody is there.
            BrokenExchange: there was, but no answer came.

        """
        headers = {**self._headers, **(headers or {})}
        connection = _connection_to(self._url, self._proxy)
        self._open.add(connection)
        try:
            raw = _exchange(connection, method, self._prefix + path, headers, body)
        except BaseException:
            self._close(connection)
            raise
        url = self.base_url + path.partition("?")[0]
        return Response(url, raw, lambda: self._close(connection, raw))

    def close(self) -> None:
        """Close all connections."""
        for connection in tuple(self._open):
            self._close(connection)

    def shut_down(self) -> None:
        """End the exchanges that other threads are waiting in."""
        for connection in tuple(self._open):
            if connection.sock is not None:
                with suppress(OSError):  # the other side was faster
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _close(
        self,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse | None = None,
    ) -> None:
        self._open.discard(connection)
        if response is not None:
            response.close()  # it holds on to the socket
        connection.close()


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: "Form | None",
) -> http.client.HTTPResponse:
    with _failing_as(NotConnected):
        connection.connect()
    if body is not None:
        about = {"Content-Type": body.content_type, "Content-Length": str(body.size)}
        headers = {**headers, **about}
    with _failing_as(BrokenExchange):
        connection.sock.settimeout(WRITE_TIMEOUT)
        refused = None
        try:
            connection.request(method, target, body, headers)
        except ConnectionError as error:
            refused = error  # a server that refuses an upload may answer and hang up
        connection.sock.settimeout(READ_TIMEOUT + (body.patience if body else 0))
        try:
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise refused or error from None


@contextmanager
def _failing_as(kind: type[BrokenExchange]) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise kind(str(error)) from error


def _connection_to(url: SplitResult, proxy: SplitResult | None) -> http.client.HTTPConnection:
    at = proxy or url
    host, port = at.hostname or "", at.port or _PORTS[at.scheme]
    if url.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=CONNECT_TIMEOUT)
    import ssl

    context = ssl.create_default_context()
    connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_TIMEOUT, context=context)
    if proxy:
        known = _credentials(proxy, "Proxy-Authorization")
        connection.set_tunnel(url.hostname or "", url.port or _PORTS["https"], known)
    return connection


def _credentials(url: SplitResult, header: str) -> dict[str, str]:
    """Return the header for the user and the password in ``url``; ``{}`` if there are none."""
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {header: f"Basic {b64encode(pair.encode()).decode()}"}


def _proxy_for(url: SplitResult) -> SplitResult | None:
    """Return the proxy that the environment names for ``url``.

    Raises:
        ConfigurationError: it is of a kind that we do not speak to.

    """
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    named = proxies.get(url.scheme) or proxies.get("all")
    if not named or proxy_bypass(url.netloc.rpartition("@")[2]):
        return None
    proxy = urlsplit(named if "://" in named else f"http://{named}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise ConfigurationError(
            f"the proxy {proxy.scheme}://{proxy.netloc.rpartition('@')[2]} cannot be used: "
            "only http:// proxies can",
            hint="Leave the server out of it: NO_PROXY=" + (url.hostname or ""),
        )
    return proxy
