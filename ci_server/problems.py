"""Errors as answers: which error becomes which status, and the document that says it."""

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import Scope

from ci_common import errors
from ci_common.api import PROBLEM_MEDIA_TYPE, PROBLEM_TYPE_PREFIX, Problem
from ci_common.errors import CIError
from ci_server.request_ids import request_id_of
from ci_server.request_telemetry import PROBLEM_CODE

STATUS_OF_CODE: Mapping[str, HTTPStatus] = MappingProxyType(
    {
        CIError.code: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.InvalidRequest.code: HTTPStatus.BAD_REQUEST,
        errors.InvalidArchive.code: HTTPStatus.BAD_REQUEST,
        errors.InvalidRecipe.code: HTTPStatus.BAD_REQUEST,
        errors.InvalidOption.code: HTTPStatus.BAD_REQUEST,
        errors.RangeNotSatisfiable.code: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        errors.UploadTooLarge.code: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        errors.UploadAborted.code: HTTPStatus.BAD_REQUEST,
        errors.RateLimited.code: HTTPStatus.TOO_MANY_REQUESTS,
        errors.RequestTimedOut.code: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.JobNotFound.code: HTTPStatus.NOT_FOUND,
        errors.ResultNotFound.code: HTTPStatus.NOT_FOUND,
        errors.ProjectGone.code: HTTPStatus.GONE,
        errors.AmbiguousJob.code: HTTPStatus.CONFLICT,
        errors.WebhookNotFound.code: HTTPStatus.NOT_FOUND,
        errors.DeliveryNotFound.code: HTTPStatus.NOT_FOUND,
        errors.NotSignedIn.code: HTTPStatus.UNAUTHORIZED,
        errors.SignInRefused.code: HTTPStatus.FORBIDDEN,
        errors.ProviderUnavailable.code: HTTPStatus.BAD_GATEWAY,
        errors.SessionNotFound.code: HTTPStatus.NOT_FOUND,
        errors.LinkNotGood.code: HTTPStatus.GONE,
        errors.PermissionDenied.code: HTTPStatus.FORBIDDEN,
        errors.UserNotFound.code: HTTPStatus.NOT_FOUND,
        errors.OrganisationNotFound.code: HTTPStatus.NOT_FOUND,
        errors.KeyNotFound.code: HTTPStatus.NOT_FOUND,
        errors.SecretNotFound.code: HTTPStatus.NOT_FOUND,
        errors.SecretsUnreadable.code: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.NameTaken.code: HTTPStatus.CONFLICT,
        errors.LastAdmin.code: HTTPStatus.CONFLICT,
        errors.OrganisationInUse.code: HTTPStatus.CONFLICT,
        # Not 403: what is refused now is taken as soon as the organisation has room again.
        errors.QuotaExceeded.code: HTTPStatus.TOO_MANY_REQUESTS,
        # The draft of the Idempotency-Key header asks for 422 when the content differs.
        errors.IdempotencyConflict.code: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.BlobsMissing.code: HTTPStatus.CONFLICT,
        errors.StorageFull.code: HTTPStatus.INSUFFICIENT_STORAGE,
        # Nothing is wrong with what was sent, and reading works: as soon as there is room, again.
        errors.DatabaseFull.code: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.StorageBusy.code: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.ServerStopping.code: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.DatabaseUnusable.code: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.BackupUnusable.code: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.InvalidTransition.code: HTTPStatus.CONFLICT,
        errors.ConfigurationError.code: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.EngineError.code: HTTPStatus.BAD_GATEWAY,
        errors.EngineUnavailable.code: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.ImageMissing.code: HTTPStatus.BAD_GATEWAY,
        errors.ContainerGone.code: HTTPStatus.BAD_GATEWAY,
        errors.ContainerFailed.code: HTTPStatus.BAD_GATEWAY,
        # What a client says of a server; here it would be a fault of ours.
        errors.ClientError.code: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.ServerUnreachable.code: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.AuthenticationFailed.code: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.ServerRefused.code: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)

RETRY_AFTER = MappingProxyType(
    {HTTPStatus.SERVICE_UNAVAILABLE: "2", HTTPStatus.INSUFFICIENT_STORAGE: "60"}
)
"""Seconds a client is asked to wait before it repeats a request, by the status of the answer."""

_CODE_OF_STATUS = {HTTPStatus.BAD_REQUEST: errors.InvalidRequest.code}

_logger = logging.getLogger(__name__)


def problem_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Return the problem document for whatever a handler raised; log what is our fault."""
    problem, headers = described(request.scope, error)
    return Response(
        msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=headers,
    )


def described(scope: Scope, error: Exception) -> tuple[Problem, Mapping[str, str]]:
    """Return the problem document and its headers; log what is our fault."""
    problem, headers = _describe(scope, error)
    scope.setdefault("state", {})[PROBLEM_CODE] = problem.code
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log_fault(problem, error)
    return problem, headers


def _describe(scope: Scope, error: Exception) -> tuple[Problem, Mapping[str, str]]:
    request_id, instance = request_id_of(scope), scope["path"]
    headers: dict[str, str] = {}
    hint: str | None = None
    if isinstance(error, CIError):
        status, code, detail, hint = (
            STATUS_OF_CODE[error.code],
            error.code,
            error.detail,
            error.hint,
        )
        title = (type(error).__doc__ or code).strip().splitlines()[0]
    elif isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        title, detail = status.phrase, _detail_of(error, status)
        code = _CODE_OF_STATUS.get(status) or status.phrase.lower().replace(" ", "_")
        headers.update(error.headers or {})
    else:
        status, code = HTTPStatus.INTERNAL_SERVER_ERROR, CIError.code
        title = "Internal error"
        detail = f"internal error; the server's log has the cause under request {request_id}"
    if isinstance(error, errors.ServerStopping):
        headers["Connection"] = "close"  # a new one goes to a server that stays
    if isinstance(error, errors.NotSignedIn):
        headers["WWW-Authenticate"] = _challenge(scope)
    if isinstance(error, errors.RateLimited):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    elif status in RETRY_AFTER:
        headers.setdefault("Retry-After", RETRY_AFTER[status])
    problem = Problem(
        type=PROBLEM_TYPE_PREFIX + code,
        title=title,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
        hint=hint,
        instance=instance,
        missing=error.missing if isinstance(error, errors.BlobsMissing) else None,
    )
    return problem, headers


def _challenge(scope: Scope) -> str:
    # RFC 6750: who showed a token is told that it is not good, who showed none is not.
    shown = any(name == b"authorization" for name, _ in scope["headers"])
    return 'Bearer realm="Standby CI"' + (', error="invalid_token"' if shown else "")


def _detail_of(error: HTTPException, status: HTTPStatus) -> str:
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        found = [f"{item.get('key', '')}: {item.get('message', '')}" for item in error.extra]
        return "; ".join(found) or error.detail
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        return f"this path takes other methods: {(error.headers or {}).get('allow', '')}"
    if status is HTTPStatus.NOT_FOUND:
        return "there is nothing at this path; /schema lists what there is"
    return error.detail or status.description


def _log_fault(problem: Problem, error: Exception) -> None:
    if isinstance(error, CIError):
        _logger.warning("%s: %s (request %s)", problem.code, problem.detail, problem.request_id)
    else:
        _logger.error("unexpected error (request %s)", problem.request_id, exc_info=error)
