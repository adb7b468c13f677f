"""Secrets of jobs as HTTP shows them: all but their values."""

from typing import Annotated

import msgspec

from ci_common.clock import format_utc
from ci_common.job_secrets import LARGEST_VALUE, SHORTEST_VALUE, Secret

VALUE_PATTERN = r"^[^\x00]*\S[^\x00]{6,}\S[^\x00]*$"
"""No NUL, and not too short without the blanks around it."""


class SecretRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The value of a secret: text of at least 8 bytes without blanks around it, at most 64 KiB."""

    value: Annotated[
        str,
        msgspec.Meta(
            min_length=SHORTEST_VALUE,
            max_length=LARGEST_VALUE,
            extra_json_schema={"pattern": VALUE_PATTERN, "format": "password", "writeOnly": True},
        ),
    ]

    def __repr__(self) -> str:
        """Return text without the value: what ends up in a log must not have it."""
        return "SecretRequest(value='…')"


class SecretView(msgspec.Struct, frozen=True, kw_only=True):
    """One secret, without its value. Times are UTC in RFC 3339 with a ``Z``.

    ``organisation`` is a name, ``""`` on a server without accounts; ``project`` is ``""``
    for a secret of all projects.
    """

    name: str
    project: str
    organisation: str
    created_at: str
    updated_at: str


def secret_view(secret: Secret, organisation: str) -> SecretView:
    """Return what clients may see of a secret; ``organisation`` is the name of its own."""
    return SecretView(
        name=secret.place.name,
        project=secret.place.project,
        organisation=organisation,
        created_at=format_utc(secret.created_at),
        updated_at=format_utc(secret.updated_at),
    )
