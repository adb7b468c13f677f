"""HTTP exchanges with one server. Decision 0016 says why no library is in it."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager, suppress

from ci_common.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Self

    from ci_client.address import Address
    from ci_client.answer import Answer
    from ci_client.json_body import JsonBody
    from ci_client.upload import Form

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 45.0
"""Seconds of silence that mean a dead connection: three of the server's pings."""
WRITE_TIMEOUT = 60.0
_BLOCK = 64 * 1024


class BrokenExchange(Exception):
    """The connection failed in the middle; the cause is chained."""


class NotConnected(BrokenExchange):
    """No connection came about; the cause is chained."""


class Response:
    """An answer; its body is read as it comes. Close it, or use it in ``with``.

    ``server`` is whose it is, ``with_key`` whether a key was shown to it.
    """

    def __init__(self, http: Http, path: str, answer: Answer, release: Callable[[], None]) -> None:
        self.url = http.base_url + path
        self.server = http.base_url
        self.with_key = http.with_key
        self.status = answer.status
        self.reason = answer.reason
        self.headers = answer.headers
        self._answer = answer
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
            yield from self._answer.pieces()

    def read(self) -> bytes:
        """Return the whole body."""
        return b"".join(self.pieces())


class Http:
    """Exchanges with the server at ``address``, each over a connection of its own.

    ``headers`` go with all of them, and to nobody else: what answers that it has
    moved is not followed. ``on_answer`` is told the headers of each answer.
    """

    def __init__(
        self,
        address: Address,
        headers: Mapping[str, str],
        *,
        trust_env: bool,
        on_answer: Callable[[Mapping[str, str]], None] | None = None,
    ) -> None:
        self.base_url = address.url
        self.with_key = "Authorization" in headers
        self._on_answer = on_answer
        self._address = address
        self._headers = {
            "Host": address.netloc,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **_credentials(address, "Authorization"),
            **headers,
        }
        self._proxy = _proxy_for(address) if trust_env else None
        self._prefix = address.path
        if self._proxy and address.scheme == "http":
            self._prefix = self.base_url
            self._headers |= _credentials(self._proxy, "Proxy-Authorization")
        self._open: set[socket.socket] = set()

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Form | JsonBody | None = None,
    ) -> Response:
        """Send a request and return the answer once its head is there.

        Raises:
            NotConnected: nobody is there.
            BrokenExchange: there was, but no answer came.

        """
        headers = {**self._headers, **(headers or {})}
        if body is not None:
            headers |= body.headers
        head = _head(method, self._prefix + path, headers)
        with _failing_as(NotConnected):
            sock = _connect(self._address, self._proxy)
        self._open.add(sock)
        try:
            with _failing_as(BrokenExchange):
                answer = _exchange(sock, head, body)
        except BaseException:
            self._close(sock)
            raise
        if self._on_answer is not None:
            self._on_answer(answer.headers)
        return Response(self, path.partition("?")[0], answer, lambda: self._close(sock, answer))

    def close(self) -> None:
        """Close all connections."""
        for sock in tuple(self._open):
            self._close(sock)

    def shut_down(self) -> None:
        """End the exchanges that other threads are waiting in."""
        for sock in tuple(self._open):
            with suppress(OSError):  # the other side was faster
                sock.shutdown(socket.SHUT_RDWR)

    def _close(self, sock: socket.socket, answer: Answer | None = None) -> None:
        self._open.discard(sock)
        if answer is not None:
            answer.close()  # it holds on to the socket
        sock.close()


def _head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header holds the end of a line")
    return "\r\n".join([*lines, "", ""]).encode()


def _exchange(sock: socket.socket, head: bytes, body: Form | JsonBody | None) -> Answer:
    refused = None
    sock.settimeout(WRITE_TIMEOUT)
    try:
        _write(sock, head, body or ())
    except ConnectionError as error:
        refused = error  # a server that refuses an upload may answer and hang up
    sock.settimeout(READ_TIMEOUT + (body.patience if body else 0))
    from ci_client.answer import Answer  # now that the server has something to do

    try:
        return Answer(sock)
    except OSError as error:
        raise refused or error from None


def _write(sock: socket.socket, head: bytes, body: Iterable[bytes]) -> None:
    """Send all of it; what is small goes together, so that the other side wakes once."""
    waiting = head
    for piece in body:
        if len(waiting) + len(piece) > _BLOCK:
            sock.sendall(waiting)
            waiting = b""
        waiting += piece
    sock.sendall(waiting)


@contextmanager
def _failing_as(kind: type[BrokenExchange]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise kind(str(error)) from error


def _connect(address: Address, proxy: Address | None) -> socket.socket:
    if address.scheme == "http":
        return _socket_to(proxy or address)
    import ssl

    sock = _tunnel(address, proxy) if proxy else _socket_to(address)
    return ssl.create_default_context().wrap_socket(sock, server_hostname=address.host)


def _socket_to(address: Address) -> socket.socket:
    # As bytes: text would be led through the codec for international names first.
    host: str = address.host.encode()  # type: ignore[assignment]
    sock = socket.create_connection((host, address.port), CONNECT_TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _tunnel(address: Address, proxy: Address) -> socket.socket:
    target = f"{address.netloc.removesuffix(f':{address.port}')}:{address.port}"
    known = _credentials(proxy, "Proxy-Authorization")
    sock = _socket_to(proxy)
    with ExitStack() as failing:
        failing.callback(sock.close)
        answer = _exchange(sock, _head("CONNECT", target, {"Host": target, **known}), None)
        answer.close()
        if answer.status != 200:
            raise ConnectionError(f"the proxy answered {answer.status} {answer.reason}")
        sock.settimeout(CONNECT_TIMEOUT)
        failing.pop_all()
    return sock


def _credentials(address: Address, header: str) -> dict[str, str]:
    """Return the header for the user and the password in an address; ``{}`` if there are none."""
    if address.user is None:
        return {}
    from base64 import b64encode

    pair = f"{address.user}:{address.password}"
    return {header: f"Basic {b64encode(pair.encode()).decode()}"}


def _proxy_for(address: Address) -> Address | None:
    """Return the proxy that the environment names for ``address``.

    Raises:
        ConfigurationError: it is of a kind that we do not speak to.

    """
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    from ci_client.address import address_of

    proxies = getproxies()
    named = proxies.get(address.scheme) or proxies.get("all")
    if not named or proxy_bypass(address.netloc):
        return None
    proxy = urlsplit(named if "://" in named else f"http://{named}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise ConfigurationError(
            f"the proxy {proxy.scheme}://{proxy.netloc.rpartition('@')[2]} cannot be used: "
            "only http:// proxies can",
            hint="Leave the server out of it: NO_PROXY=" + address.host,
        )
    return address_of(proxy)
