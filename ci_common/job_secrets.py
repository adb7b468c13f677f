"""Secrets of jobs: what they are, and what is asked of whatever keeps them.

A secret belongs to an organisation, or to one of its projects, whose own wins.
Its value goes in and comes out nowhere but in the environment of jobs that ask
for it. While a job runs, what it was given is kept too: whoever goes on with
its log after a crash has to know what must not be in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ci_common.access import Within
from ci_common.errors import InvalidRequest
from ci_common.recipe.config import ENV_NAME, check_env_name
from ci_common.recipe.config import MOST_SECRETS as MOST_FOR_A_JOB

LONGEST_NAME = 100
SHORTEST_VALUE = 8
"""Bytes, without blanks around it: masking less would make logs unreadable, and give it away."""

LARGEST_VALUE = 64 * 1024
"""Bytes."""

MOST_SECRETS = 500
"""In an organisation with all of its projects."""

NAME_PATTERN = f"^{ENV_NAME.pattern}$"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlace:
    """Where a secret belongs, and what its variable is called; ``project`` is ``""`` for all."""

    organisation: str
    project: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """What may be known of a secret: all but its value."""

    place: SecretPlace
    created_at: datetime
    updated_at: datetime


class SecretStore(Protocol):
    """Where secrets are kept, encrypted with a key that is kept elsewhere.

    Durable: a call that returned is on disk. Any number of tasks and processes
    may call at once. Every method may raise ``StorageBusy`` or ``DatabaseFull``; those
    that need a key raise ``SecretsUnreadable`` where it is missing, or another one.
    Nothing was changed then.
    """

    async def all(self, *, within: Within, project: str | None = None) -> Sequence[Secret]:
        """Return the secrets of those organisations, or of one project of theirs, by place."""
        ...

    async def set(self, place: SecretPlace, value: str, *, now: datetime) -> tuple[Secret, bool]:
        """Keep a value in place of the one before; return the secret and whether it is new.

        Raises:
            InvalidRequest: the organisation has ``MOST_SECRETS``.

        """
        ...

    async def remove(self, place: SecretPlace) -> None:
        """Delete a secret. Raises ``SecretNotFound``."""
        ...

    async def missing(self, organisation: str, project: str, names: Iterable[str]) -> Sequence[str]:
        """Return those of ``names`` that a job of this project could not be given, in order."""
        ...

    async def give(self, job_id: str, attempt: int, names: Iterable[str]) -> Mapping[str, str]:
        """Return the values for an attempt, as they are now, once it is noted that it has them.

        What an earlier attempt of the job was given is forgotten, and what ended jobs were.

        Raises:
            SecretNotFound: one of them is not there (any more).

        """
        ...

    async def given(self, job_id: str) -> Mapping[str, str]:
        """Return what a job's latest attempt was given; nothing if that is over, or was never."""
        ...

    async def take_back(self, job_id: str, attempt: int) -> None:
        """Forget what an attempt was given. Idempotent."""
        ...


def check_secret_name(name: str) -> str:
    """Return the name of a secret if it can be one of a variable.

    Raises:
        ValueError: it cannot; the text says why.

    """
    if len(name) > LONGEST_NAME:
        raise ValueError(f"the name has more than {LONGEST_NAME} characters")
    return check_env_name(name)


def check_secret_value(value: str) -> str:
    """Return the value of a secret if it can be kept, given and masked.

    Raises:
        InvalidRequest: it cannot; the text says why, and holds nothing of it.

    """
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise _refused("is not text in UTF-8", "Encode it, for example in base64.") from None
    if "\0" in value:
        raise _refused("holds a NUL, which no variable can", "Encode it, for example in base64.")
    if size > LARGEST_VALUE:
        raise _refused(
            f"has {size} bytes; {LARGEST_VALUE} are the most",
            "Keep the rest elsewhere, and the key to it here.",
        )
    if len(value.strip().encode()) < SHORTEST_VALUE:
        raise _refused(
            f"has fewer than {SHORTEST_VALUE} bytes without the blanks around it",
            "So short a text cannot be masked in logs; make a longer one.",
        )
    return value


def _refused(problem: str, way_out: str) -> InvalidRequest:
    return InvalidRequest(f"the field value: it {problem}", hint=way_out)


def read_secret_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the names of secrets that a job asks for, once each.

    Raises:
        ValueError: one is none, or there are too many; the text says so.

    """
    names = tuple(dict.fromkeys(check_secret_name(text.strip()) for text in texts))
    if len(names) > MOST_FOR_A_JOB:
        raise ValueError(f"there are {len(names)} of them; {MOST_FOR_A_JOB} are the most")
    return names
