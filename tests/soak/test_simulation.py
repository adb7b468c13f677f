"""The simulation at length: other runs each time, and the same ones for the same seed."""

import os
import random

import pytest

from tests.simulation.test_simulation import in_a_process_of_its_own

SEED = "SIMULATION_SEED"


@pytest.mark.soak
def test_nothing_is_lost_whatever_happens():
    chosen = int(os.environ.get(SEED) or random.SystemRandom().randrange(10**9))
    print(f"{SEED}={chosen} repeats this run")
    print(in_a_process_of_its_own(f"run_for_long({chosen})"))
