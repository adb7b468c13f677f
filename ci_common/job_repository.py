"""Where jobs are kept: what the rest of the system asks of a store."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ci_common.access import Within
from ci_common.artifacts import ArtifactStore
from ci_common.blobs import BlobStore
from ci_common.clock import Moment
from ci_common.forecast import Durations
from ci_common.job_events import EventStore
from ci_common.job_query import JobPage, JobQuery
from ci_common.job_totals import JobTotals
from ci_common.jobs import EndReason, Job, NewJob, QueueCounts, Result
from ci_common.logs import LogStore
from ci_common.results import ResultStore
from ci_common.snapshots import SnapshotStore
from ci_common.space import Space
from ci_common.stash import Stash
from ci_common.webhooks import WebhookStore


class JobRepository(Protocol):
    """Where jobs are kept.

    Durable: a call that returned is on disk. Any number of tasks and processes
    may call at once. Writes that name an ``attempt`` change nothing and return
    False (or None) when the job is not running that attempt: someone else
    decided, and the caller observes again. They never raise for it.

    Every method may raise ``StorageBusy`` (locked past the deadline) or
    ``DatabaseFull``; nothing was changed then.

    A job's project, log and artifacts are files beside the rows: ``stash``, ``logs``
    and ``artifacts`` keep them, under ``data_dir``, which is all that has to be saved
    of a server. ``blobs``, ``snapshots`` and ``results`` keep their notes beside the
    jobs, ``webhooks`` who is told of them; ``events`` has what happened to jobs,
    written with each change; ``space`` tells how much room there is for all of it.
    """

    data_dir: Path
    stash: Stash
    logs: LogStore
    blobs: BlobStore
    snapshots: SnapshotStore
    events: EventStore
    webhooks: WebhookStore
    artifacts: ArtifactStore
    results: ResultStore
    space: Space

    async def initialize(self) -> None:
        """Open the store and bring its schema up to date. Idempotent.

        Raises:
            DatabaseUnusable: corrupt or newer; the file is left as it was.

        """
        ...

    async def close(self) -> None:
        """Let go of everything. Idempotent."""
        ...

    async def restored_as(self) -> str | None:
        """Return what tells this store from the one it was copied from, None if from none."""
        ...

    async def add(self, new: NewJob) -> tuple[Job, bool]:
        """Store a queued job; return it and whether it is new.

        With an ``idempotency_key`` seen before, the first job is returned and
        nothing is stored. No pack of ``new.packs`` is dropped before the job ends.
        With the policy ``CANCEL_OLDER`` those of its group are cancelled in the
        same write, as ``cancel`` does it; what is written of them names the new job.

        Raises:
            IdempotencyConflict: the key was used with another fingerprint.
            PacksGone: one of its packs is not there any more.
            QuotaExceeded: its organisation has as much as it may have; nothing was changed.

        """
        ...

    async def get(self, job_id: str) -> Job:
        """Return a job by its full id.

        Raises:
            JobNotFound: there is none.

        """
        ...

    async def find(self, reference: str, *, within: Within = None) -> Job:
        """Return the job that ``reference`` names: a full id, a unique prefix, or ``last``.

        Jobs of other organisations than ``within`` do not exist for it.

        Raises:
            JobNotFound: none fits.
            AmbiguousJob: more than one id begins like that.

        """
        ...

    async def get_many(self, job_ids: Iterable[str]) -> Sequence[Job]:
        """Return those of the jobs that exist, in no particular order."""
        ...

    async def list_recent(self, *, limit: int, before: int | None = None) -> Sequence[Job]:
        """Return at most ``limit`` jobs, newest first, below the ``seq`` ``before``."""
        ...

    async def list_jobs(self, query: JobQuery) -> JobPage:
        """Return a page of a list.

        Who asks for page after page sees every job once that is there and fits
        all the while, whatever else comes, goes or changes meanwhile.
        """
        ...

    async def queued(self, *, limit: int, skip: int = 0, within: Within = None) -> Sequence[Job]:
        """Return queued jobs in the order in which they take their turns, after the first ``skip``.

        Those on hold are there too, at their places. Jobs of other organisations than
        ``within`` are neither returned nor skipped.
        """
        ...

    async def durations(self, projects: Iterable[tuple[str, str]], *, latest: int) -> Durations:
        """Return how many seconds the ``latest`` jobs took that passed or failed, by project.

        ``projects`` are organisation and project. In no particular order. Under None, for each
        of the organisations: those of all its projects. Times during which a clock was set back
        are left out.
        """
        ...

    async def startable(self, *, limit: int, now: datetime) -> Sequence[Job]:
        """Return the queued jobs to start next, in the order that ``QueueRules`` give them.

        Left out are those on hold, those that wait for others of their group, and those
        for which their organisation has no place: it runs as many as it may.
        """
        ...

    async def overdue(self, *, limit: int, now: Moment) -> Sequence[Job]:
        """Return queued jobs that were never claimed and whose queue time-out is over.

        Both clocks must say so for a job of the same boot.
        """
        ...

    async def expire(self, job_id: str, *, detail: str, now: Moment) -> Job | None:
        """End a queued job that was never claimed as ``QUEUE_TIMED_OUT``; return it.

        None if it is not one any more: nothing was changed.
        """
        ...

    async def running(self) -> Sequence[Job]:
        """Return every job that is claimed and has not ended."""
        ...

    async def uncollected(self, *, limit: int) -> Sequence[Job]:
        """Return at most ``limit`` jobs whose results are pending, the oldest first."""
        ...

    async def queue_position(self, job_id: str) -> int | None:
        """Return the job's place in the queue, 1 for the next one; None if it is not queued.

        All that wait are counted, whosever they are.
        """
        ...

    async def queue_positions(self, job_ids: Iterable[str]) -> Mapping[str, int]:
        """Return the places, as ``queue_position`` has them, of those of the jobs that wait."""
        ...

    async def count(self, within: Within = None) -> QueueCounts:
        """Return how many jobs wait and run: all, or those of some organisations."""
        ...

    async def totals(self) -> JobTotals:
        """Return what is known of all jobs together, however many have ended."""
        ...

    async def claim(self, job_id: str, *, attempt: int, now: Moment) -> Job | None:
        """Take a queued job whose last attempt was ``attempt``; return it running the next one.

        Clears ``preparing``, container, ``fed``, ``stop_reason`` and hold. None if it is not
        queued any more, or has to wait for others of its group.
        """
        ...

    async def record_preparing(
        self, job_id: str, *, attempt: int, key: str, log_base: int, log_settled: int | None = None
    ) -> bool:
        """Note that dependencies are about to be installed, and where the log of that begins.

        Without ``log_settled`` nothing of it is in the log yet.
        """
        ...

    async def record_container(
        self,
        job_id: str,
        *,
        attempt: int,
        container: str,
        log_base: int,
        log_settled: int | None = None,
    ) -> bool:
        """Note which container the attempt uses and where its log begins, before it is fed.

        Without ``log_settled`` nothing of it is in the log yet.
        """
        ...

    async def record_fed(self, job_id: str, *, attempt: int, image_id: str | None = None) -> bool:
        """Note that the whole project has reached the container, and the id of its image."""
        ...

    async def record_stop(self, job_id: str, *, attempt: int, reason: EndReason) -> bool:
        """Note that the attempt is to be stopped, and why, before its container is.

        The first reason stays. False when the job is not running that attempt.
        """
        ...

    async def finish(
        self, job_id: str, *, attempt: int, result: Result, now: Moment, collect: bool = False
    ) -> bool:
        """Write the end of a running job, once and for all.

        With the reason ``CANCELLED`` the job ends as cancelled, else as completed.
        ``collect``: its results are pending from then on.
        """
        ...

    async def requeue(
        self,
        job_id: str,
        *,
        attempt: int,
        charged: bool,
        detail: str,
        hold_until: datetime | None = None,
    ) -> bool:
        """Put a running job back in its old place; ``charged`` adds one to its faults.

        False also when the attempt is being stopped: then it is to end, not to run again.
        """
        ...

    async def cancel(self, job_id: str, *, now: Moment) -> Job:
        """End a queued job as cancelled, or ask for a running one to be stopped; return the row.

        Any attempt is meant, whichever it is by now. A running job only gets its
        ``stop_reason``, unless it has one: whoever runs it stops it. A job that
        has ended stays as it is, so cancelling twice changes nothing.

        Raises:
            JobNotFound: there is none.

        """
        ...

    async def oldest_ended(self, *, limit: int, before: Moment) -> Sequence[Job]:
        """Return at most ``limit`` jobs that ended before that moment, the first ended first.

        Both clocks must say so for a job of the same boot: one that was set
        forward makes nothing older.
        """
        ...

    async def oldest_stashed(self, *, limit: int, before: Moment) -> Sequence[Job]:
        """Return those of ``oldest_ended`` whose projects are kept."""
        ...

    async def stashed_bytes(self) -> int:
        """Return what the kept projects of ended jobs take, without the packs of trees."""
        ...

    async def release(self, job_ids: Iterable[str]) -> int:
        """Note that the projects of those of the jobs that have ended are kept no longer.

        Returns how many were. The files are the caller's to delete, afterwards.
        """
        ...

    async def packs_of(self, job_id: str) -> frozenset[int] | None:
        """Return the packs that a job's project reads from; None if it is not kept any more."""
        ...

    async def forget(self, job_ids: Iterable[str]) -> int:
        """Delete the rows of those of the jobs that have ended; return how many.

        Their idempotency keys are forgotten with them; a ``seq`` never comes
        again. Results go along. Zips, logs and artifacts are the caller's to
        delete, afterwards: then no reader ever sees a job without its log.
        """
        ...
