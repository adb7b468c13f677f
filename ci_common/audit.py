"""Who did what, from where: entries that are written once and never changed.

Each entry carries a digest of itself and of the one before it, so that whoever
goes over the log from the beginning sees where something was changed, left out
or put in between. Nothing secret and no body of a request is ever in one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ci_common.access import Within

LONGEST_TEXT = 500
"""Characters of a subject or a detail that are kept."""

ON_THE_MACHINE = "machine"
"""The credential of who runs ``ci admin``: an account of the operating system."""


class AuditedAction(StrEnum):
    """What was done. The names never change once released."""

    SIGN_IN = "session.sign_in"
    SIGN_OUT = "session.sign_out"
    SESSION_END = "session.end"
    """Somebody's session was ended by another than itself."""
    TOKEN_ISSUE = "token.issue"  # noqa: S105 -- a name
    PASSWORD_CHANGE = "password.change"  # noqa: S105 -- a name
    INVITE = "user.invite"
    """A one-time link was made."""
    ACCESS_REFUSED = "access.refused"
    """A credential was not good, or not for this."""

    USER_ADD = "user.add"
    USER_CHANGE = "user.change"
    USER_REMOVE = "user.remove"
    ORGANISATION_ADD = "organisation.add"
    ORGANISATION_CHANGE = "organisation.change"
    ORGANISATION_REMOVE = "organisation.remove"
    MEMBER_SET = "member.set"
    """A user was given a role."""
    MEMBER_REMOVE = "member.remove"
    KEY_ADD = "key.add"
    KEY_CHANGE = "key.change"
    KEY_ROTATE = "key.rotate"
    KEY_REVOKE = "key.revoke"

    SECRET_SET = "secret.set"  # noqa: S105 -- a name
    SECRET_REMOVE = "secret.remove"  # noqa: S105 -- a name
    SECRETS_REENCRYPT = "secrets.reencrypt"
    """All secrets were encrypted with another key."""

    WEBHOOK_ADD = "webhook.add"
    WEBHOOK_CHANGE = "webhook.change"
    WEBHOOK_REMOVE = "webhook.remove"
    WEBHOOK_ROTATE = "webhook.rotate"
    WEBHOOK_TEST = "webhook.test"
    WEBHOOK_REDELIVER = "webhook.redeliver"

    JOB_SUBMIT = "job.submit"
    JOB_RETRY = "job.retry"
    JOB_CANCEL = "job.cancel"
    CACHE_PRUNE = "cache.prune"

    BACKUP = "data.backup"
    RESTORE = "data.restore"
    REPAIR = "data.repair"


JOB_ACTIONS = frozenset(
    {AuditedAction.JOB_SUBMIT, AuditedAction.JOB_RETRY, AuditedAction.JOB_CANCEL}
)
"""What is written of jobs where accounts are in force only: else a job's events say enough."""


class Outcome(StrEnum):
    """What became of it."""

    OK = "ok"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that somebody did, or was not let do.

    ``at`` is in UTC; it may go back when a clock is set. ``actor_id`` is the
    user's, ``""`` for nobody's; ``actor`` its name then, that of the account of
    the operating system for ``ci admin``. ``credential`` says of which kind that
    was (``Credential``, or ``ON_THE_MACHINE``), ``credential_id`` its public id.
    ``address`` and ``request_id`` are ``""`` on the machine itself.
    ``organisation`` is an id, ``""`` for the server as a whole. ``subject`` names
    what it was done to, ``detail`` how.
    """

    at: datetime
    action: AuditedAction
    subject: str = ""
    outcome: Outcome = Outcome.OK
    actor_id: str = ""
    actor: str = ""
    credential: str = ""
    credential_id: str = ""
    address: str = ""
    request_id: str = ""
    organisation: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry that was written. ``seq`` grows by one with each; ``digest`` is its SHA-256."""

    seq: int
    entry: AuditEntry
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries are wanted: those that agree in everything that is given.

    ``actor`` is a name, whatever its case, or an id. ``action`` may be the first
    part of a name: ``key`` for all that was done to keys. ``since`` is the first
    moment that is wanted, ``until`` the first that is not any more.
    """

    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    action: str | None = None
    outcome: Outcome | None = None
    within: Within = None
    """Of these organisations; None for all, and for the server as a whole."""


class AuditLog(Protocol):
    """Where entries are kept: for good, and in the order in which they were written.

    Any number of tasks and processes may call at once. Every method may raise
    ``StorageBusy`` or ``DatabaseFull``; nothing was written then.
    """

    async def record(self, entry: AuditEntry) -> None:
        """Write an entry; it is on disk when this returns."""
        ...

    async def entries(
        self, wanted: AuditFilter, *, limit: int, before: int | None = None
    ) -> Sequence[StoredEntry]:
        """Return at most ``limit`` wanted entries, newest first, below the ``seq`` ``before``."""
        ...
