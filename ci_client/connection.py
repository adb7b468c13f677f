"""HTTP towards one server, and its failures in our own terms."""

from __future__ import annotations

import os
import socket

from ci_client.address import read_address
from ci_client.exchange import CONNECT_TIMEOUT, Http, NotConnected
from ci_common import __version__
from ci_common.errors import (
    AuthenticationFailed,
    BlobsMissing,
    CIError,
    ConfigurationError,
    ServerRefused,
    ServerUnreachable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from ci_client.address import Address
    from ci_client.exchange import Response

_BODY_SHOWN = 200
_LOOPBACK_6 = bytes(15) + b"\1"
_SILENCE = "nothing came for too long"
_PROBLEM_SIZE = 2 * 1024 * 1024
"""Bytes that are read of a problem: one that lists missing files can be long."""
TOO_MANY = 429
"""The status of an answer to who asks too often."""
_TRANSIENT = frozenset({TOO_MANY, 502, 503, 504})


class ServerBusy(ServerRefused):
    """The server cannot answer now, and may soon.

    ``error`` is what to report if it never does; ``retry_after`` in seconds.
    ``limited``: it could, but we asked too often.
    """

    def __init__(self, error: CIError, retry_after: float, *, limited: bool = False) -> None:
        super().__init__(error.detail, hint=error.hint)
        self.error = error
        self.retry_after = retry_after
        self.limited = limited


def open_http(
    server_url: str,
    api_key: str | None,
    organisation: str | None = None,
    on_answer: Callable[[Mapping[str, str]], None] | None = None,
) -> Http:
    """Return what reaches one server, for an organisation. Nothing is sent yet.

    ``on_answer`` is told the headers of each answer.

    Raises:
        ConfigurationError: the address, the key or the organisation cannot be used.

    """
    address = _checked_address(server_url)
    headers = {"User-Agent": f"standby-ci/{__version__}"}
    if api_key:
        headers["Authorization"] = f"Bearer {_checked_key(api_key)}"
    if organisation:
        headers["CI-Organisation"] = _checked_organisation(organisation)
    # No proxy can reach this machine's own loopback for us.
    return Http(address, headers, trust_env=not is_loopback(address.host), on_answer=on_answer)


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is this machine by name or address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    number = _number(socket.AF_INET, host)
    return number[0] == 127 if number else _number(socket.AF_INET6, host) == _LOOPBACK_6


def _number(family: int, host: str) -> bytes | None:
    try:
        return socket.inet_pton(family, host)
    except OSError:
        return None


def is_loopback_url(server_url: str) -> bool:
    """Return whether a server's address is on this machine.

    Raises:
        ConfigurationError: it is no address.

    """
    return is_loopback(_checked_address(server_url).host)


def tells_key_to_listeners(server_url: str) -> bool:
    """Return whether a key would go to another machine in the clear. Raises as ``open_http``."""
    address = _checked_address(server_url)
    return address.scheme == "http" and not is_loopback(address.host)


def _checked_address(server_url: str) -> Address:
    text = server_url.strip()
    if not text.isprintable() or " " in text:
        raise _bad_url(server_url, "it has characters that no address has")
    try:
        return read_address(text)
    except ValueError as error:
        raise _bad_url(server_url, str(error)) from error


def _bad_url(server_url: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{server_url!r} is not a server's address: {reason}",
        hint="Write it like http://localhost:8000. `ci config show --origin` tells where "
        "it comes from.",
    )


def _checked_key(api_key: str) -> str:
    key = api_key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(
            "the API key has characters that no key has",
            hint="`ci config show --origin` tells where it comes from.",
        )
    from ci_common.api_keys import KEY_PREFIX, is_whole

    if key.startswith(KEY_PREFIX) and not is_whole(key):
        raise ConfigurationError(
            "the API key is mistyped or cut off: its end does not fit the rest",
            hint="`ci config show --origin` tells where it comes from.",
        )
    return key


def _checked_organisation(name: str) -> str:
    if not name.isascii() or not name.isprintable():
        raise ConfigurationError(
            f"{name!r} is not the name of an organisation",
            hint="`ci config show --origin` tells where it comes from.",
        )
    return name


def unreachable(url: str, error: Exception) -> ServerUnreachable:
    """Return what to say when ``error`` kept us from the server at ``url``."""
    cause = describe(error)
    hint = "Start one with `ci serve`, or name another with --server or CI_SERVER_URL."
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        hint = "If the certificate is your own, name its authority: SSL_CERT_FILE=ca.pem"
    return ServerUnreachable(f"the server at {url} cannot be reached: {cause}", hint=hint)


def describe(error: BaseException) -> str:
    """Return the cause of a failed connection in a few words."""
    from ssl import SSLError

    from ci_client.answer import EndedTooSoon

    for cause in _causes(error):
        if isinstance(cause, TimeoutError):
            absent = isinstance(error, NotConnected)
            return f"no connection within {CONNECT_TIMEOUT:g} s" if absent else _SILENCE
        if isinstance(cause, EndedTooSoon):
            return "it was closed from there"
        if isinstance(cause, SSLError | socket.gaierror):
            return str(cause.strerror)  # their numbers are not the system's
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
    return str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def refuse_problems(response: Response) -> None:
    """Return if the answer is a good one; its body may still be unread.

    Raises:
        AuthenticationFailed: the server wants a key, or another one.
        ServerBusy: it may answer later.
        CIError: the class the server's error code names; ``ServerRefused``
            when it names none of ours.

    """
    if 200 <= response.status < 300:
        return
    body = _start_of(response)
    error = _error_of(response, body)
    if response.status in _TRANSIENT:
        limited = response.status == TOO_MANY
        raise ServerBusy(error, _retry_after(response), limited=limited)
    raise error


def _start_of(response: Response) -> bytes:
    body = b""
    for data in response.pieces():
        body += data
        if len(body) > _PROBLEM_SIZE:
            break
    return body


def _error_of(response: Response, body: bytes) -> CIError:
    problem = _problem(body)
    detail = problem.get("detail") or _foreign_answer(response, body)
    hint = problem.get("hint")
    if response.status == 401:
        return _not_signed_in(response, str(detail))
    if response.status == 403 and not problem:
        return AuthenticationFailed(str(detail), hint="Give another key with CI_API_KEY.")
    known = _classes().get(str(problem.get("code")), ServerRefused)
    error = known(str(detail), hint=hint)
    if isinstance(error, BlobsMissing):
        error.missing = _runs(problem.get("missing"))
    request_id = problem.get("request_id")
    if request_id and response.status >= 500:
        error.add_note(f"request {request_id}")
    return error


def _not_signed_in(response: Response, detail: str) -> AuthenticationFailed:
    error = AuthenticationFailed(
        detail, hint=f"Sign in: ci login --server {response.server}; or set CI_API_KEY."
    )
    error.add_note("the key was refused" if response.with_key else "no key was sent")
    return error


def _runs(missing: object) -> list[tuple[int, int]]:
    pairs = missing if isinstance(missing, list) else []
    return [(int(first), int(last)) for first, last in pairs]


def _problem(body: bytes) -> dict[str, Any]:
    import json

    try:
        problem = json.loads(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _classes() -> dict[str, type[CIError]]:
    """Return all our error classes by code."""
    found: dict[str, type[CIError]] = {}
    waiting: list[type[CIError]] = [CIError]
    while waiting:
        known = waiting.pop()
        if "code" in vars(known):
            found[known.code] = known
        waiting += known.__subclasses__()
    return found


def _foreign_answer(response: Response, body: bytes) -> str:
    """Return what to say of an answer that is no problem document, and maybe not our server's."""
    start = f"{response.url} answered {response.status} {response.reason}"
    if response.status // 100 == 3:
        return f"{start} to {response.headers.get('location')}; is that the server's address?"
    text = " ".join(body[:_BODY_SHOWN].decode(errors="replace").split())
    return f"{start}: {text}" if text else start


def _retry_after(response: Response) -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0
