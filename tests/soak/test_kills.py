"""Jobs of several clients on a server that is killed again and again."""

import random
import time
from collections import Counter

import pytest

from tests.invariants import (
    Ending,
    differing,
    forbidden_moves,
    leftovers,
    unsound,
    watch_moves,
)
from tests.soak.killing import Killing, NumberedJob
from tests.waiting import eventually

pytestmark = pytest.mark.docker

SEEDS = random.SystemRandom()


@pytest.mark.parametrize(
    ("jobs", "kills"),
    [
        pytest.param(12, 5, id="a few"),
        pytest.param(200, 50, id="many", marks=pytest.mark.soak),
    ],
)
def test_every_job_ends_once_whenever_the_server_dies(
    servers, engine, namespace, project, tmp_path, jobs, kills
):
    """Fault 7. Under kills at random moments every job ends once, with all its bytes."""
    seed = SEEDS.randrange(10**6)
    server = servers(namespace, executor="docker", max_running="8").start()
    database = server.folder / "ci_jobs.db"
    watch_moves(database)
    killing = Killing(server, jobs=jobs, kills=kills, seed=seed)
    began = time.monotonic()
    print(f"seed {seed}")
    killing.run(project, tmp_path / "cache")
    took = time.monotonic() - began

    endings = {}
    for number, seen in killing.seen.items():
        job = NumberedJob(number)
        assert seen.text == job.log.decode()
        assert (seen.complete["reason"], seen.complete["exit_code"]) == (job.reason, job.exit_code)
        endings[seen.job_id] = Ending(
            reason=job.reason, exit_code=job.exit_code, log=job.log, attempt=None
        )
    assert len(endings) == jobs
    assert killing.pace.done_kills >= kills

    server.kill()
    server.settings["CI_ORPHAN_GRACE"] = "0"
    server.start()
    eventually(lambda: not engine.containers(), what="no container is left")
    eventually(lambda: leftovers(database, server.folder) == [], what="no file is left")
    assert differing(database, server.folder, endings) == []
    assert forbidden_moves(database) == []
    assert unsound(database) == []
    assert server.rows("SELECT count(*) FROM jobs") == [(jobs,)]
    server.terminate()
    assert engine.everything() == []
    attempts = Counter(attempt for (attempt,) in server.rows("SELECT attempt FROM jobs"))
    print(f"{jobs} jobs, {killing.pace.done_kills} kills, {took:.0f} s, attempts {dict(attempts)}")
