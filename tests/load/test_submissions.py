"""A hundred clients at the same moment: each gets its own job, and nobody gets two."""

import random
from functools import partial

import pytest

from ci_controller.lock import ControllerLock
from tests.e2e.client_thread import session_with, submit_and_watch
from tests.fakes.zips import honest_zip
from tests.invariants import differing, forbidden_moves, leftovers, unsound, watch_moves
from tests.load.jobs import NumberedJob, all_ended, started_in_order, submitted_in_order
from tests.load.uploads import at_once, submit
from tests.memory import MIB, Meter
from tests.waiting import eventually

FEW, CLIENTS = 10, 100
SMALL, LARGE = 400_000, 1_200_000
"""Bytes in each project that do not shrink."""

ROOM = 24 * MIB
"""Bytes that a server may grow by more when projects are three times as large: they go to the disk.

To hold what comes in would take 80 MB more.
"""

PER_UPLOAD = 768 * 1024
"""Bytes that an upload under way may take, however large: a batch on its way to the disk, the
next one, and what has been received of that. 460 KB were seen."""


def numbered(number: int, size: int) -> NumberedJob:
    return NumberedJob(number, ballast=random.Random(number).randbytes(size))


def write(job: NumberedJob, folder):
    folder.mkdir()
    for name, content in job.files.items():
        (folder / name).write_bytes(content)
    return folder


def clients_at_once(server, jobs, tmp_path) -> list:
    """Have each job submitted and watched to its end by a client; return what each saw."""

    def client(job: NumberedJob):
        with session_with(server.url) as session:
            folder = write(job, tmp_path / f"project-{job.number}")
            return submit_and_watch(session, folder, tmp_path / "cache")

    return at_once([partial(client, job) for job in jobs])


def check(server, endings) -> None:
    """Check that there are these jobs and no others, each of which ended as it must."""
    database = server.folder / "ci_jobs.db"
    assert set(submitted_in_order(server)) == endings.keys()
    assert differing(database, server.folder, endings) == []
    assert forbidden_moves(database) == []
    assert unsound(database) == []
    eventually(lambda: leftovers(database, server.folder) == [], what="no file is left")
    eventually(lambda: not any(server.folder.glob("local/*")), what="no scratch folder is left")


def test_a_hundred_clients_at_once(servers, namespace, tmp_path):
    """Each sees the log of its own job, and jobs start in the order they were accepted in."""
    server = servers(namespace, executor="local", max_running="4").start()
    watch_moves(server.folder / "ci_jobs.db")
    few = [numbered(number, SMALL) for number in range(FEW)]
    many = [numbered(number, SMALL) for number in range(FEW, FEW + CLIENTS)]
    seen = clients_at_once(server, few, tmp_path)
    with Meter(server.process.pid).growth() as grown:
        seen += clients_at_once(server, many, tmp_path)
    print(f"\n{CLIENTS} clients with projects of {SMALL / 1e6:g} MB: the server grew by {grown}")

    endings = {}
    for job, what in zip([*few, *many], seen, strict=True):
        assert what.text == job.log.decode()
        assert what.complete["exit_code"] == job.exit_code
        endings[what.job_id] = job.ending
    assert len(endings) == FEW + CLIENTS, "two clients have the same job"
    check(server, endings)
    assert started_in_order(server) == submitted_in_order(server)
    assert grown.peak < PER_UPLOAD * CLIENTS


def test_a_hundred_submissions_each_sent_several_times(servers, namespace):
    """With its key each is one job, whether the others come with it or after its end."""
    server = servers(namespace, executor="local", max_running="4").start()
    watch_moves(server.folder / "ci_jobs.db")
    jobs = [numbered(number, 10) for number in range(CLIENTS)]
    zips = zips_of(jobs)
    ids = sent(server, zips, times=3)
    eventually(lambda: all_ended(server), what="all have ended", timeout=120)
    assert sent(server, zips) == ids
    assert len(set(ids.values())) == CLIENTS, "two submissions are the same job"
    check(server, {ids[job.number]: job.ending for job in jobs})


@pytest.fixture
def unworked(servers, namespace):
    """A server whose jobs stay queued: we hold the lock that its controller needs."""
    server = servers(namespace, executor="local")
    lock = ControllerLock(server.folder / "controller.lock")
    assert lock.try_acquire()
    yield server.start()
    lock.release()


def test_a_hundred_uploads_at_once(unworked):
    """What comes in goes to the disk, however much it is, and lies there as it was sent."""
    meter = Meter(unworked.process.pid)
    small, large = (
        zips_of(numbered(first + number, size) for number in range(CLIENTS))
        for first, size in ((0, SMALL), (CLIENTS, LARGE))
    )
    ids = sent(unworked, small)
    with meter.growth() as with_small:
        assert sent(unworked, small) == ids
    with meter.growth() as with_large:
        ids |= sent(unworked, large)
    print(f"\n{CLIENTS} uploads of {SMALL / 1e6:g} MB at once: the server grew by {with_small}")
    print(f"{CLIENTS} of {LARGE / 1e6:g} MB: {with_large}")

    assert set(submitted_in_order(unworked)) == set(ids.values())
    for number, content in {**small, **large}.items():
        stashed = unworked.folder / "stash" / f"{ids[number]}.zip"
        assert stashed.read_bytes() == content, number
    assert leftovers(unworked.folder / "ci_jobs.db", unworked.folder) == []
    assert with_large.top - with_small.top < ROOM
    assert with_large.peak < PER_UPLOAD * CLIENTS


def zips_of(jobs) -> dict[int, bytes]:
    """Return the zips of jobs by number. To be made once: a zip tells when it was made."""
    return {job.number: honest_zip(job.files) for job in jobs}


def sent(server, zips, *, times: int = 1) -> dict[int, str]:
    """Send all zips at once, each so many times with its key; return their ids by number."""
    calls = [
        partial(submit, server.port, content, f"job-{number}")
        for number, content in zips.items()
        for _ in range(times)
    ]
    ids = at_once(calls)
    assert all(ids[each::times] == ids[::times] for each in range(times)), "repeats differ"
    return dict(zip(zips, ids[::times], strict=True))
