"""A server that kills itself at every step of a job's path, and the one that comes after it."""

import pytest

from tests.e2e.crash_points.scenarios import SCENARIOS
from tests.e2e.crash_points.steps import Walk, walks
from tests.e2e.crash_points.walking import walker

pytestmark = pytest.mark.docker


@pytest.mark.parametrize("walk", tuple(walks()), ids=str)
def test_a_crash_at_every_step(walk: Walk, servers, engine, namespace, tmp_path):
    """Fault 1. Fault 2. Fault 3. Fault 4. Fault 5. Fault 6. Fault 7. Fault 8. Fault 9.

    Which case is which fault is said by the table in ``crash_points/steps.py``.
    """
    crash, scenario = walk.crash, SCENARIOS[walk.crash.scenario]
    settings = {"standby_size": str(scenario.standbys), "executor": "docker", **scenario.settings}
    server = servers(namespace, **settings)
    with walker(server, engine, scenario, tmp_path) as walking:
        jobs = walking.live_before() + 1
        if crash.first is not None:
            walking.crash(crash.first, with_client=True)
        if scenario.abandoned:
            walking.client.give_up()
            server.settings["CI_ORPHAN_GRACE"] = "0"
        walking.crash(walk.point, with_client=not scenario.abandoned)
        if scenario.abandoned:
            walking.start_and_sweep()
        else:
            server.start()
        walking.greet()
        seen = walking.client.end()
        if crash.sweep:
            server.kill()
            walking.start_and_sweep()
        walking.wait_for_order()
        walking.check(seen, attempt=crash.attempt, jobs=jobs)
