"""Which entries of the audit log are asked for, in a request or on the machine."""

from datetime import datetime

from ci_common.audit import AuditedAction, AuditFilter, Outcome
from ci_common.errors import InvalidRequest
from ci_server.job_query import asked_moment

ACTION_NAMES = sorted(
    {name for each in AuditedAction for name in (each.value, each.value.partition(".")[0])}
)
"""What can be asked for: each action, and the first part of its name for all that have it."""

LONGEST_NAME = 100


def asked_entries(
    *,
    since: str | None,
    until: str | None,
    actor: str | None,
    action: str | None,
    outcome: Outcome | None,
    now: datetime,
) -> AuditFilter:
    """Return which entries are asked for, of all organisations.

    Raises:
        InvalidRequest: a time is none, or there is no such action.

    """
    if action is not None and action not in ACTION_NAMES:
        known = ", ".join(sorted({each.value.partition(".")[0] for each in AuditedAction}))
        raise InvalidRequest(
            f"action: there is none {action[:LONGEST_NAME]!r}",
            hint=f"Give a whole one (key.revoke) or its first part: {known}.",
        )
    return AuditFilter(
        since=asked_moment("since", since, now),
        until=asked_moment("until", until, now),
        actor=actor,
        action=action,
        outcome=outcome,
    )
