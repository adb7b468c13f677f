import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.e2e.faults import sandbox
from tests.e2e.faults.own_engine import OwnEngine


def require(problem: str | None) -> None:
    """Skip the test for what is missing here; on CI that is a failure."""
    if problem and os.environ.get("CI") == "true":
        pytest.fail(f"CI=true asks for real faults, but {problem}", pytrace=False)
    if problem:
        pytest.skip(problem)


@pytest.fixture
def folder():
    """A folder whose name is short enough for sockets."""
    made = Path(tempfile.mkdtemp(prefix="ci-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def own_engine(folder, namespace):
    """An engine that only this test uses, with the image that jobs run in."""
    require(sandbox.problem("dockerd", "containerd", "runc"))
    engine = OwnEngine(folder, namespace)
    try:
        engine.start()
        engine.import_image()
        yield engine
    finally:
        engine.close()
        print(f"--- log of the engine\n{engine.log.read_text()[-5_000:]}")


@pytest.fixture
def server_on(own_engine, servers, namespace):
    """Make servers on the test's own engine, without marks that keep disks from filling up.

    They end before it does.
    """

    def make(**settings: str):
        given = {
            "standby_size": "0",
            "reconcile_interval": "0.2",
            "min_free_bytes": "0",
            "reserve_bytes": "0",
        } | settings
        server = servers(namespace, executor="docker", **given)
        server.settings |= own_engine.settings
        return server

    return make
