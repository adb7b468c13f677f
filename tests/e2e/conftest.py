import json
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.e2e.harness import WAIT_FOR_GO, Engine, Project, Server
from tests.small_disk import MIB, require_mounting, small_disk

pytest.register_assert_rewrite("tests.e2e.crash_points.walking")


@pytest.fixture
def engine(namespace):
    engine = Engine(namespace)
    yield engine
    engine.close()


@pytest.fixture
def servers():
    """Make servers; all of them end with the test. The log is shown when the test fails."""
    made = []
    # Not tmp_path: with a path that long, the sockets would lie outside of the data directory.
    top = Path(tempfile.mkdtemp(prefix="ci-"))

    def make(namespace: str, name: str = "server", workers: int = 1, **settings: str) -> Server:
        folder = top / name
        folder.mkdir()
        settings = {f"CI_{key.upper()}": value for key, value in settings.items()}
        server = Server(folder, namespace, settings, workers)
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()
        if server.log.exists():
            print(f"--- log of {server.folder.name}\n{server.log.read_text()[-20_000:]}")
    # Only now is there nobody left who would start a container again.
    for server in made:
        if server.settings["CI_EXECUTOR"] == "docker" and "DOCKER_HOST" not in server.settings:
            _clear(server.namespace)
    shutil.rmtree(top)


def _clear(namespace: str) -> None:
    engine = Engine(namespace)
    try:
        engine.clear()
    finally:
        engine.close()


@pytest.fixture
def disk():
    """A disk of 64 MiB. Ask for it before ``servers``: it goes when these are gone."""
    require_mounting()
    with (
        tempfile.TemporaryDirectory(prefix="ci-") as folder,
        small_disk(Path(folder), 64 * MIB) as made,
    ):
        yield made


@pytest.fixture
def server(servers, engine, namespace):
    """A running server with the Docker executor, and what is left of it cleared away."""
    return servers(namespace, executor="docker").start()


@pytest.fixture
def project(tmp_path):
    """Make projects that run a shell script and install nothing."""
    count = iter(range(1000))

    def make(script: str = "echo hello", **config: object) -> Project:
        path = Path(tmp_path / f"project-{next(count)}")
        path.mkdir()
        lines = ["install = []", "command = 'sh run.sh'"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in config.items()]
        made = Project(path, script)
        return made.write({"ci.toml": "\n".join(lines) + "\n", "run.sh": script + "\n"})

    return make


@pytest.fixture
def waiting(project):
    """Make a project that says ``started``, waits to be let go, says ``done``, and exits."""

    def make(exit_code: int = 0, **config: object) -> Project:
        wait = WAIT_FOR_GO.format(go="/tmp/go")
        return project(f"echo started\n{wait}\necho done\nexit {exit_code}", **config)

    return make
