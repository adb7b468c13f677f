"""What every test may lean on: the engine, the runner image, a namespace of its own."""

import gc
import os
import signal
import uuid
from functools import cache

import pytest
from hypothesis import settings

# A loaded machine is no failure: what is too slow shows in the benchmarks.
settings.register_profile("standby-ci", deadline=None, print_blob=True)
settings.load_profile("standby-ci")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in a shell's background: the processes of the tests would ignore Ctrl-C too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What is loaded by the time that the tests begin stays; to look through it for garbage again and
# again takes a third of the time.
gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage from now on, in what the tests make."""
    gc.freeze()
    gc.enable()


@cache
def engine_problem() -> str | None:
    """Return why Docker tests cannot run here, None if they can."""
    import docker

    if not os.environ.get("CI_DEFAULT_IMAGE"):
        return "CI_DEFAULT_IMAGE names no runner image (scripts/with-runner sets it)"
    try:
        client = docker.from_env(timeout=10)
        try:
            client.images.get(os.environ["CI_DEFAULT_IMAGE"])
        finally:
            client.close()
    except docker.errors.ImageNotFound:
        return f"the image {os.environ['CI_DEFAULT_IMAGE']} is not on this engine"
    except (docker.errors.DockerException, OSError) as error:
        return f"no Docker engine answers: {error}"
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip Docker tests where there is no engine; on CI that is a failure."""
    if item.get_closest_marker("docker") is None:
        return
    problem = engine_problem()
    if problem and os.environ.get("CI") == "true":
        pytest.fail(f"CI=true asks for Docker tests, but {problem}", pytrace=False)
    if problem:
        pytest.skip(problem)


@pytest.fixture
def runner_image() -> str:
    """The image jobs run in."""
    return os.environ["CI_DEFAULT_IMAGE"]


@pytest.fixture
def namespace() -> str:
    """A container prefix that no other test has."""
    return f"t{uuid.uuid4().hex[:8]}_"
