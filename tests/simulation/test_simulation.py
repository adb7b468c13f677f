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
    max_examples=100,
    stateful_step_count=80,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
LONG = settings(GATE, derandomize=False, max_examples=1500, stateful_step_count=150)

EVERYTHING = {
    *EndReason,
    "retried",
    "removed",
    "log cut",
    "log resumed",
    "secret masked",
    "rationed",
}
"""What has to happen in so many runs, or they show nothing."""


def in_a_process_of_its_own(call: str, *, hash_seed: str = "0") -> str:
    """Call a function of this module; return what it printed.

    Hypothesis draws from the constants of the modules that are loaded, so only
    in a new process do the same runs come each time.
    """
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import *; {call}"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def run_for_the_gate() -> None:
    """Run the same thousands of steps."""
    run_state_machine_as_test(Simulation, settings=GATE)
    missing = EVERYTHING - Simulation.reached.keys()
    assert not missing, f"never happened: {missing}"
    assert Simulation.reached["step"] > 5000, Simulation.reached


def run_for_long(chosen: int) -> None:
    """Run many more, which the seed decides; print what happened in them."""
    run_state_machine_as_test(seed(chosen)(Simulation), settings=LONG)
    print(", ".join(f"{what}: {count}" for what, count in sorted(Simulation.reached.items())))


def print_digest_of_some_runs() -> None:
    """Print what became of a few runs, every act of theirs, as one hash."""
    digest = hashlib.sha256()

    class Recorded(Simulation):
        def teardown(self) -> None:
            super().teardown()
            digest.update("\n".join(self.world.trace).encode())

    few = settings(GATE, derandomize=False, max_examples=6, phases=[Phase.generate])
    run_state_machine_as_test(seed(20260101)(Recorded), settings=few)
    print(digest.hexdigest())


def test_nothing_is_lost_whatever_happens():
    in_a_process_of_its_own("run_for_the_gate()")


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (Kind.PLAIN, None),
        (Kind.INSTALLS, None),
        (Kind.TREE, None),
        (Kind.SECRETIVE, None),
        (Kind.PLAIN, Fault.FAILS_AFTERWARDS),
    ],
)
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


def test_a_log_goes_on_masked_wherever_in_a_secret_the_engine_went_away():
    """What was held back of it is with the engine, or was never said."""
    resumed = 0
    for said in range(1, 36, 2):
        run = Simulation()
        run.begin(keep_for=0.0, cuts_followers=True, kinds=[])
        try:
            run.engine_restarts_under_containers(Kind.SECRETIVE, 0, 1.0, said, 40)
            run.time_passes(5.0)
            resumed += sum(each.forgot for each in run.world.engine.begun)
        finally:
            run.teardown()
    assert resumed > 0


def test_a_seed_replays_exactly():
    """In another process, whose sets have other orders."""
    one, other = (
        in_a_process_of_its_own("print_digest_of_some_runs()", hash_seed=hash_seed)
        for hash_seed in ("1", "2")
    )
    assert len(one.strip()) == hashlib.sha256().digest_size * 2
    assert one == other
