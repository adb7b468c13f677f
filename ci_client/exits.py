"""Exit codes: one table for why a job ended, one for what went wrong."""

from __future__ import annotations

from enum import IntEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ci_common.errors import CIError


class Exit(IntEnum):
    """What the shell is told."""

    PASSED = 0
    JOB_FAILED = 1
    USAGE = 2
    INFRASTRUCTURE = 3
    AUTHENTICATION = 4
    UNREACHABLE = 5
    TIMED_OUT = 6
    CANCELLED = 7
    INTERRUPTED = 130
    BROKEN_PIPE = 141


EXIT_OF_REASON: Mapping[str, Exit] = {
    "passed": Exit.PASSED,
    "failed": Exit.JOB_FAILED,
    "no_tests": Exit.JOB_FAILED,
    "oom_killed": Exit.JOB_FAILED,
    "timed_out": Exit.TIMED_OUT,
    "cancelled": Exit.CANCELLED,
    "queue_timed_out": Exit.TIMED_OUT,
    "infra_error": Exit.INFRASTRUCTURE,
}

EXIT_OF_CODE: Mapping[str, Exit] = {
    "ambiguous_job": Exit.USAGE,
    "authentication_failed": Exit.AUTHENTICATION,
    "backup_unusable": Exit.INFRASTRUCTURE,
    "blobs_missing": Exit.INFRASTRUCTURE,
    "client_error": Exit.INFRASTRUCTURE,
    "configuration_error": Exit.USAGE,
    "container_failed": Exit.INFRASTRUCTURE,
    "container_gone": Exit.INFRASTRUCTURE,
    "database_full": Exit.INFRASTRUCTURE,
    "database_unusable": Exit.INFRASTRUCTURE,
    "delivery_not_found": Exit.USAGE,
    "engine_error": Exit.INFRASTRUCTURE,
    "engine_unavailable": Exit.INFRASTRUCTURE,
    "idempotency_conflict": Exit.INFRASTRUCTURE,
    "image_missing": Exit.INFRASTRUCTURE,
    "internal_error": Exit.INFRASTRUCTURE,
    "invalid_archive": Exit.USAGE,
    "invalid_option": Exit.USAGE,
    "invalid_recipe": Exit.USAGE,
    "invalid_request": Exit.USAGE,
    "invalid_transition": Exit.USAGE,
    "key_not_found": Exit.USAGE,
    "last_admin": Exit.USAGE,
    "name_taken": Exit.USAGE,
    "not_signed_in": Exit.AUTHENTICATION,
    "organisation_in_use": Exit.USAGE,
    "organisation_not_found": Exit.USAGE,
    "sign_in_refused": Exit.AUTHENTICATION,
    "provider_unavailable": Exit.INFRASTRUCTURE,
    "session_not_found": Exit.USAGE,
    "link_not_good": Exit.AUTHENTICATION,
    "permission_denied": Exit.AUTHENTICATION,
    "quota_exceeded": Exit.INFRASTRUCTURE,
    "user_not_found": Exit.USAGE,
    "job_not_found": Exit.USAGE,
    "result_not_found": Exit.USAGE,
    "project_gone": Exit.USAGE,
    "range_not_satisfiable": Exit.USAGE,
    "rate_limited": Exit.INFRASTRUCTURE,
    "request_timed_out": Exit.INFRASTRUCTURE,
    "secret_not_found": Exit.USAGE,
    "secrets_unreadable": Exit.INFRASTRUCTURE,
    "server_refused": Exit.INFRASTRUCTURE,
    "server_unreachable": Exit.UNREACHABLE,
    "storage_busy": Exit.INFRASTRUCTURE,
    "server_stopping": Exit.INFRASTRUCTURE,
    "storage_full": Exit.INFRASTRUCTURE,
    "upload_aborted": Exit.INFRASTRUCTURE,
    "upload_too_large": Exit.USAGE,
    "webhook_not_found": Exit.USAGE,
}


def exit_of_error(error: CIError) -> Exit:
    """Return the exit code of an error."""
    return EXIT_OF_CODE.get(error.code, Exit.INFRASTRUCTURE)


def exit_of_result(complete: Mapping[str, Any], *, passthrough: bool = False) -> int:
    """Return the exit code of a ``complete`` event.

    ``passthrough`` asks for the command's own exit code, where it has one.
    """
    exit_code = complete.get("exit_code")
    if passthrough and isinstance(exit_code, int):
        return exit_code
    return EXIT_OF_REASON[reason_of(complete)]


def reason_of(complete: Mapping[str, Any]) -> str:
    """Return why the job ended; what an unknown reason of a newer server comes down to."""
    reason = complete.get("reason")
    if reason in EXIT_OF_REASON:
        return str(reason)
    return "passed" if complete.get("success") else "failed"
