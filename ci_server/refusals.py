"""Refused attempts in the audit log: the first of each kind at once, repeats as a number.

However many there are, only so much is written: who has nothing but a wrong key
must not be able to fill the disk.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from litestar.connection import ASGIConnection
from litestar.types import Scope

from ci_common.access import Actor
from ci_common.audit import AuditedAction, AuditEntry, AuditLog, Outcome
from ci_common.clock import Clock, SystemClock
from ci_common.errors import NotSignedIn, PermissionDenied
from ci_server.access import actor_of
from ci_server.audit import entry_of, write_down
from ci_server.clients import client_group
from ci_server.request_telemetry import PROBLEM_CODE

WINDOW = 60.0
"""Seconds in which the same attempt of the same client is written once, and then how often."""

MOST_AT_ONCE = 60
"""Kinds of attempts that are written singly; what is used up comes back by one each …"""

INTERVAL = 10.0
"""… of so many seconds."""

_BAD_CREDENTIAL = "bad_credential"


def note_bad_credential(scope: Scope) -> None:
    """Note that a request shows a credential that is not good."""
    scope["state"][_BAD_CREDENTIAL] = True


@dataclass
class _Repeats:
    entry: AuditEntry
    count: int = 0


class Refusals:
    """What one process has refused. ``monotonic`` in seconds."""

    def __init__(
        self,
        log: AuditLog,
        clock: Clock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._clock = clock or SystemClock()
        self._monotonic = monotonic
        self._left = float(MOST_AT_ONCE)
        self._counted_at = monotonic()
        self._repeats: dict[tuple[str, ...], _Repeats] = {}
        self._others = 0
        self._telling: asyncio.Task[None] | None = None

    async def saw(self, scope: Scope) -> None:
        """Write down that a request was refused, if it was, and for who it is."""
        code = scope.get("state", {}).get(PROBLEM_CODE)
        bad = code == NotSignedIn.code and _BAD_CREDENTIAL in scope["state"]
        if bad or code == PermissionDenied.code:
            await self.add(_entry(scope, str(code), bad=bad))

    async def add(self, entry: AuditEntry) -> None:
        """Write a refused attempt down, or count it."""
        who = entry.actor_id or client_group(entry.address)
        kind = (who, entry.credential_id, entry.subject, entry.detail)
        if kind in self._repeats:
            self._repeats[kind].count += 1
        elif self._may_write():
            self._repeats[kind] = _Repeats(entry)
            await write_down(self._log, entry)
        else:
            self._others += 1
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_later(), name="refused attempts")

    async def tell(self) -> None:
        """Write down how often what was written has been repeated, and begin to count anew."""
        repeats, self._repeats = self._repeats, {}
        others, self._others = self._others, 0
        now = self._clock.now().wall
        for each in repeats.values():
            if each.count:
                again = f"{each.entry.detail}; {each.count:,} times more within {WINDOW:g} s"
                await write_down(self._log, replace(each.entry, at=now, detail=again))
        if others:
            many = AuditEntry(
                at=now,
                action=AuditedAction.ACCESS_REFUSED,
                outcome=Outcome.REFUSED,
                detail=f"{others:,} attempts more, too many to write each",
            )
            await write_down(self._log, many)

    async def close(self) -> None:
        """Write down what has only been counted."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait((self._telling,))
        await self.tell()

    async def _tell_later(self) -> None:
        await asyncio.sleep(WINDOW)
        self._telling = None
        await self.tell()

    def _may_write(self) -> bool:
        now = self._monotonic()
        self._left = min(MOST_AT_ONCE, self._left + (now - self._counted_at) / INTERVAL)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _entry(scope: Scope, code: str, *, bad: bool) -> AuditEntry:
    # What was asked with a credential of nobody's is not worth more than the route.
    path = scope.get("path_template", "") if bad else scope["path"]
    return entry_of(
        ASGIConnection[Any, Any, Any, Any](scope),
        AuditedAction.ACCESS_REFUSED,
        f"{scope.get('method', 'GET')} {path}",
        organisation=_only_organisation(actor_of(scope)),
        detail=code,
        outcome=Outcome.REFUSED,
    )


def _only_organisation(actor: Actor) -> str:
    return next(iter(actor.roles)) if len(actor.roles) == 1 else ""
