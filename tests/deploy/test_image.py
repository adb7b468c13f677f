"""The image, the filter and the compose file: built, started, used and replaced, for real."""

import re

import pytest

from tests.deploy.conftest import ROOT
from tests.deploy.engine_calls import assert_only_ours_pass
from tests.deploy.stack import Stack, stack_of
from tests.e2e.harness import WAIT_FOR_GO, Engine, Project

PROBE = """
import http.client, os, sys
from urllib.parse import urlsplit
engine = urlsplit(os.environ["DOCKER_HOST"])
for line in sys.argv[1:]:
    method, path = line.split()
    connection = http.client.HTTPConnection(engine.hostname, engine.port, timeout=60)
    connection.request(method, path, body=b"{}", headers={"Content-Type": "application/json"})
    print(connection.getresponse().status)
"""


@pytest.fixture
def engine(namespace):
    engine = Engine(namespace)
    yield engine
    engine.clear()
    engine.close()


@pytest.mark.docker
@pytest.mark.soak
def test_the_stack_runs_jobs_and_finds_them_again_when_the_server_is_replaced(
    compose, namespace, engine, tmp_path
) -> None:
    """One test, since the images are built for it: half a minute, or three on a busy machine."""
    with stack_of(compose, namespace) as stack:
        check_the_image(stack)
        check_the_container(stack)
        runs_a_job_to_its_end(stack, tmp_path)
        keeps_a_job_over_a_replacement(stack, engine, tmp_path)
        refused = stack.run("logs", "--no-color", "engine-proxy").count(" 403 ")
        assert refused == 0, "the server needs a call that the filter does not let through"
        assert_only_ours_pass(
            lambda *calls: stack.execute("server", "python3", "-c", PROBE, *calls)
        )


def check_the_image(stack: Stack) -> None:
    """What is in it is what constraints.txt pins, and nothing that builds."""
    listing = stack.execute(
        "server", "python3", "-c",
        "from importlib.metadata import distributions as d\n"
        "for each in d(path=[__import__('sysconfig').get_path('purelib')]):\n"
        "    print(each.name.lower().replace('_', '-').replace('.', '-') + '==' + each.version)",
    )  # fmt: skip
    there = set(listing.split())
    pinned = set(
        re.findall(r"^[a-z0-9-]+==[^ ]+", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    )
    own = {each for each in there if each.startswith("standby-ci==")}
    assert own
    assert there - own <= pinned
    names = {each.partition("==")[0] for each in there}
    assert "litestar" in names
    assert not names & {"pip", "uv", "hatchling", "setuptools", "wheel", "pytest", "mypy"}


def check_the_container(stack: Stack) -> None:
    """It is not root, cannot write but to its data, and does not see the engine's socket."""
    assert stack.execute("server", "id", "-u").strip() == "10001"
    container = stack.container("server")
    host = container.attrs["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["Init"]
    assert [mount["Destination"] for mount in container.attrs["Mounts"]] == ["/data"]
    image = stack.image("server")
    assert "CI_ACCOUNTS=on" in image.attrs["Config"]["Env"]
    command = container.attrs["Config"]["Healthcheck"]["Test"]
    assert command[0] == "CMD"
    stack.execute("server", *command[1:])
    proxy = stack.container("engine-proxy")
    assert not proxy.attrs["HostConfig"]["PortBindings"]
    assert list(proxy.attrs["NetworkSettings"]["Networks"]) == [f"{stack.name}_engine"]


def runs_a_job_to_its_end(stack: Stack, folder) -> None:
    """The project goes to the job's container through the filter: no folder is shared."""
    done = stack.server.ci("submit", str(project(folder / "one", "cat data.txt").path))
    assert done.returncode == 0, done.stderr.decode()
    assert "fed by stdin" in done.stdout.decode()


def keeps_a_job_over_a_replacement(stack: Stack, engine: Engine, folder) -> None:
    script = f"echo started\n{WAIT_FOR_GO.format(go='/tmp/go')}\necho done"
    job = stack.server.submit(project(folder / "two", script))
    stack.server.until_log(job, "started")

    first = stack.container("server")
    stack.run("stop", "server")
    assert stack.container("server").attrs["State"]["ExitCode"] == 0
    stack.run("rm", "--force", "server")
    assert engine.of(job).status == "running"

    stack.up()
    assert stack.container("server").id != first.id
    engine.go(job)
    ended = stack.server.until(job, "completed")
    assert ended["success"], ended
    assert ended["attempt"] == 1
    assert stack.server.text(job).count("started") == 1
    assert "done" in stack.server.text(job)


def project(path, script: str) -> Project:
    path.mkdir()
    files = {"ci.toml": "install = []\ncommand = 'sh run.sh'\n", "run.sh": script + "\n"}
    return Project(path).write(files | {"data.txt": "fed by stdin\n"})
