"""Ten thousand jobs in the queue: first come, first served, at the price of ten."""

import uuid
from dataclasses import dataclass

import pytest

from tests.fakes.zips import honest_zip
from tests.invariants import differing, forbidden_moves, leftovers, unsound, watch_moves
from tests.load.jobs import (
    NumberedJob,
    all_ended,
    queue_up,
    started_in_order,
    submitted_in_order,
)
from tests.load.uploads import submit
from tests.memory import MIB, Meter
from tests.waiting import eventually

ROOM = 20 * MIB
"""Bytes that a server may need more for a long queue than for a short one.

SQLite's caches of pages, bounded for each of four connections, fill up to the
6.6 MB that the database has then: 11 MB were seen. To hold the rows takes 35 MB.
"""

RUN = 10
"""Jobs that run to their end while the memory is looked at."""


@dataclass(frozen=True)
class Looked:
    """What was seen of a server with a queue: its largest size, and where it put a newcomer."""

    peak: int
    place: int


def run_some(server, queued: int) -> Looked:
    """Run some jobs beside ``queued`` ones, and check that each of them comes in its turn."""
    database = server.folder / "ci_jobs.db"
    go = server.folder / "go"
    jobs = [NumberedJob(number) for number in range(RUN)]
    jobs += [NumberedJob(RUN, waits_for=str(go))]
    jobs += [NumberedJob(RUN + 1 + number) for number in range(queued)]
    ids = queue_up(server, jobs)
    watch_moves(database)
    # Of no job, so that its end tells when the whole folder has been looked through.
    stray = server.folder / "stash" / f"{uuid.uuid4()}.zip"
    stray.touch()
    server.start()
    eventually(lambda: len(started_in_order(server)) > RUN, what=f"{RUN} jobs have run")
    eventually(lambda: not stray.exists(), what="the stash is swept")

    newcomer = NumberedJob(len(jobs))
    ids.append(submit(server.port, honest_zip(newcomer.files)))
    place = server.job(ids[-1])["position"]
    assert [job["job_id"] for job in server.get("/jobs?limit=3").json()] == ids[:-4:-1]
    peak = Meter(server.process.pid).peak

    server.kill()
    go.touch()
    ended = "local/*/exit"
    eventually(lambda: any(server.folder.glob(ended)), what="the job that was running has ended")
    assert differing(database, server.folder, endings(ids, jobs[:RUN])) == []
    assert started_in_order(server) == ids[: RUN + 1]
    waiting = server.rows("SELECT id FROM jobs WHERE status = 'queued' ORDER BY seq")
    assert [job_id for (job_id,) in waiting] == ids[RUN + 1 :]
    assert leftovers(database, server.folder) == []
    assert forbidden_moves(database) == []
    assert unsound(database) == []
    return Looked(peak, place)


def endings(ids, jobs):
    return {job_id: job.ending for job_id, job in zip(ids, jobs, strict=False)}


def test_a_server_is_no_larger_with_a_long_queue(servers, namespace):
    """Fault 31. From its start, with all that is looked through then."""
    settings = {"executor": "local", "max_running": "1", "orphan_grace": "0"}
    few = run_some(servers(f"{namespace}few", "few", **settings), 10)
    many = run_some(servers(f"{namespace}many", "many", **settings), 10_000)
    print(f"\n10 queued: {few.peak / MIB:.1f} MiB, 10,000: {many.peak / MIB:.1f} MiB")
    assert (few.place, many.place) == (11, 10_001)
    assert many.peak - few.peak < ROOM


LEAK = 8 * MIB
"""Bytes that a server may grow by while most of the jobs run, and what waits to be collected."""

CACHES = 4 * 8 * MIB
"""Bytes that SQLite may keep of the database: it has a cache for each of four connections.

They fill as rows come; with Python's own memory as it was, 22 MB were seen after
10,000 jobs. More than this is a leak of over 2 KB in each job.
"""


@pytest.mark.parametrize(
    ("count", "room"),
    [
        pytest.param(100, LEAK, id="some"),
        pytest.param(10_000, LEAK + CACHES, id="many", marks=pytest.mark.soak),
    ],
)
def test_jobs_run_in_the_order_they_came(servers, namespace, count, room):
    """Fault 31. Submitted over HTTP while others run, and run to the end, one after the other."""
    server = servers(namespace, executor="local", max_running="1", reconcile_interval="0.5")
    server.start()
    database = server.folder / "ci_jobs.db"
    watch_moves(database)
    jobs = [NumberedJob(number) for number in range(count)]
    warm = count // 5
    ids = submit_and_run(server, jobs[:warm])
    meter = Meter(server.process.pid)
    with meter.growth() as grown:
        ids += submit_and_run(server, jobs[warm:])
    print(f"\n{count - warm} jobs after {warm}: the server grew by {grown}")

    assert submitted_in_order(server) == ids
    assert started_in_order(server) == ids
    assert differing(database, server.folder, endings(ids, jobs)) == []
    assert forbidden_moves(database) == []
    assert unsound(database) == []
    eventually(lambda: leftovers(database, server.folder) == [], what="no file is left")
    eventually(lambda: not any(server.folder.glob("local/*")), what="no scratch folder is left")
    assert grown.peak < room


def submit_and_run(server, jobs) -> list[str]:
    ids = [submit(server.port, honest_zip(job.files)) for job in jobs]
    eventually(lambda: all_ended(server), what="all have ended", timeout=60 + len(jobs))
    return ids
