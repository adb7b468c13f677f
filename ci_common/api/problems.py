"""Errors as HTTP shows them (RFC 9457)."""

from collections.abc import Sequence

import msgspec

PROBLEM_MEDIA_TYPE = "application/problem+json"
PROBLEM_TYPE_PREFIX = "urn:standby-ci:problem:"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document. ``code`` is the stable error code, ``hint`` the way out.

    ``missing``, with ``blobs_missing`` only: first and last number of each run
    of rows of the manifest whose contents the server does not have.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    hint: str | None = None
    instance: str | None = None
    missing: Sequence[tuple[int, int]] | None = None
