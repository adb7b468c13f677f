"""What the engine's answers say about a container."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ci_common.errors import ContainerGone
from ci_common.executor import ContainerExit, ContainerState, ObservedContainer
from ci_controller.container_names import ContainerNames
from ci_controller.docker_engine.configuration import KEY, is_ours

_STATES = {
    "created": ContainerState.CREATED,
    "running": ContainerState.RUNNING,
    "paused": ContainerState.RUNNING,
    "restarting": ContainerState.RUNNING,
}

_GOING = {"removing", "dead"}
"""Removing by force kills first: an exit status seen then is not the job's."""


def state_of(status: str) -> ContainerState:
    """Return the state that the engine's word for it stands for."""
    return _STATES.get(status, ContainerState.EXITED)


def observed(entry: Mapping[str, Any], names: ContainerNames) -> ObservedContainer | None:
    """Return one entry of the engine's list, None if it is not of our namespace."""
    name = next((each[1:] for each in entry.get("Names") or () if "/" not in each[1:]), "")
    # The labels alone would also fit what somebody made from an image of one of ours.
    if not (is_ours(entry.get("Labels"), names.prefix) and names.fits(name)):
        return None
    job_id, attempt = names.parse(name) or (None, None)
    return ObservedContainer(
        name=name,
        state=state_of(entry["State"]),
        key=str((entry.get("Labels") or {}).get(KEY, "")),
        job_id=job_id,
        attempt=attempt,
        created_at=datetime.fromtimestamp(entry["Created"], UTC),
    )


def exit_in(state: Mapping[str, Any]) -> ContainerExit | None:
    """Return the end that an inspected ``State`` tells of, None if there was none yet.

    Raises:
        ContainerGone: it is being removed, and was ended for that.

    """
    if state["Status"] in _GOING:
        raise ContainerGone("the container is being removed")
    error = str(state.get("Error") or "")
    kind = state_of(state["Status"])
    if kind is ContainerState.RUNNING or (kind is ContainerState.CREATED and not error):
        return None
    return ContainerExit(
        exit_code=int(state["ExitCode"]), oom_killed=bool(state.get("OOMKilled")), error=error
    )
