import pytest

from ci_common.executor import ContainerExit
from ci_common.jobs import EndReason
from ci_common.recipe import Recipe
from ci_controller.verdict import child_was_killed, died_with_engine, judge


@pytest.mark.parametrize(
    ("exit_code", "oom", "stopped", "reason"),
    [
        (0, False, None, EndReason.PASSED),
        (1, False, None, EndReason.FAILED),
        (5, False, None, EndReason.NO_TESTS),
        (137, False, None, EndReason.FAILED),
        (137, True, None, EndReason.OOM_KILLED),
        (0, True, None, EndReason.PASSED),
        (1, True, None, EndReason.FAILED),
        (143, False, EndReason.TIMED_OUT, EndReason.TIMED_OUT),
        (0, False, EndReason.TIMED_OUT, EndReason.TIMED_OUT),
        (137, True, EndReason.TIMED_OUT, EndReason.TIMED_OUT),
    ],
)
def test_verdicts(exit_code, oom, stopped, reason):
    result = judge(Recipe(), ContainerExit(exit_code=exit_code, oom_killed=oom), stopped)
    assert (result.reason, result.exit_code) == (reason, exit_code)
    assert result.success is (reason is EndReason.PASSED)


@pytest.mark.parametrize("command", ["make check", ("sh", "-c", "exit 5")])
def test_exit_5_means_no_tests_only_to_pytest(command):
    assert judge(Recipe(command=command), ContainerExit(exit_code=5)).reason is EndReason.FAILED


def test_a_killed_child_is_told_apart_from_a_killed_job():
    """Fault 25."""
    assert child_was_killed(ContainerExit(exit_code=0, oom_killed=True))
    assert not child_was_killed(ContainerExit(exit_code=137, oom_killed=True))
    assert not child_was_killed(ContainerExit(exit_code=1))


def test_only_a_death_by_signal_can_be_the_engines():
    assert died_with_engine(ContainerExit(exit_code=137))
    assert died_with_engine(ContainerExit(exit_code=255))
    assert died_with_engine(ContainerExit(exit_code=0, error="shim gone"))
    assert not died_with_engine(ContainerExit(exit_code=1))
