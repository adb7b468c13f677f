"""What must hold after every step, whatever happened; see failures.md's five, and more."""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from ci_common.jobs import EndReason, Job, JobStatus
from ci_persistence.job_rows import COLUMNS, job_from_row
from tests.fakes.clock import FakeClock
from tests.invariants import GrowingLogs, forbidden_moves_in, log_of
from tests.simulation.containers import Cause, SimulatedContainer
from tests.simulation.disk import Disk
from tests.simulation.engine import SimulatedEngine
from tests.simulation.promises import Promises
from tests.simulation.submission import MOST_RUNNING, ORGANISATION, TIME_LIMIT

_OWN_VERDICTS = frozenset(
    {EndReason.PASSED, EndReason.FAILED, EndReason.NO_TESTS, EndReason.OOM_KILLED}
)
_NOTES = re.compile(rb"(\n?\[ci\] [^\n]*\n)*")
_CUT_NOTES = re.compile(rb"(\n?\[[^\n\xa1-\xff]*)*\n?")
"""What notes may look like where the disk had no room for all of them."""


class Invariants:
    """Looks at rows, logs and containers, and remembers what may not change."""

    def __init__(
        self,
        folder: Path,
        engine: SimulatedEngine,
        clock: FakeClock,
        disk: Disk,
        promises: Promises,
    ) -> None:
        self._folder = folder
        self._database = folder / "ci_jobs.db"
        self._engine = engine
        self._clock = clock
        self._disk = disk
        self._promises = promises
        self._ended: dict[str, Job] = {}
        self._growing = GrowingLogs(folder)

    @property
    def reached(self) -> Counter[str]:
        """How often what happened, of that which does not always happen."""
        ended = self._ended.values()
        found = Counter(str(job.reason) for job in ended)
        found["retried"] = sum(job.faults > 0 for job in ended)
        found["removed"] = len(self._ended.keys() - self.rows().keys())
        found["log cut"] = len(self._disk.cut_logs & self._ended.keys())
        found["log resumed"] = sum(each.forgot for each in self._engine.begun)
        found["secret masked"] = sum(each.secret in each.output for each in self._secretive)
        found["rationed"] = sum(job.organisation == ORGANISATION for job in ended)
        return +found

    @property
    def _secretive(self) -> Sequence[SimulatedContainer]:
        return [each for each in self._engine.begun if each.secret]

    def rows(self) -> Mapping[str, Job]:
        """Return all jobs as they are on disk, the oldest first."""
        with self._open() as connection:
            return _rows_in(connection)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # Anew each time: a connection that stayed would keep what servers leave at their end.
        with closing(sqlite3.connect(self._database, timeout=0)) as connection:
            connection.row_factory = sqlite3.Row
            yield connection

    def check(self) -> Mapping[str, Job]:
        """Return all jobs. Raises ``AssertionError``."""
        assert not self._engine.wrong, self._engine.wrong
        with self._open() as connection:
            rows = _rows_in(connection)
            moves = forbidden_moves_in(connection, ended_may_go=self._promises.jobs_go)
        self._promises.check(rows)
        assert not moves, moves
        self._check_containers(rows)
        _check_quota(rows)
        for job in rows.values():
            self._check_row(job)
            self._matched(job)
        self._check_growth(rows)
        return rows

    def kept(self, container: SimulatedContainer) -> int:
        """Return how much of a container's output its job's log has."""
        assert container.fed_for is not None
        job_id, _ = container.fed_for
        if container not in self._fed(job_id):
            return 0
        return self._counts(job_id)[0][self._fed(job_id).index(container)]

    def _check_growth(self, rows: Mapping[str, Job]) -> None:
        changed = [Path(name).stem for name in self._growing.rewritten()]
        # Of a removed job the log goes too; before its row does, if not even that can be deleted.
        lost = [job for job in changed if job in rows and not self._may_go_first(rows[job])]
        assert not lost, f"logs that lost or changed something: {lost}"

    def _may_go_first(self, job: Job) -> bool:
        return job.status.ended and self._disk.was_short and not log_of(self._folder, job.id)

    def _check_containers(self, rows: Mapping[str, Job]) -> None:
        living = [each for each in self._engine.living if each.fed_for]
        owners = [each.fed_for for each in living]
        assert len(owners) == len(set(owners)), f"two live containers of one attempt: {owners}"
        for container in living:
            assert container.fed_for is not None
            job = rows.get(container.fed_for[0])
            at_it = job is not None and (job.id, job.attempt) == container.fed_for
            runs = at_it and job is not None and job.status is JobStatus.RUNNING
            assert runs or self._blame(container.fed_for[0]), (
                f"{container.name} runs, and its attempt does not"
            )

    def _blame(self, job_id: str) -> int:
        return self._engine.blame[job_id] + self._engine.blame[""]

    def _check_row(self, job: Job) -> None:
        blame = self._blame(job.id)
        assert job.faults <= blame, f"{job.id} is charged for what was no fault of the engine"
        runs = sum(not each.installs for each in self._fed(job.id))
        assert runs <= 1 + blame, f"{job.id} ran {runs} times, {blame} faults of the engine"
        if not job.status.ended:
            assert job.reason is None
            return
        before = self._ended.get(job.id)
        # But for what comes later: results are collected, and its project is given up one day.
        later = {name: getattr(job, name) for name in ("stashed", "results", "tests", "coverage")}
        same = before is None or replace(before, **later) == job
        assert same, f"the end of {job.id} changed: {before} {job}"
        if before is None:
            self._ended[job.id] = job
            self._check_verdict(job, blame)

    def _check_verdict(self, job: Job, blame: int) -> None:
        if job.reason in _OWN_VERDICTS:
            last = self._fed(job.id)[-1]
            assert last.fed_for == (job.id, job.attempt), f"{job.id}: not what its attempt ran"
            assert last.cause is Cause.ITSELF, f"{job.id}: {job.reason}, but {last.cause} ended it"
            assert last.ended is not None
            assert job.exit_code == last.ended.exit_code
            assert job.success is (last.ended.exit_code == 0 and not last.installs)
            end = self._matched(job)[-1]
            assert end == len(last.output) or job.id in self._disk.cut_logs, (
                f"{job.id}: its log has {end} of {len(last.output)} bytes of {last.number}"
            )
        elif job.reason is EndReason.INFRA_ERROR:
            assert blame, f"{job.id}: {job.detail}, without a fault"
        elif job.reason is EndReason.TIMED_OUT:
            assert job.started is not None
            took = self._clock.uptime - job.started.uptime
            rebooted = job.started.boot_id != self._clock.boot_id
            assert rebooted or took >= TIME_LIMIT, f"{job.id} timed out after {took} s"

    def _fed(self, job_id: str) -> Sequence[SimulatedContainer]:
        """Return the containers that ran something for a job, in the order they did."""
        return [c for c in self._engine.begun if c.fed_for and c.fed_for[0] == job_id]

    def _matched(self, job: Job) -> Sequence[int]:
        """Return how much of each container's output the log has, in their order.

        Raises ``AssertionError`` when there is anything else in it but notes of ours.
        """
        counts, position = self._counts(job.id)
        log = log_of(self._folder, job.id)
        rest = log[position : position + 100]
        assert position == len(log), f"{job.id}: {rest!r} in the log is nobody's, at {position}"
        return counts

    def _counts(self, job_id: str) -> tuple[Sequence[int], int]:
        """Return how much of each container's output stands in the log, and where that ends."""
        log, position = log_of(self._folder, job_id), 0
        cut = job_id in self._disk.cut_logs
        counts = []
        for container in self._fed(job_id):
            position = _after_notes(log, position, cut=cut)
            count = _common(log, position, container.visible)
            counts.append(count)
            position += count
        return counts, _after_notes(log, position, cut=cut)


def _check_quota(rows: Mapping[str, Job]) -> None:
    rationed = [job for job in rows.values() if job.organisation == ORGANISATION]
    running = [job.id for job in rationed if job.status is JobStatus.RUNNING]
    assert len(running) <= MOST_RUNNING, f"more run than their organisation may have: {running}"


def _rows_in(connection: sqlite3.Connection) -> Mapping[str, Job]:
    rows = connection.execute(f"SELECT {COLUMNS} FROM jobs ORDER BY seq").fetchall()
    return {row["id"]: job_from_row(row) for row in rows}


def _after_notes(log: bytes, position: int, *, cut: bool) -> int:
    found = (_CUT_NOTES if cut else _NOTES).match(log, position)
    assert found is not None
    return found.end()


def _common(log: bytes, position: int, output: bytes) -> int:
    """Return how many bytes of ``output`` stand in the log at ``position``."""
    if log.startswith(output, position):
        return len(output)
    there = log[position : position + len(output)]
    pairs = zip(there, output, strict=False)
    return next((i for i, (one, other) in enumerate(pairs) if one != other), len(there))
