"""The tables of exit codes are whole."""

import pytest

from ci_client.exits import EXIT_OF_CODE, EXIT_OF_REASON, Exit, exit_of_error, exit_of_result
from ci_client.terminal import Terminal
from ci_client.verdict import state_of, verdict_line
from ci_common import errors
from ci_common.errors import CIError
from ci_common.jobs import EndReason


def codes(kind: type[CIError] = CIError) -> set[str]:
    own = {kind.code} if kind.__module__ == errors.__name__ else set()
    return own.union(*(codes(child) for child in kind.__subclasses__()))


def test_every_error_code_has_an_exit_code() -> None:
    assert set(EXIT_OF_CODE) == codes()


def test_every_reason_has_an_exit_code_and_a_verdict() -> None:
    assert set(EXIT_OF_REASON) == {reason.value for reason in EndReason}
    for reason in EndReason:
        assert verdict_line(Terminal(colour=False), {"reason": reason.value}, 1.0, "")


def test_only_a_pass_exits_with_0() -> None:
    assert [reason for reason, code in EXIT_OF_REASON.items() if code == 0] == ["passed"]
    assert 0 not in EXIT_OF_CODE.values()


@pytest.mark.parametrize(
    ("complete", "expected"),
    [
        ({"success": True, "reason": "passed", "exit_code": 0}, 0),
        ({"success": False, "reason": "failed", "exit_code": 2}, 1),
        ({"success": False, "reason": "no_tests", "exit_code": 5}, 1),
        ({"success": False, "reason": "oom_killed", "exit_code": 137}, 1),
        ({"success": False, "reason": "infra_error", "exit_code": None}, 3),
        ({"success": False, "reason": "timed_out", "exit_code": None}, 6),
        ({"success": False, "reason": "cancelled", "exit_code": None}, 7),
        ({"success": True}, 0),
        ({"success": False}, 1),
        ({"success": False, "reason": "of a newer server"}, 1),
    ],
)
def test_exit_codes_of_results(complete: dict[str, object], expected: int) -> None:
    assert exit_of_result(complete) == expected


def test_passthrough_gives_the_commands_own_where_there_is_one() -> None:
    failed = {"success": False, "reason": "failed", "exit_code": 42}
    assert exit_of_result(failed, passthrough=True) == 42
    lost = {"success": False, "reason": "infra_error", "exit_code": None}
    assert exit_of_result(lost, passthrough=True) == Exit.INFRASTRUCTURE


def test_an_error_of_a_later_version_is_ours() -> None:
    class Later(CIError):
        code = "later"

    assert exit_of_error(Later()) == Exit.INFRASTRUCTURE


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"status": "queued", "position": 3, "reason": None}, "queued #3"),
        ({"status": "running", "reason": None}, "running"),
        ({"status": "completed", "reason": "timed_out"}, "timed out"),
    ],
)
def test_states_in_a_word(job: dict[str, object], expected: str) -> None:
    assert state_of(job) == expected
