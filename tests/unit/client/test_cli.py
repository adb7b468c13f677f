"""The group `ci`, and the commands that are not about jobs, called in this process."""

import sys
from email.utils import formatdate
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from ci_client.commands import COMMANDS
from ci_client.exits import Exit
from ci_client.group import cli
from ci_common import __version__
from ci_server.given import Given
from tests.unit.client.cli_harness import Ci, job_stream
from tests.unit.client.scripted_server import Script, answer, drop, problem


class TestGroup:
    def test_help_names_every_command(self, ci: Ci) -> None:
        outcome = ci("--help")
        assert outcome.code == 0
        assert all(f"  {name} " in outcome.out for name in COMMANDS)

    def test_version(self, ci: Ci) -> None:
        assert ci("--version").out == f"ci {__version__}\n"

    def test_every_command_module_is_in_the_group_and_no_other(self) -> None:
        folder = Path(sys.modules["ci_client.group"].__file__ or "").parent / "commands"
        modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
        assert modules == set(COMMANDS)
        for name in COMMANDS:
            assert cli.get_command(None, name) is not None  # type: ignore[arg-type]

    @pytest.mark.parametrize("arguments", [["nosuch"], ["submit", "--nosuch"], ["wait"], []])
    def test_wrong_usage_exits_with_2(self, ci: Ci, arguments: list[str]) -> None:
        outcome = ci(*arguments)
        assert outcome.code == Exit.USAGE
        assert "Usage" in outcome.err

    def test_a_key_from_stdin_is_shown_to_the_server(
        self, ci: Ci, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", StringIO("piped-key\n"))
        script.will(answer([]))
        assert ci("--api-key", "-", "list").code == 0
        assert script.seen[0].headers["authorization"] == "Bearer piped-key"

    def test_a_refused_key_exits_with_4(self, ci: Ci, script: Script) -> None:
        script.will(problem(401, "authentication_failed", "who are you"))
        outcome = ci("list")
        assert outcome.code == Exit.AUTHENTICATION
        assert outcome.err.startswith("error: who are you")

    def test_no_server_exits_with_5(self, ci: Ci, unused_tcp_port: int) -> None:
        outcome = ci("--server", f"localhost:{unused_tcp_port}", "list")
        assert outcome.code == Exit.UNREACHABLE
        assert "connection refused" in outcome.err
        assert "ci serve" in outcome.err

    def test_what_we_did_not_expect_is_told_without_a_traceback(
        self, ci: Ci, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: object) -> None:
            raise RuntimeError("out of cheese\x1b")

        monkeypatch.setattr("ci_client.invocation.Invocation.connect", fail)
        outcome = ci("list")
        assert outcome.code == Exit.INFRASTRUCTURE
        assert outcome.err_lines[0] == "internal error: RuntimeError: out of cheese\\x1b"
        assert "CI_DEBUG=1" in outcome.err
        assert "Traceback" not in outcome.err
        monkeypatch.setenv("CI_DEBUG", "1")
        assert "Traceback" in ci("list").err

    def test_messages_of_a_server_cannot_drive_the_terminal(self, ci: Ci, script: Script) -> None:
        script.will(problem(400, "invalid_request", "\x1b]0;owned\x07"))
        assert "\x1b" not in ci("list").err

    def test_colour_on_request(
        self, ci: Ci, script: Script, monkeypatch: pytest.MonkeyPatch, project: Path
    ) -> None:
        script.will(job_stream())
        monkeypatch.setenv("FORCE_COLOR", "1")
        assert "\x1b[32mpassed" in ci("submit", str(project)).err
        assert "\x1b" not in ci("--no-color", "submit", str(project)).err


class TestConfig:
    def test_show(self, ci: Ci, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CI_API_KEY", "0123456789abcdef")
        monkeypatch.setenv("CI_ORGANISATION", "acme")
        assert ci("config", "show").out == (
            f"server       {script.url}\napi_key      …cdef\norganisation acme\n"
        )
        assert ci("config", "show", "--origin").out == (
            f"server       {script.url}  (CI_SERVER_URL)\n"
            "api_key      …cdef  (CI_API_KEY)\n"
            "organisation acme  (CI_ORGANISATION)\n"
        )


class TestDoctor:
    @pytest.fixture(autouse=True)
    def elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a server needs on this machine is tested where it is looked at."""
        monkeypatch.setattr("ci_client.commands.doctor._machine_checks", list)

    def test_all_is_well(self, ci: Ci, script: Script) -> None:
        script.will(
            answer({"version": __version__}, Date=formatdate(usegmt=True)),
            answer({"ready": True, "problems": {}}),
            answer([]),
        )
        outcome = ci("doctor")
        assert outcome.code == 0
        assert [line[0] for line in outcome.out.splitlines()] == ["✓"] * 4
        assert "without a key" in outcome.out

    def test_what_is_wrong_comes_with_its_fix(self, ci: Ci, script: Script) -> None:
        script.will(
            answer({"version": "9.9.9"}, Date="Thu, 01 Jan 2015 00:00:00 GMT"),
            answer({"ready": False, "problems": {"engine": "gone"}}, 503),
            problem(401, "authentication_failed", "who are you"),
        )
        outcome = ci("doctor")
        assert outcome.code == Exit.INFRASTRUCTURE
        assert "✗ version: client" in outcome.out
        assert (
            "fix: Install the server's version here: pip install 'standby-ci==9.9.9'" in outcome.out
        )
        assert "✗ server's engine: gone" in outcome.out
        assert "✗ access: who are you" in outcome.out

    def test_no_server(self, ci: Ci, unused_tcp_port: int) -> None:
        outcome = ci("--server", f"localhost:{unused_tcp_port}", "doctor")
        assert outcome.code == Exit.INFRASTRUCTURE
        assert "✗ server: " in outcome.out
        assert "fix: Start one with `ci serve`" in outcome.out


class TestServerParts:
    def test_serve_hands_its_options_on(
        self, ci: Ci, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        calls: list[tuple[object, ...]] = []

        def run_server(
            host: str, port: int, workers: int, overrides: dict[str, Given], *, file: Path
        ) -> int:
            values = {key: given.value for key, given in overrides.items()}
            calls.append((host, port, workers, values, file))
            return 0

        monkeypatch.setattr("ci_server.serve.run_server", run_server)
        options = ("--port", "0", "--workers", "2", "--executor", "local", "--set", "max_files=7")
        assert ci("serve", *options, "--data-dir", str(tmp_path)).code == 0
        assert ci("serve", "--host", "::1", "--config", "x.yaml").code == 0
        overrides = {
            "max_files": "7",
            "executor": "local",
            "CI_DATA_DIR": str(tmp_path),
            "CI_DB_PATH": str(tmp_path / "ci_jobs.db"),
        }
        assert calls == [
            (None, 0, 2, overrides, None),
            ("::1", None, 1, {}, Path("x.yaml")),
        ]

    @pytest.mark.parametrize(
        ("module", "arguments"),
        [("ci_server.serve", ["serve"]), ("ci_server.embedded", ["run", "."])],
    )
    def test_where_they_are_missing_it_is_said_what_to_install(
        self,
        ci: Ci,
        monkeypatch: pytest.MonkeyPatch,
        project: Path,
        module: str,
        arguments: list[str],
    ) -> None:
        monkeypatch.chdir(project)
        monkeypatch.setitem(sys.modules, module, None)
        outcome = ci(*arguments)
        assert outcome.code == Exit.USAGE
        assert "pip install 'standby-ci[server]'" in outcome.err

    def test_doctor_tells_of_this_machine_and_of_wrong_settings(
        self, ci: Ci, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def machine_checks(_: object) -> list[Any]:
            from ci_common.checks import Check

            return [Check("disk space", ok=False, detail="full", fix="tidy up")]

        script.will(drop)
        monkeypatch.setattr("ci_server.doctor.machine_checks", machine_checks)
        assert "✗ disk space: full\n    fix: tidy up\n" in ci("doctor").out
        monkeypatch.setenv("CI_PORT", "nonsense")
        assert "✗ server parts: CI_PORT" in ci("doctor").out
