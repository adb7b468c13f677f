"""The SDK's low-level client with a deadline on every request, and clients to borrow.

A client must not be used by two threads at once, so a thread borrows one for
as long as it needs it.
"""

import io
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import docker
import docker.utils
import requests
from docker.constants import DEFAULT_DOCKER_API_VERSION as _ANY_VERSION
from docker.errors import APIError, DockerException, create_api_error_from_http_exception
from docker.transport import UnixHTTPAdapter

from ci_controller.docker_engine.unix_socket import SharedConnectionAdapter

_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    # A minute of silence from a remote engine's machine, then three questions.
    *(
        (socket.IPPROTO_TCP, getattr(socket, option), value)
        for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 3))
        if hasattr(socket, option)
    ),
)


class EngineClient(docker.APIClient):
    """One connection's worth of engine. ``timeout`` seconds bound each silence."""

    _version: str
    """The SDK's own, which its annotations do not mention."""

    @classmethod
    def from_environment(cls, *, timeout: float, version: str | None = None) -> "EngineClient":
        """Connect as ``docker.from_env`` does: DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH.

        Without a ``version`` the engine is asked for its own. Raises what the SDK raises.
        """
        settings = docker.utils.kwargs_from_env()
        if str(settings.get("base_url", "")).startswith("ssh://"):
            raise DockerException(
                "DOCKER_HOST=ssh://… cannot carry a job's streams; "
                "forward the engine's socket with `ssh -L` and name that"
            )
        # The SDK's annotations lag behind its code: fractions of a second are fine.
        client = cls(version=_ANY_VERSION, timeout=timeout, **settings)  # type: ignore[arg-type]
        client._share_connection()
        try:
            client._version = version or client._ask_version()
        except BaseException:
            client.close()
            raise
        return client

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        """Send a request; the SDK's attach would wait for its answer for ever."""
        kwargs.setdefault("timeout", self.timeout)
        # Else REQUESTS_CA_BUNDLE would count for more than DOCKER_CERT_PATH.
        kwargs.setdefault("verify", self.verify)
        return super().request(*args, **kwargs)

    def open_attach(self, name: str, **streams: int) -> requests.Response:
        """Attach to the ``streams`` of a container; return the open response.

        The container's output is being kept for us once this returns: the
        engine registers the reader before it answers.
        """
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"} if "stdin" in streams else None
        params = streams | {"stream": 1}
        url = self._container_url(name, "attach")
        return _checked(self.post(url, params=params, headers=headers, stream=True))

    def open_logs(self, name: str, **params: int | str) -> requests.Response:
        """Open a container's log as the engine keeps it; return the open response."""
        url = self._container_url(name, "logs")
        return _checked(self.get(url, params=params, stream=True))

    def open_archive(self, name: str, path: str) -> requests.Response:
        """Open a tar of what a container, even an ended one, has at ``path``."""
        url = self._container_url(name, "archive")
        # Packing would only take time: it does not travel far.
        headers = {"Accept-Encoding": "identity"}
        return _checked(self.get(url, params={"path": path}, headers=headers, stream=True))

    def open_events(self, filters: Mapping[str, Sequence[str]]) -> requests.Response:
        """Open the engine's events from now on, a line of JSON each; return the open response."""
        url = f"{self.base_url}/v{self.api_version}/events"
        params = {"filters": json.dumps(filters)}
        return _checked(self.get(url, params=params, stream=True))

    def _ask_version(self) -> str:
        answer: Any = self.version(api_version=False)
        if not isinstance(answer, dict) or "ApiVersion" not in answer:
            raise DockerException("what answers there is not a Docker engine")
        return str(answer["ApiVersion"])

    def _share_connection(self) -> None:
        sdks_own = self.get_adapter(str(self.base_url))
        if isinstance(sdks_own, UnixHTTPAdapter):
            self.mount(
                "http+docker://", SharedConnectionAdapter(sdks_own.socket_path, self.timeout)
            )
            sdks_own.close()

    def _container_url(self, name: str, verb: str) -> str:
        return f"{self.base_url}/v{self.api_version}/containers/{quote(name)}/{verb}"


def _checked(response: requests.Response) -> requests.Response:
    try:
        response.raise_for_status()
    except requests.HTTPError as error:
        with response:  # the explanation is read from it
            raise create_api_error_from_http_exception(error) from error
    return response


def socket_of(response: requests.Response) -> socket.socket:
    """Return the socket beneath an open response, of a plain or a TLS connection."""
    # No public way leads there; the SDK's own attach_socket goes the same one.
    raw: Any = response.raw
    connection: socket.socket = raw._fp.fp.raw._sock  # noqa: SLF001
    return connection


def body_of(response: requests.Response) -> tuple[io.BufferedReader, bool]:
    """Return the reader of an open response's raw body, and whether that is in chunked coding."""
    raw: Any = response.raw
    return raw._fp.fp, raw._fp.chunked  # noqa: SLF001 -- as above


def make_patient(connection: socket.socket) -> None:
    """Let a socket wait for ever for a job that is silent, but not for a machine that is gone."""
    connection.settimeout(None)
    if connection.family != socket.AF_UNIX:
        for option in _KEEPALIVE:
            connection.setsockopt(*option)


class ClientPool:
    """Clients at rest, each used by one thread at a time."""

    def __init__(self, *, timeout: float) -> None:
        self._timeout = timeout
        self._idle: list[EngineClient] = []
        self._version: str | None = None
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def borrow(self) -> Iterator[EngineClient]:
        """Lend a client. One whose connection failed is not lent again.

        Raises what the SDK raises.
        """
        client = self.take()
        try:
            yield client
        except APIError:
            self.give_back(client)
            raise
        except BaseException:
            self.drop(client)
            raise
        else:
            self.give_back(client)

    def take(self) -> EngineClient:
        """Lend a client until it is given back or dropped."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self.make()

    def make(self) -> EngineClient:
        """Return a client with a connection of its own, which has not been used before."""
        with self._lock:
            version = self._version
        client = EngineClient.from_environment(timeout=self._timeout, version=version)
        with self._lock:
            self._version = client.api_version
        return client

    def give_back(self, client: EngineClient) -> None:
        """Take a client back to lend it again."""
        with self._lock:
            if not self._closed:
                self._idle.append(client)
                return
        client.close()

    def drop(self, client: EngineClient) -> None:
        """Close a client whose connection failed: another engine may answer the next one."""
        with self._lock:
            self._version = None
        client.close()

    def close(self) -> None:
        """Close the clients at rest, and later those that are out. Idempotent."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for client in idle:
            client.close()
