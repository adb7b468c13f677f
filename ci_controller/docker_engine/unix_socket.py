"""The engine's Unix socket as the SDK reaches it, less two habits of the SDK's adapter."""

import socket
from typing import Any

from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool

_ENGINE = "http+docker://localhost"


class _Connection(UnixHTTPConnection):
    """Closes a socket that cannot be connected; the SDK leaves it open."""

    def connect(self) -> None:
        attempt = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            attempt.settimeout(self.timeout)
            attempt.connect(self.unix_socket)
        except BaseException:
            attempt.close()
            raise
        self.sock = attempt


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:  # noqa: ANN401 -- urllib3 has no public name for it
        seconds: Any = self.timeout
        return _Connection(self.base_url, self.socket_path, seconds)


class SharedConnectionAdapter(UnixHTTPAdapter):
    """Keeps one connection alive for all requests to the socket at ``socket_path``.

    The SDK's own keeps one for every URL that was asked for, and the names of
    containers are in those.
    """

    def __init__(self, socket_path: str, timeout: Any) -> None:  # noqa: ANN401 -- see the client
        super().__init__(f"http+unix://{socket_path}", timeout)
        self._pool = _Pool(_ENGINE, socket_path, timeout, maxsize=1)

    def get_connection(self, url: object, proxies: object = None) -> Any:  # noqa: ANN401, ARG002
        """Return the one pool there is."""
        return self._pool

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._pool.close()
        super().close()
