"""What an organisation has of what it may have, as HTTP shows it."""

import msgspec

from ci_common.quotas import Quotas, Usage


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of something. ``limit`` is null where there is none."""

    used: int
    limit: int | None


class UsageView(msgspec.Struct, frozen=True, kw_only=True):
    """What an organisation has, and may have: jobs, and bytes of what is kept."""

    organisation: str
    running: Amount
    queued: Amount
    project_bytes: Amount
    artifact_bytes: Amount


def usage_view(organisation: str, usage: Usage, quotas: Quotas) -> UsageView:
    """Return what clients see of an organisation's usage; ``organisation`` is its name."""
    return UsageView(
        organisation=organisation,
        running=Amount(used=usage.running, limit=quotas.running or None),
        queued=Amount(used=usage.queued, limit=quotas.queued or None),
        project_bytes=Amount(used=usage.project_bytes, limit=quotas.project_bytes or None),
        artifact_bytes=Amount(used=usage.artifact_bytes, limit=quotas.artifact_bytes or None),
    )
