"""What the engine and its SDK raise, in our own words.

The SDK lets through what its HTTP library raises, and that what sockets raise:
one place knows them all.
"""

import http.client
from contextlib import suppress

import requests.exceptions
import urllib3.exceptions
from docker.errors import APIError, DockerException, NotFound, TLSParameterError

from ci_common.errors import (
    CIError,
    ConfigurationError,
    ContainerFailed,
    ContainerGone,
    EngineError,
    EngineUnavailable,
)

TRANSPORT_FAULTS = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)
"""What a connection to the engine may raise at any time."""

SDK_FAULTS = (DockerException, *TRANSPORT_FAULTS)
"""What a call to the engine may raise."""

_HINT = "Start Docker, or set DOCKER_HOST to where it listens; `ci doctor` checks it."


def engine_unavailable(detail: str) -> EngineUnavailable:
    """Return the error for an engine that does not answer."""
    return EngineUnavailable(f"The Docker engine does not answer: {detail}.", hint=_HINT)


def engine_fault(error: Exception, about: str) -> CIError:
    """Return what ``error``, raised while ``about``, means to us."""
    match error:
        case TLSParameterError():
            return ConfigurationError(
                f"The Docker TLS settings are wrong: {error}",
                hint="Check DOCKER_CERT_PATH and DOCKER_TLS_VERIFY.",
            )
        case NotFound():
            return ContainerGone(f"{about}: {explanation(error)}")
        case APIError() if error.status_code in {502, 503, 504}:
            return engine_unavailable(explanation(error))
        case APIError():
            return EngineError(f"{about}: {explanation(error)}")
        case _:
            return engine_unavailable(_root_cause(error))


def refusal(error: APIError, about: str, *, hint: str | None = None) -> CIError:
    """Return the error for a container that the engine will not create or start."""
    if error.status_code in {502, 503, 504}:
        return engine_unavailable(explanation(error))
    return ContainerFailed(f"{about}: {explanation(error)}", hint=hint)


def explanation(error: APIError) -> str:
    """Return the engine's own words."""
    return str(error.explanation or error).strip()


def _root_cause(error: BaseException) -> str:
    """Return the last link of the chain: the others only say that something failed."""
    seen: BaseException = error
    while inner := _inner(seen):
        seen = inner
    if isinstance(seen, FileNotFoundError):
        return "there is no socket where it should listen"
    if isinstance(seen, PermissionError):
        return "this user may not use its socket (is it in the docker group?)"
    if isinstance(seen, TimeoutError | urllib3.exceptions.TimeoutError):
        return "it took too long"
    return str(seen).strip().rstrip(".") or type(seen).__name__


def _inner(error: BaseException) -> BaseException | None:
    if error.__cause__ or error.__context__:
        return error.__cause__ or error.__context__
    with suppress(AttributeError, IndexError):
        reason = getattr(error, "reason", None) or error.args[0]
        if isinstance(reason, BaseException):
            return reason
    return None
