"""Where a job runs: in its image, or in one that has its dependencies installed.

The first job that needs a snapshot installs what is in it, in a container of
its own name that is fed nothing but the files the installation reads. Whatever
happens to that container happens to the job: time limits, stops, crashes.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from ci_common.clock import Clock
from ci_common.errors import ContainerGone, EngineError, EngineUnavailable
from ci_common.executor import ContainerSpec, OutputPump
from ci_common.jobs import EndReason, Job, Result
from ci_controller.arrivals import Arrivals
from ci_controller.container_life import AttemptFault, AttemptLost, ContainerLife
from ci_controller.dependencies import DependencyFile, dependency_files, snapshot_key
from ci_controller.job_log import JobLog
from ci_controller.job_script import (
    PREPARED,
    render_environment,
    render_job_script,
    render_prepare_script,
)
from ci_controller.snapshots import Snapshots
from ci_controller.verdict import judge_installation
from ci_controller.workspace import ProjectTar

_log = logging.getLogger(__name__)

_KEPT = "Kept for the next job that needs the same."
_NOTHING = "The image has all that is needed."
_AGAIN = "What was installed could not be kept; the job installs it again."
_ANEW = "(`ci cache prune` has them installed anew.)"

_NEED = "ci_need "
_HAS_ALL = (
    'python=$(command -v python3 || command -v python) && exec "$python" -I -c \''
    "import sys, importlib.util as u; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))'"
    ' "$@"'
)
"""Exits with 0 if Python can import every module of its arguments."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a job's container is made of and the script it is fed.

    ``key`` is that of the snapshot in use, if any. ``entered``: whether the
    container waits already.
    """

    spec: ContainerSpec
    script: bytes
    key: str = ""
    entered: bool = False


@dataclass(frozen=True, slots=True)
class _Installation:
    key: str
    spec: ContainerSpec
    environment: bytes
    files: Iterable[DependencyFile]


class Preparer:
    """Finds jobs their places, and installs dependencies for them where there is none yet."""

    def __init__(
        self, life: ContainerLife, snapshots: Snapshots, arrivals: Arrivals, clock: Clock
    ) -> None:
        self._life = life
        self._snapshots = snapshots
        self._arrivals = arrivals
        self._clock = clock
        self.installing: set[str] = set()
        """Ids of jobs whose installation runs: stopping its container brings it to its end."""

    async def find(self, job: Job, *, discard: bool) -> Place | None:
        """Return where a job can run at once; None if its dependencies have to be installed first.

        ``discard`` removes what a former process left under its name, unless
        that installs something: None then, and ``prepare`` goes on with it.
        Raises ``EngineError``.
        """
        if job.preparing is not None and self._snapshots.enabled:
            return None
        if discard:
            await self._life.executor.remove(self._life.name_of(job))
        installation = await self._installation_of(job)
        if installation is None:
            return Place(self._spec_of(job), render_job_script(job.recipe))
        place = await self._kept(job, installation)
        # Somebody may be about to remove it.
        return None if self._snapshots.at_work(installation.key) else place

    async def prepare(self, job: Job, log: JobLog) -> Place | Result:
        """Have a job's dependencies installed, by it or by another job; return where it can run.

        A result is returned if the job comes to its end before that.

        Raises:
            AttemptLost: the job is at another attempt.
            AttemptFault: the container was lost through no fault of the job.
            EngineError: from the engine.

        """
        if job.preparing is not None:
            resumed = await self._resume(job, log, job.preparing)
            if resumed is not None:
                return resumed
        installation = await self._installation_of(job)
        if installation is None:
            return Place(self._spec_of(job), render_job_script(job.recipe))
        while True:
            if ended := await self._wait_for_others(job, installation.key, log):
                return ended
            place = await self._kept(job, installation)
            if not self._snapshots.at_work(installation.key):
                break
        if place is not None:
            return place
        with self._snapshots.making(installation.key, job.id):
            return await self._install(job, log, installation)

    async def _resume(self, job: Job, log: JobLog, key: str) -> Place | Result | None:
        """Go on with what a former process began; None if nothing is there to go on with."""
        # Says nothing: what this job installs goes on in its log, at offsets that are counted.
        if ended := await self._wait_for_others(job, key):
            return ended
        with self._snapshots.making(key, job.id):
            # A container has output only if it was fed, and a job's own is noted before that.
            if await self._has_output(job):
                return await self._conclude(job, log, None, key)
            await self._life.executor.remove(self._life.name_of(job))
        return None

    async def _has_output(self, job: Job) -> bool:
        try:
            return await self._life.executor.has_output(self._life.name_of(job))
        except ContainerGone:
            return False

    async def _installation_of(self, job: Job) -> _Installation | None:
        """Return what a job has installed, None if that is not to be kept."""
        recipe = job.recipe
        if not self._snapshots.enabled or not recipe.dependencies:
            return None
        env = self._life.settings.defaults.env
        files = await asyncio.to_thread(dependency_files, job.zip_path, recipe, env)
        if files is None:
            return None
        spec = self._spec_of(job)
        environment = render_environment(recipe, env)
        # Without the notes: they also speak of what is of no matter here.
        script = render_prepare_script(recipe, opening=("-",))
        image_id = await self._snapshots.engine.image_id(spec.image)
        key = snapshot_key(image_id, script, environment, spec, files, job.organisation)
        return _Installation(key, spec, environment, files)

    def _spec_of(self, job: Job, key: str = "") -> ContainerSpec:
        spec = self._life.settings.defaults.spec(job.recipe)
        return replace(spec, image=self._snapshots.engine.image_of(key)) if key else spec

    async def _kept(self, job: Job, installation: _Installation) -> Place | None:
        """Return the place that an installation done before has made."""
        kept = await self._snapshots.find(installation.key)
        if kept is None:
            return None
        if job.preparing == installation.key:  # then the log has shown it
            return self._installed(job, installation.key, empty=kept.empty)
        if kept.empty:
            return Place(installation.spec, render_job_script(job.recipe))
        ago = _ago(self._clock.now().wall - kept.made_at)
        said = f"Nothing to do: they were installed {ago}. {_ANEW}"
        script = render_job_script(job.recipe, kept=said)
        return Place(self._spec_of(job, installation.key), script, installation.key)

    def _installed(self, job: Job, key: str, *, empty: bool) -> Place:
        """Return the place of a job whose log has the installation already."""
        if empty:
            recipe = replace(job.recipe, dependencies=())
            return Place(self._spec_of(job), render_job_script(recipe, opening=(_NOTHING,)))
        script = render_job_script(job.recipe, opening=(_KEPT,), kept="")
        return Place(self._spec_of(job, key), script, key)

    async def _wait_for_others(
        self, job: Job, key: str, log: JobLog | None = None
    ) -> Result | None:
        """Return when nobody works on a key; the job's result if it was stopped meanwhile."""
        while (making := self._snapshots.at_work(key)) is not None:
            self._arrivals.end(job.id)
            if making.owner and log is not None:
                log.note(f"Waiting for job {making.owner[:8]}, which installs the same.")
            try:
                async with asyncio.timeout(self._seconds_left(job)):
                    await making.wait(job.id)
            except TimeoutError:
                await self._life.repository.record_stop(
                    job.id, attempt=job.attempt, reason=EndReason.TIMED_OUT
                )
            self._arrivals.begin(job.id)
            row = await self._life.current(job)
            if row.stop_reason is not None:
                return Result(reason=row.stop_reason)
        return None

    def _seconds_left(self, job: Job) -> float:
        limit = self._life.settings.defaults.timeout_of(job.recipe)
        return limit - self._clock.now().seconds_since(job.started) if job.started else limit

    async def _install(self, job: Job, log: JobLog, installation: _Installation) -> Place | Result:
        life = self._life
        if log.size > job.log_base and job.preparing is not None:
            log.note("The installation was interrupted; it begins again.")
        try:
            await life.enter(job, installation.spec)
            if await self._image_has_all(job):
                await self._snapshots.made(installation.key, empty=True)
                return Place(installation.spec, render_job_script(job.recipe), entered=True)
            if not await life.repository.record_preparing(
                job.id, attempt=job.attempt, key=installation.key, log_base=log.size
            ):
                raise AttemptLost
            pump = await life.executor.feed(life.name_of(job), _tar(job, installation), log.sink)
        except EngineUnavailable as error:
            raise AttemptFault(error.detail) from error
        self._arrivals.fed(job.id)
        return await self._conclude(job, log, pump, installation.key)

    async def _image_has_all(self, job: Job) -> bool:
        """Return whether the image has what is needed, where that can be asked: the job's own.

        Its container waits already, and is none the worse for it.
        """
        commands = job.recipe.dependencies
        if not all(command.startswith(_NEED) for command in commands):
            return False
        modules = [command.removeprefix(_NEED) for command in commands]
        command = ("sh", "-c", _HAS_ALL, "sh", *modules)
        return await self._snapshots.engine.run(self._life.name_of(job), command) == 0

    async def _conclude(
        self, job: Job, log: JobLog, pump: OutputPump | None, key: str
    ) -> Place | Result:
        """Stay with an installation to its end, and keep what came of it."""
        self.installing.add(job.id)
        try:
            ended, stop_reason = await self._life.to_its_end(job, log, pump)
        finally:
            self.installing.discard(job.id)
        if stop_reason is not None or ended.exit_code != 0:
            return judge_installation(ended, stop_reason)
        self._arrivals.begin(job.id)
        place = await self._keep(job, key)
        await self._life.executor.remove(self._life.name_of(job))
        return place

    async def _keep(self, job: Job, key: str) -> Place:
        engine, name = self._snapshots.engine, self._life.name_of(job)
        try:
            empty = not await engine.has_file(name, PREPARED)
            if not empty:
                about = "; ".join(job.recipe.dependencies)
                await engine.keep(name, key, base=self._spec_of(job).image, about=about)
        except EngineError as error:
            _log.warning("job %s: its dependencies were not kept: %s", job.id, error.detail)
            return Place(self._spec_of(job), render_job_script(job.recipe, opening=(_AGAIN,)))
        await self._snapshots.made(key, empty=empty)
        return self._installed(job, key, empty=empty)


def _tar(job: Job, installation: _Installation) -> ProjectTar:
    reads = {file.path for file in installation.files}
    script = render_prepare_script(job.recipe)
    return ProjectTar(job.zip_path, script, installation.environment, only=reads.__contains__)


def _ago(age: timedelta) -> str:
    """Return how long ago something was, as people say it."""
    seconds = age.total_seconds()
    for length, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "moments ago"
