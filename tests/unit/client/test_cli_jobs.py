"""The commands about jobs that are there, called in this process."""

import json
from typing import Any

from ci_client.dispatch import run
from ci_common.events import LogEvent
from tests.unit.client.cli_harness import JOB, VIEW, Ci, ending
from tests.unit.client.scripted_server import Script, answer, message, problem, stream


class TestWait:
    def test_it_follows_and_exits_with_the_verdict(self, ci: Ci, script: Script) -> None:
        script.will(answer(VIEW), stream(message(LogEvent("x"), 1), ending("failed")), answer(VIEW))
        outcome = ci("wait", "last", "--all")
        assert outcome.code == 1
        assert outcome.out == "x"
        assert outcome.err_lines[0] == f"job {JOB} · come back: ci wait {JOB} --all"
        assert "failed (exit code 1) in 1 min 06 s" in outcome.err_lines[-1]
        assert [seen.path for seen in script.seen] == [
            "/jobs/last",
            f"/jobs/{JOB}/stream?from_beginning=true",
            f"/jobs/{JOB}",
        ]

    def test_only_what_is_new_without_all(self, ci: Ci, script: Script) -> None:
        script.will(answer(VIEW), stream(ending("passed", 0)), answer(VIEW))
        outcome = ci("wait", "550e")
        assert outcome.code == 0
        assert script.seen[1].path.endswith("from_beginning=false")

    def test_an_unknown_or_ambiguous_job_is_a_usage_error(self, ci: Ci, script: Script) -> None:
        script.will(problem(404, "job_not_found", "no job begins with zz"))
        outcome = ci("wait", "zz")
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err == "error: no job begins with zz\n  do it better\n"
        script.will(problem(409, "ambiguous_job", "three jobs begin with 5"))
        assert ci("wait", "5").code == 2


class TestLogs:
    def test_the_bytes_come_out_as_they_are(self, ci: Ci, script: Script, capfdbinary: Any) -> None:
        log = b"\xff\x00\x1b[31mred\r\n"
        script.will(answer(VIEW), answer(log, content_type="text/plain"))
        assert run(["logs", "last"]) == 0
        assert capfdbinary.readouterr().out == log

    def test_following_goes_on_where_the_log_ended(self, ci: Ci, script: Script) -> None:
        script.will(
            answer(VIEW),
            answer(b"one\ntwo\n", 206, Content_Range="bytes 0-7/8"),
            answer(b"two\n", 206, Content_Range="bytes 4-7/8"),
            stream(message(LogEvent("three\n"), 14), ending("failed")),
        )
        outcome = ci("logs", "last", "--tail", "1", "--follow")
        assert (outcome.code, outcome.out) == (0, "two\nthree\n")
        assert [seen.headers.get("range") for seen in script.seen[1:3]] == [
            "bytes=-262144",
            "bytes=4-",
        ]
        assert script.seen[3].headers["last-event-id"] == "8"


class TestStatusAndList:
    def test_status_tells_what_there_is_to_know(self, ci: Ci, script: Script) -> None:
        script.will(answer(VIEW))
        outcome = ci("status", "last")
        assert outcome.code == 0
        assert outcome.out.splitlines() == [
            f"job        {JOB}",
            "state      failed",
            "project    demo",
            "command    python -m pytest",
            "submitted  2026-01-01 09:59:59Z",
            "started    2026-01-01 10:00:00Z",
            "ended      2026-01-01 10:01:05Z",
            "took       1 min 06 s",
            "exit code  1",
            "attempt    1",
        ]
        assert json.loads(ci("status", "last", "--json").out) == VIEW

    def test_a_clock_that_was_set_back_gives_no_length_of_time(
        self, ci: Ci, script: Script
    ) -> None:
        """Fault 23."""
        script.will(answer(VIEW | {"end_time": "2026-01-01T09:01:05.500Z"}))
        outcome = ci("status", "last")
        assert "ended      2026-01-01 09:01:05Z" in outcome.out
        assert "took" not in outcome.out

    def test_list_is_a_table(self, ci: Ci, script: Script) -> None:
        queued = VIEW | {
            "job_id": "7ad3f8c9-2b41",
            "status": "queued",
            "reason": None,
            "end_time": None,
            "position": None,
        }
        script.will(answer([VIEW, queued]))
        outcome = ci("list", "--limit", "2")
        assert outcome.out.splitlines() == [
            "JOB       STATE   PROJECT  SUBMITTED             TOOK",
            "550e8400  failed  demo     2026-01-01 09:59:59Z  1 min 06 s",
            "7ad3f8c9  queued  demo     2026-01-01 09:59:59Z",
        ]
        assert script.seen[0].path == "/jobs?limit=2"
        lines = ci("list", "--json").out.splitlines()
        assert [json.loads(line) for line in lines] == [VIEW, queued]

    def test_an_empty_list_tells_how_to_begin(self, ci: Ci, script: Script) -> None:
        script.will(answer([]))
        outcome = ci("list")
        assert (outcome.code, outcome.out) == (0, "")
        assert "ci submit" in outcome.err
