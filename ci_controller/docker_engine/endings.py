"""Whose doing the end of a container was: its own, or the engine's that went down under it.

An engine that ends stops its containers, and one that comes up after a crash or
a reboot finds them dead or stops them. The exit status of such a container says
nothing about its job, whatever it is: a job may answer SIGTERM with any status,
0 included. The engine does not say when it came up, but it makes its default
network anew each time, unless containers have outlived its absence.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from docker.errors import NotFound

from ci_common.clock import SystemClock
from ci_controller.docker_engine.client import EngineClient

_DEFAULT_NETWORK = "bridge"

_NEVER = "0001-01-01T00:00:00Z"

_BY_SIGNAL = 128
"""What a shell and the engine add to a signal's number."""

_LOST = 255
"""The status of a container whose end nobody saw, as after a reboot."""


def ended_by_itself(client: EngineClient, state: Mapping[str, Any]) -> bool:
    """Return whether an ended container, by its inspected ``State``, did so of its own accord.

    ``client`` must have connected after ``state`` was seen: an engine that is
    ending takes no new connections. When the engine came up after the
    container's end, it may have been what ended it: what cannot be told apart
    counts as not the container's own. Raises what the SDK raises.
    """
    if state["StartedAt"] == _NEVER:
        return True
    exit_code = int(state["ExitCode"])
    began = _engine_began(client)
    if began is None:
        return not state.get("Error") and exit_code < _BY_SIGNAL
    started, finished = (datetime.fromisoformat(state[key]) for key in ("StartedAt", "FinishedAt"))
    if began <= started or began < finished:
        return True
    return exit_code != _LOST and _outlived_by_containers(client)


def _engine_began(client: EngineClient) -> datetime | None:
    """Return when the engine came up, as near as it can be told; None when it cannot."""
    try:
        began = datetime.fromisoformat(client.inspect_network(_DEFAULT_NETWORK)["Created"])
    except NotFound:
        return None
    # A clock that was set back since: nothing can be compared with it.
    return None if began > SystemClock().now().wall else began


def _outlived_by_containers(client: EngineClient) -> bool:
    """Return whether the engine leaves containers alone when it goes, and when it comes back."""
    return bool(client.info().get("LiveRestoreEnabled"))
