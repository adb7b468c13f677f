"""What the running task works on, for the lines it writes to the log."""

from contextvars import Context, ContextVar, copy_context

current_job_id: ContextVar[str | None] = ContextVar("current_job_id", default=None)
"""The id of the job that the running task is about; None for none."""


def context_of_job(job_id: str) -> Context:
    """Return a context for a task that is about one job."""
    context = copy_context()
    context.run(current_job_id.set, job_id)
    return context
