"""The description of the API, held against a live server by requests that are made from it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import Server

_ROOT = Path(__file__).parents[3]
_HOOKS = "tests.e2e.schema.hooks"


@pytest.fixture
def server(servers, namespace) -> Server:
    return servers(namespace, executor="local", standby_size="0", keep_projects_for="1h").start()


def test_the_server_does_what_its_description_says(server, tmp_path):
    """Every status, header, media type and body is described; nothing makes it fail."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "--config-file", str(_ROOT / "tests/e2e/schema/schemathesis.toml"), "run",
        f"{server.url}/schema/openapi.json",
        "--max-examples", "8", "--seed", "5", "--generation-deterministic",
        "--continue-on-failure", "--request-timeout", "30",
        "--no-color",
    ]  # fmt: skip
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": _HOOKS, "PYTHONPATH": str(_ROOT)}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
