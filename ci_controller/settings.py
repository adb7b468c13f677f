"""What the controller may do, as values handed in by the composition root."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from ci_common.backoff import Backoff
from ci_common.executor import ContainerSpec
from ci_common.recipe import Recipe
from ci_controller.snapshots import SnapshotSettings
from ci_controller.standby import StandbySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefaults:
    """What a job gets where its recipe says nothing.

    ``memory`` in bytes, ``cpus`` in cores, ``timeout`` in seconds, ``log_limit``
    in bytes; ``env`` goes to every job, below the recipe's own.
    """

    image: str = "python:3.12-slim"
    memory: int = 2 * 1024**3
    cpus: float = 2.0
    pids: int = 1024
    network: str = "bridge"
    timeout: float = 3600.0
    log_limit: int = 1024**3
    user: str | None = None
    runtime: str | None = None
    cap_add: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def spec(self, recipe: Recipe) -> ContainerSpec:
        """Return the container a recipe asks for."""
        # A server without a network stays without one, whatever a project asks for.
        closed = "none" in (self.network, recipe.network)
        return ContainerSpec(
            image=recipe.image or self.image,
            memory=recipe.memory or self.memory,
            cpus=recipe.cpus or self.cpus,
            pids=recipe.pids or self.pids,
            network="none" if closed else "bridge",
            log_limit=self.log_limit,
            user=self.user,
            runtime=self.runtime,
            cap_add=self.cap_add,
            disk=recipe.disk,
        )

    def timeout_of(self, recipe: Recipe) -> float:
        """Return the seconds an attempt may take."""
        return recipe.timeout or self.timeout


def default_max_running() -> int:
    """Return how many jobs this machine runs at once: one per core, at least two."""
    return max(2, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """How long ended jobs and events are kept; 0 means without end, or without bound.

    ``keep_for``: seconds after its end that a job is kept. ``keep_log_bytes``:
    what all logs and artifacts together may take. ``keep_at_least``: seconds in which no job
    goes for want of room. ``usage_interval``: seconds between two looks at
    what they take. ``keep_events_for``: seconds that an event is kept, and of
    all events the latest ``most_events``. ``projects_for``: seconds for which the
    project of an ended job is kept, so that it can be retried; here 0 is for none.
    ``project_bytes``: what all of these may take together.
    """

    keep_for: float = 0.0
    projects_for: float = 7 * 86_400.0
    project_bytes: int = 0
    keep_log_bytes: int = 0
    keep_at_least: float = 3600.0
    usage_interval: float = 600.0
    keep_events_for: float = 7 * 86_400.0
    most_events: int = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLimits:
    """What is collected of one job, at the most.

    ``artifact_bytes``: of all its artifacts together, 0 for none; ``artifacts``:
    files. ``report_bytes``: of all its reports together; ``tests``: rows.
    ``tries``: how often an engine may fail at it.
    """

    artifact_bytes: int = 512 * 1024**2
    artifacts: int = 1000
    report_bytes: int = 32 * 1024**2
    tests: int = 20_000
    tries: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """Bounds of the reconcile loop; all ``*_grace`` values are seconds.

    ``orphan_grace``: how old a container, stash or temporary file without a
    row must be before it is swept. ``adopt_grace``: how long a container found
    after a crash may take to show whether its project had reached it.
    ``stop_grace``: from SIGTERM to SIGKILL. ``exit_grace``: from the end of
    the output to the end of the container; one that lives on may have lost its
    reader, and its output is taken up again. ``blob_bytes`` and ``blob_age``
    (seconds) bound the packs that are kept for jobs to come.
    """

    max_running: int = field(default_factory=default_max_running)
    max_starting: int = 8
    orphan_grace: float = 60.0
    adopt_grace: float = 2.0
    stop_grace: float = 10.0
    exit_grace: float = 1.0
    sweep_interval: float = 60.0
    blob_bytes: int = 2 * 1024**3
    blob_age: float = 7 * 86_400.0
    backoff: Backoff = field(default_factory=Backoff)
    defaults: JobDefaults = field(default_factory=JobDefaults)
    standby: StandbySettings = field(default_factory=StandbySettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    results: ResultLimits = field(default_factory=ResultLimits)
    snapshots: SnapshotSettings = field(default_factory=SnapshotSettings)
