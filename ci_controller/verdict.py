"""From how a container ended to what its job is told. Pure."""

from ci_common.executor import ContainerExit
from ci_common.jobs import EndReason, Job, Result
from ci_common.quantities import format_seconds
from ci_common.recipe import Recipe

PYTEST_NO_TESTS = 5
"""pytest's exit status when it collected nothing (``pytest.ExitCode.NO_TESTS_COLLECTED``)."""

KILLED = 128 + 9
"""What a shell and the engine report for a process that SIGKILL ended."""

CHILD_KILLED_NOTE = (
    "A process of this job was killed because the job's memory was used up; "
    "the verdict is the command's own exit status."
)


def judge(recipe: Recipe, ended: ContainerExit, stop_reason: EndReason | None = None) -> Result:
    """Return the result of an attempt that ran to its end.

    ``stop_reason`` is why we stopped it, if we did: then the exit status is
    ours, not the command's.
    """
    result = Result(reason=_reason_of(recipe, ended.exit_code), exit_code=ended.exit_code)
    return _cut_short(ended, stop_reason) or result


def judge_installation(ended: ContainerExit, stop_reason: EndReason | None = None) -> Result:
    """Return the result of an attempt that came no further than to a failed installation."""
    result = Result(reason=EndReason.FAILED, exit_code=ended.exit_code)
    return _cut_short(ended, stop_reason) or result


def _cut_short(ended: ContainerExit, stop_reason: EndReason | None) -> Result | None:
    if stop_reason is not None:
        return Result(reason=stop_reason, exit_code=ended.exit_code)
    if ended.oom_killed and ended.exit_code == KILLED:
        detail = "the job used more memory than it may"
        return Result(reason=EndReason.OOM_KILLED, exit_code=KILLED, detail=detail)
    return None


def end_note(result: Result, time_limit: float) -> str | None:
    """Return what the log says last about a job that the command did not end, None otherwise.

    ``time_limit`` is in seconds.
    """
    match result.reason:
        case EndReason.CANCELLED:
            return "Stopped: the job was cancelled."
        case EndReason.TIMED_OUT:
            return f"Stopped: the job took longer than its time limit of {time_limit:g} s."
        case EndReason.INFRA_ERROR:
            return f"Infrastructure error: {result.detail}"
        case _:
            return None


def queue_note(job: Job) -> str:
    """Return what is said of a job that has waited too long."""
    limit = format_seconds(job.queue_timeout or 0)
    return (
        f"it waited more than {limit} for its turn, which is its queue time-out; "
        "submit it again with a longer one (--queue-timeout) or a higher --priority"
    )


def _reason_of(recipe: Recipe, exit_code: int) -> EndReason:
    if exit_code == 0:
        return EndReason.PASSED
    if exit_code == PYTEST_NO_TESTS and recipe.runs_pytest:
        return EndReason.NO_TESTS
    return EndReason.FAILED


def child_was_killed(ended: ContainerExit) -> bool:
    """Whether the memory limit took a process other than the command itself."""
    return ended.oom_killed and ended.exit_code != KILLED


def died_with_engine(ended: ContainerExit) -> bool:
    """Whether an exit seen after the engine had been away may be the engine's doing.

    A stopping engine ends its containers by signal, which a test suite could
    also meet by itself; what cannot be told apart is run again, never failed.
    """
    return ended.exit_code >= 128 or bool(ended.error)
