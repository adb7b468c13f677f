"""The simulation at length, with a seed that `make soak` chooses and prints."""

import pytest
from hypothesis import HealthCheck, settings

from tests.simulation.machine import Simulation


@pytest.mark.soak
class TestSimulation(Simulation.TestCase):
    settings = settings(
        max_examples=1500,
        stateful_step_count=150,
        suppress_health_check=list(HealthCheck),
    )
