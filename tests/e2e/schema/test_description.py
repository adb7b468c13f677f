"""The description of the API, held against a live server by requests that are made from it."""

import asyncio
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ci_common.api_keys import new_key
from ci_common.clock import SystemClock
from ci_persistence.jobs import SQLiteJobRepository
from tests.e2e.harness import Server
from tests.e2e.schema import ourselves

_ROOT = Path(__file__).parents[3]
_HOOKS = "tests.e2e.schema.hooks"


@pytest.fixture
def server(servers, namespace) -> Server:
    return servers(namespace, executor="local", standby_size="0", keep_projects_for="1h").start()


@pytest.fixture
def key(server) -> str:
    """A key that may do everything."""
    shown = new_key()
    asyncio.run(_let_in(server.folder / "ci_jobs.db", shown))
    return shown


async def _let_in(database: Path, shown: str) -> None:
    repository, now = SQLiteJobRepository(database), SystemClock().now().wall
    await repository.initialize()
    try:
        accounts = repository.accounts
        for organisation in ourselves.organisations(now):
            await accounts.add_organisation(organisation)
        for user in ourselves.users(now):
            await accounts.add_user(user)
        await accounts.add_key(ourselves.key(now), hashlib.sha256(shown.encode()).digest())
    finally:
        await repository.close()


def test_the_server_does_what_its_description_says(server, key, tmp_path):
    """Every status, header, media type and body is described; nothing makes it fail.

    With accounts, by a key that may do everything: so every route does what it is for.
    """
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "--config-file", str(_ROOT / "tests/e2e/schema/schemathesis.toml"), "run",
        f"{server.url}/schema/openapi.json",
        "--max-examples", "8", "--seed", "5", "--generation-deterministic",
        "--continue-on-failure", "--request-timeout", "30",
        "--no-color", "--header", f"Authorization: Bearer {key}",
        "--header", f"CI-Organisation: {ourselves.ORGANISATION_NAME}",
    ]  # fmt: skip
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": _HOOKS, "PYTHONPATH": str(_ROOT)}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
