"""Results in memory: the contract of ``ResultStore`` without a database."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import replace

from ci_common.access import Within
from ci_common.artifacts import Artifact
from ci_common.jobs import Job
from ci_common.results import (
    BAD,
    Case,
    CaseQuery,
    FlakyTest,
    LeftOut,
    Outcome,
    PastCase,
    Results,
    ResultsState,
    count,
)


class InMemoryResultStore:
    """Complete, but gone with the process; ``jobs`` are those of its repository."""

    def __init__(
        self, jobs: MutableMapping[str, Job], most_bytes: Callable[[str], int] = lambda _: 0
    ) -> None:
        self._jobs = jobs
        self._results: dict[str, Results] = {}
        self._most_bytes = most_bytes

    async def record(self, job_id: str, results: Results) -> bool:
        tests = count(results.cases)
        return self._settle(
            job_id, results, ResultsState.COLLECTED, tests=tests, coverage=results.coverage
        )

    async def give_up(self, job_id: str, reason: str) -> bool:
        lost = Results(left_out=(LeftOut("", reason),))
        return self._settle(job_id, lost, ResultsState.LOST)

    async def artifact_room(self, job_id: str) -> int | None:
        organisation = self._jobs[job_id].organisation
        most = self._most_bytes(organisation)
        return max(0, most - self.artifact_bytes(organisation)) if most else None

    def artifact_bytes(self, organisation: str) -> int:
        kept = [
            results
            for job_id, results in self._results.items()
            if job_id in self._jobs and self._jobs[job_id].organisation == organisation
        ]
        return sum(artifact.size for results in kept for artifact in results.artifacts)

    async def left_out(self, job_id: str) -> tuple[Sequence[LeftOut], int]:
        results = self._results.get(job_id, Results())
        return results.left_out, results.left_out_count

    async def artifacts(self, job_id: str) -> Sequence[Artifact]:
        results = self._results.get(job_id, Results())
        return sorted(results.artifacts, key=lambda artifact: artifact.path)

    async def cases(self, job_id: str, query: CaseQuery) -> Sequence[Case]:
        found = [
            case
            for case in self._results.get(job_id, Results()).cases
            if (not query.outcomes or case.outcome in query.outcomes)
            and query.text.lower() in f"{case.node_id}\0{case.message}".lower()
        ]
        if query.slowest:
            found.sort(key=lambda case: -case.duration)
        return found[query.offset : query.offset + query.limit]

    async def failed_tests(self, job_id: str) -> Sequence[str]:
        cases = self._results.get(job_id, Results()).cases
        return list(dict.fromkeys(case.node_id for case in cases if case.outcome in BAD))

    async def history(
        self,
        node_id: str,
        *,
        project: str | None,
        limit: int,
        before: int | None = None,
        within: Within = None,
    ) -> Sequence[PastCase]:
        found = [
            PastCase(
                seq=job.seq,
                job_id=job.id,
                project=job.project,
                ended_at=job.end_time,
                outcome=case.outcome,
                duration=case.duration,
                message=case.message,
                tree_sha256=job.tree_sha256,
                image_id=job.image_id,
            )
            for job, case in self._all(project, within)
            if case.node_id == node_id and (before is None or job.seq < before)
        ]
        return sorted(found, key=lambda past: -past.seq)[:limit]

    async def flaky(
        self, *, project: str | None, limit: int, within: Within = None
    ) -> Sequence[FlakyTest]:
        by_place = defaultdict(list)
        for job, case in self._all(project, within):
            if job.tree_sha256 and job.image_id:
                whose = (job.organisation, job.project)
                place = (case.node_id, whose, job.tree_sha256, job.image_id)
                by_place[place].append((job, case.outcome))
        mixed = defaultdict(list)
        for (node_id, of, *_), runs in by_place.items():
            outcomes = {outcome for _, outcome in runs}
            if Outcome.PASSED in outcomes and outcomes.intersection(BAD):
                mixed[node_id, of].append(runs)
        found = [_flaky(node_id, of, trees) for (node_id, (_, of)), trees in mixed.items()]
        found.sort(key=lambda test: (-self._jobs[test.last_failed_job].seq, test.node_id))
        return found[:limit]

    def forget(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            self._results.pop(job_id, None)

    def _all(self, project: str | None, within: Within) -> Iterator[tuple[Job, Case]]:
        for job_id, results in self._results.items():
            job = self._jobs[job_id]
            visible = within is None or job.organisation in within
            if visible and project in (None, job.project):
                yield from ((job, case) for case in results.cases)

    def _settle(self, job_id: str, results: Results, state: ResultsState, **more: object) -> bool:
        job = self._jobs.get(job_id)
        if job is None or job.results is not ResultsState.PENDING:
            return False
        self._results[job_id] = results
        self._jobs[job_id] = replace(job, results=state, **more)
        return True


def _flaky(node_id: str, project: str, trees: list[list[tuple[Job, Outcome]]]) -> FlakyTest:
    runs = [run for tree in trees for run in tree]
    failed = [job for job, outcome in runs if outcome in BAD]
    return FlakyTest(
        node_id=node_id,
        project=project,
        passed=sum(outcome is Outcome.PASSED for _, outcome in runs),
        failed=len(failed),
        trees=len(trees),
        last_failed_job=max(failed, key=lambda job: job.seq).id,
    )
