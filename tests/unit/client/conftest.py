"""Shared by the client's tests: a scripted server, a small project, a home of its own."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ci_client.dispatch import run
from tests.unit.client.cli_harness import Ci, Outcome
from tests.unit.client.scripted_server import Script, ScriptedServer


@pytest.fixture
def script() -> Iterator[Script]:
    server = ScriptedServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.script
    server.script.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "test_demo.py").write_text("def test_demo(): pass\n")
    return folder


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    for name in (
        "CI_SERVER_URL", "CI_API_KEY", "CI_ORGANISATION", "CI_DEBUG", "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return home


@pytest.fixture
def ci(script: Script, capfdbinary: Any, monkeypatch: pytest.MonkeyPatch) -> Ci:
    monkeypatch.setenv("CI_SERVER_URL", script.url)

    def call(*arguments: str) -> Outcome:
        code = run(list(arguments))
        captured = capfdbinary.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call
