"""A server's address, taken apart."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from urllib.parse import SplitResult

_PORTS = {"http": 80, "https": 443}


class Address:
    """Where a server is. ``netloc`` is host and port as written, without a user.

    ``host`` is ASCII, ``port`` the one to connect to; ``path`` does not end
    in ``/``. ``user`` is None if none is named.
    """

    def __init__(
        self,
        scheme: str,
        host: str,
        port: int | None,
        path: str = "",
        *,
        user: str | None = None,
        password: str = "",
    ) -> None:
        self.scheme = scheme
        self.host = host
        self.port = _PORTS[scheme] if port is None else port
        self.path = path
        self.user = user
        self.password = password
        name = f"[{host}]" if ":" in host else host
        self.netloc = name if port is None else f"{name}:{port}"

    @property
    def url(self) -> str:
        """The address without the user."""
        return f"{self.scheme}://{self.netloc}{self.path}"


def read_address(text: str) -> Address:
    """Return the address that ``text`` names; without a scheme it is one for http.

    Raises:
        ValueError: it is none; the text says why.

    """
    return _plain(text) or _taken_apart(text)


def _plain(text: str) -> Address | None:
    """Return what nearly all addresses are like, ``http://NAME:PORT``, without any library."""
    name, _, port = text.removeprefix("http://").rstrip("/").partition(":")
    letters = name.replace(".", "").replace("-", "")
    if not (text.isascii() and letters.isalnum() and port.isdigit() and int(port) <= 65535):
        return None
    return Address("http", name.lower(), int(port))


def _taken_apart(text: str) -> Address:
    from urllib.parse import urlsplit

    return address_of(urlsplit((text if "://" in text else f"http://{text}").rstrip("/")))


def address_of(url: SplitResult) -> Address:
    """Return the address in a URL.

    Raises:
        ValueError: it is none that we can speak to; the text says why.

    """
    from urllib.parse import unquote

    if url.scheme not in _PORTS:
        raise ValueError(f"{url.scheme} is neither http nor https")
    if not url.hostname:
        raise ValueError("it names no host")
    host = url.hostname if url.hostname.isascii() else url.hostname.encode("idna").decode()
    user = None if url.username is None else unquote(url.username)
    return Address(
        url.scheme, host, url.port, url.path, user=user, password=unquote(url.password or "")
    )
