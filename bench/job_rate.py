"""Eight jobs at once against the same eight containers by the SDK."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench.context import Context
from bench.engine import bare_container
from bench.http_stream import run_job
from bench.measure import Comparison, Side, Target, compare, timed
from bench.projects import HELLO, recipe, zipped
from bench.server import BenchServer, running_server

_JOBS = 8


def job_rate(context: Context) -> list[Comparison]:
    """Count to the last verdict, and also to when the engine is as it was before the burst.

    The second pays for the removals and for the pool's refill, which come after
    the verdicts, so it is what a server can do all day.
    """
    with running_server(context.folder, context.image, CI_MAX_RUNNING=str(_JOBS)) as server:
        bare = timed(partial(_at_once, partial(_run_bare, context.image)), before=server.settle)
        theirs = Side("SDK: create, start, wait, remove", bare)
        verdicts, cleared = _our_sides(server)
        rate = partial(compare, pairs=context.pairs, amount=_JOBS, unit="jobs")
        target = (Target("ratio", 0.95),)
        return [
            rate(f"{_JOBS} jobs at once, to the last verdict", [verdicts, theirs], targets=target),
            rate(f"{_JOBS} jobs at once, all cleared away", [cleared, theirs]),
        ]


def _our_sides(server: BenchServer) -> tuple[Side, Side]:
    archive = zipped({"ci.toml": recipe(HELLO)})
    burst = partial(_at_once, partial(run_job, server.url, archive))
    standbys = 0

    def prepare() -> None:
        nonlocal standbys
        server.settle()
        _, standbys = server.count()

    def to_the_end() -> None:
        burst()
        server.wait_until_as_before(standbys)

    return (
        Side("POST /submit-stream", timed(burst, before=prepare)),
        Side("POST /submit-stream, removal and refill", timed(to_the_end, before=prepare)),
    )


def _at_once(action: Callable[[], object]) -> None:
    with ThreadPoolExecutor(_JOBS) as threads:
        for each in [threads.submit(action) for _ in range(_JOBS)]:
            each.result()


def _run_bare(image: str) -> None:
    with bare_container(image, HELLO) as container:
        container.start()
        container.wait()
