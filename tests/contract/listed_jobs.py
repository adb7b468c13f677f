"""Jobs to list: some of each kind, on a server of their own."""

from ci_common.clock import SystemClock
from ci_common.jobs import EndReason, Job, Result
from tests.contract.http_harness import RunningServer
from tests.fakes.repository import new_job

NOW = SystemClock().now()
JOBS = {
    # name: hours ago, seconds it took (None: it did not end), reason, what it is
    "old": (50, 9.0, "passed", {"project": "shop", "labels": {"branch": "main"}}),
    "bad": (30, 3.0, "failed", {"project": "shop", "submitter": "ann", "group": "g"}),
    "sick": (20, 5.0, "infra_error", {"project": "web", "labels": {"branch": "fix", "cron": ""}}),
    "busy": (2, None, "running", {"project": "web", "submitter": "bob"}),
    "next": (1, None, "queued", {"project": "100%_shop", "labels": {"branch": "main"}}),
}  # fmt: skip


async def make(
    running: RunningServer, name: str, hours: float, took: float | None, state: str, tags
) -> Job:
    repository, created = running.parts.repository, NOW.earlier(hours * 3600)
    job, _ = await repository.add(new_job(id=f"{name}-{hours:02}", created=created, **tags))
    if state != "queued":
        await repository.claim(job.id, attempt=0, now=created)
    if took is not None:
        result = Result(reason=EndReason(state), detail=f"it was {name}")
        await repository.finish(job.id, attempt=1, result=result, now=created.earlier(-took))
    return job


def make_all(running: RunningServer) -> None:
    for name, (hours, took, state, tags) in JOBS.items():
        running.call(make(running, name, hours, took, state, tags))
