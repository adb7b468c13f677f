"""The simulation at length: other runs each time, and the same ones for the same seed."""

import os
import random

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.machine import Simulation
from tests.simulation.test_simulation import GATE

SEED = "SIMULATION_SEED"


@pytest.mark.soak
def test_nothing_is_lost_whatever_happens():
    chosen = int(os.environ.get(SEED) or random.SystemRandom().randrange(10**9))
    print(f"{SEED}={chosen} repeats this run")
    long = settings(GATE, derandomize=False, max_examples=1500, stateful_step_count=150)
    Simulation.reached.clear()
    run_state_machine_as_test(seed(chosen)(Simulation), settings=long)
    print(", ".join(f"{what}: {count}" for what, count in sorted(Simulation.reached.items())))
