"""`ci submit`, called in this process, against a scripted server."""

import json
from pathlib import Path

import pytest

from ci_client.exits import Exit
from ci_common.events import JobIdEvent
from tests.unit.client.cli_harness import JOB, Ci, job_stream
from tests.unit.client.scripted_server import Script, answer, drop, message, stream


class TestSubmit:
    def test_the_log_goes_to_stdout_and_the_rest_to_stderr(
        self, ci: Ci, script: Script, project: Path
    ) -> None:
        script.will(job_stream())
        outcome = ci("submit", str(project))
        assert outcome.code == 0
        assert outcome.out == "3 passed\n"
        assert outcome.err_lines[0] == (
            f"job {JOB} · 1 file, 0.0 MB · come back: ci wait {JOB} --all"
        )
        assert outcome.err_lines[1] == "queued, position 2"
        assert outcome.err_lines[2].startswith("✓ passed in 0.")
        assert outcome.err_lines[2].endswith(f"· output again: ci logs {JOB}")

    @pytest.mark.parametrize(
        ("reason", "exit_code", "code", "words"),
        [
            ("passed", 0, 0, "✓ passed"),
            ("failed", 1, 1, "✗ failed (exit code 1)"),
            ("no_tests", 5, 1, "no tests were found"),
            ("oom_killed", 137, 1, "raise `memory`"),
            ("infra_error", None, 3, ": engine gone · find out more: ci doctor"),
            ("timed_out", None, 6, "raise `timeout`"),
            ("cancelled", None, 7, "✗ cancelled"),
        ],
    )
    def test_each_end_has_its_exit_code_and_its_words(
        self,
        ci: Ci,
        script: Script,
        project: Path,
        reason: str,
        exit_code: int | None,
        code: int,
        words: str,
    ) -> None:
        script.will(job_stream(reason, exit_code, "engine gone"))
        outcome = ci("submit", str(project))
        assert outcome.code == code
        assert words in outcome.err_lines[-1]

    def test_the_commands_own_exit_code_on_request(
        self, ci: Ci, script: Script, project: Path
    ) -> None:
        script.will(job_stream("failed", 42))
        assert ci("submit", "--passthrough-exit", str(project)).code == 42

    def test_json_gives_one_event_a_line(self, ci: Ci, script: Script, project: Path) -> None:
        script.will(job_stream())
        outcome = ci("submit", "--json", str(project))
        events = [json.loads(line) for line in outcome.out.splitlines()]
        assert [event["type"] for event in events] == ["job_id", "status", "log", "complete"]

    def test_async_prints_the_id_alone(self, ci: Ci, script: Script, project: Path) -> None:
        script.will(answer({"job_id": JOB}))
        outcome = ci("submit", "--async", str(project))
        assert (outcome.code, outcome.out) == (0, JOB + "\n")
        assert f"ci wait {JOB} --all" in outcome.err
        outcome = ci("submit", "--async", "--json", str(project))
        assert json.loads(outcome.out) == {"type": "job_id", "job_id": JOB}

    def test_what_is_behind_the_dashes_is_the_command(
        self, ci: Ci, script: Script, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script.will(job_stream())
        monkeypatch.chdir(project)
        assert ci("submit", "--", "pytest", "--json", "--", "x").code == 0
        assert b'["pytest", "--json", "--", "x"]' in script.seen[0].body
        assert ci("submit", ".").code == 0
        assert b'name="command"' not in script.seen[1].body

    def test_the_way_back_names_the_server_that_was_named(
        self, ci: Ci, script: Script, project: Path
    ) -> None:
        script.will(job_stream("failed"))
        outcome = ci("--server", script.url, "submit", str(project))
        assert f"ci --server {script.url} wait {JOB} --all" in outcome.err_lines[0]
        assert f"ci --server {script.url} logs {JOB}" in outcome.err_lines[-1]

    def test_a_dry_run_lists_and_sends_nothing(self, ci: Ci, script: Script, project: Path) -> None:
        (project / "run.sh").touch(0o755)
        (project / "a\nb").symlink_to("run.sh")
        outcome = ci("submit", "--dry-run", str(project))
        assert outcome.out == "a\\nb\nrun.sh\ntest_demo.py\n"
        assert outcome.err_lines == ["3 files, 0.0 MB would be sent"]
        outcome = ci("submit", "--dry-run", "--json", str(project))
        link, script_file, _ = [json.loads(line) for line in outcome.out.splitlines()]
        assert link == {"path": "a\nb", "size": 6, "executable": False, "link": "run.sh"}
        assert script_file["executable"] is True
        assert script.seen == []

    def test_surprises_are_warned_of_before_anything_is_sent(
        self, ci: Ci, script: Script, project: Path
    ) -> None:
        (project / ".env").write_text("TOKEN=1")
        (project / "etc").symlink_to("/etc")
        script.will(job_stream())
        outcome = ci("submit", str(project))
        assert (
            outcome.err_lines[0] == "warning: etc is left out: it links out of the project, to /etc"
        )
        assert outcome.err_lines[1].startswith("warning: .env looks secret")

    def test_a_project_config_names_the_server(
        self, ci: Ci, script: Script, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("CI_SERVER_URL")
        (project / "ci.toml").write_text(f'server = "{script.url}"\n')
        script.will(job_stream())
        outcome = ci("submit", str(project))
        assert outcome.code == 0

    def test_a_lost_server_is_given_up_with_the_way_back(
        self, ci: Ci, script: Script, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ci_client.patience.Patience.wait", give_up)
        script.will(stream(message(JobIdEvent(JOB), 0), ending="cut"), drop)
        outcome = ci("--server", script.url, "submit", str(project))
        assert outcome.code == Exit.UNREACHABLE
        assert f"the job goes on. Come back with: ci --server {script.url} wait" in outcome.err

    def test_a_mistyped_folder_is_a_usage_error(self, ci: Ci) -> None:
        outcome = ci("submit", "nosuchfolder")
        assert outcome.code == Exit.USAGE
        assert "nosuchfolder" in outcome.err

    def test_an_empty_folder_is_a_usage_error(self, ci: Ci, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        outcome = ci("submit", str(tmp_path / "empty"))
        assert outcome.code == Exit.USAGE
        assert "no files" in outcome.err


def give_up(self: object, cause: str, error: Exception, *, at_least: float = 0) -> None:
    raise error
