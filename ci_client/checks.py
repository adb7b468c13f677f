"""What `ci doctor` finds out by talking to the server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ci_client.api_keys import KeyCalls
from ci_client.table import time_of
from ci_common import __version__
from ci_common.checks import Check
from ci_common.clock import Clock, SystemClock, parse_utc
from ci_common.errors import CIError, ServerRefused

if TYPE_CHECKING:
    from ci_client.config import Setting
    from ci_client.invocation import Invocation
    from ci_client.server_state import ServerState
    from ci_client.session import Session

_ABOUT_US = frozenset({"authentication_failed", "permission_denied"})
"""Codes of errors that are not the server's fault."""

_SOON = timedelta(days=7)

MOST_SKEW = 5.0
"""Seconds by which two clocks may differ; the server tells its own to the second only."""


def remote_checks(invocation: "Invocation", clock: Clock | None = None) -> Iterator[Check]:
    """Yield what there is to say of the server: is it there, is it well, does it know us."""
    clock = clock or SystemClock()
    url, origin = invocation.server.value, invocation.server.origin
    try:
        with invocation.connect() as server:
            state = server.server_state()
            now = clock.now().wall
            yield Check("server", ok=True, detail=f"{url} answers (from: {origin})")
            yield from _state_checks(state, now)
            yield _access(server, invocation.api_key, now)
    except CIError as error:
        name = "access" if error.code in _ABOUT_US else "server"
        yield Check(name, ok=False, detail=error.detail, fix=error.hint or "")


def _access(server: "Session", key: "Setting", now: datetime) -> Check:
    if key.value is None:
        server.jobs(1)
        return Check("access", ok=True, detail="without a key")
    shown = f"with the key from {key.origin}"
    try:
        who = KeyCalls(server).whoami()
    except ServerRefused:  # an older one, which does not know whose keys are good
        server.jobs(1)
        return Check("access", ok=True, detail=shown)
    if not who["accounts"]:
        return Check("access", ok=True, detail=f"{shown}, which the server does not ask for")
    return Check(
        "access", ok=True, detail=f"{shown}, as {who['user']}{_end(who['key_expires_at'], now)}"
    )


def _end(expires_at: str | None, now: datetime) -> str:
    if expires_at is None:
        return ""
    left = parse_utc(expires_at) - now
    renew = "; replace it: ci key rotate --save" if left < _SOON else ""
    return f"; it expires {time_of(expires_at)}, in {left.days} days{renew}"


def _state_checks(state: "ServerState", now: datetime) -> Iterator[Check]:
    yield _version(state.version)
    for part, problem in state.problems.items():
        yield Check(
            f"server's {part}", ok=False, detail=problem, fix="Run `ci doctor` on its machine."
        )
    if state.date:
        yield _clock_skew(state.date, now)


def _version(theirs: str) -> Check:
    same = theirs.split(".")[:2] == __version__.split(".")[:2]
    return Check(
        "version",
        same,
        f"client {__version__}, server {theirs or 'unknown'}",
        f"Install the server's version here: pip install 'standby-ci=={theirs}'",
    )


def _clock_skew(header: str, ours: datetime) -> Check:
    try:
        theirs = parsedate_to_datetime(header).replace(tzinfo=UTC)  # HTTP knows no other zone
    except ValueError:
        return Check("clocks", ok=False, detail=f"the server sent no date but {header!r}")
    skew = (theirs - ours).total_seconds()
    return Check(
        "clocks",
        abs(skew) <= MOST_SKEW,
        f"the server's is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}",
        "Set the clocks by the network: timedatectl set-ntp true",
    )
