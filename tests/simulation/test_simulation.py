"""Nothing lost, doubled or blamed on a job, whatever happens in whatever order.

The gate runs the same thousands of steps each time; `make soak` runs many more,
and others each time. A failing run is printed as a program that does it again;
``world.trace`` then lists every act of every server.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from ci_common.jobs import EndReason
from tests.simulation.engine import Fault
from tests.simulation.machine import STARTING, Simulation
from tests.simulation.submission import Kind

GATE = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    stateful_step_count=80,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)

EVERYTHING = {*EndReason, "retried", "removed", "log cut", "log resumed"}
"""What has to happen in so many runs, or they show nothing."""


def test_nothing_is_lost_whatever_happens():
    Simulation.reached.clear()
    run_state_machine_as_test(Simulation, settings=GATE)
    assert Simulation.reached.keys() >= EVERYTHING
    assert Simulation.reached["step"] > 5000


@pytest.mark.parametrize("fault", [None, Fault.FAILS_AFTERWARDS])
@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.INSTALLS, Kind.TREE])
def test_a_server_killed_at_each_point_of_a_start(kind, fault):
    """Each by itself, also when the answer to the feed is lost: chance does not come to all."""
    for points in STARTING:
        run = Simulation()
        run.begin(keep_for=0.0, cuts_followers=True, kinds=[])
        try:
            run.kill_server_on_a_jobs_way(kind, 0, points, 0.0, fault)
            run.time_passes(11.0)
        finally:
            run.teardown()


def digest_of_some_runs() -> str:
    """Return what became of a few runs, every act of theirs, as one hash."""
    digest = hashlib.sha256()

    class Recorded(Simulation):
        def teardown(self) -> None:
            super().teardown()
            digest.update("\n".join(self.world.trace).encode())

    few = settings(GATE, derandomize=False, max_examples=6, phases=[Phase.generate])
    run_state_machine_as_test(seed(20260101)(Recorded), settings=few)
    return digest.hexdigest()


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_seed_replays_exactly(hash_seed):
    """In another process too, whose sets have other orders."""
    told = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import *; print(digest_of_some_runs())"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == digest_of_some_runs()
