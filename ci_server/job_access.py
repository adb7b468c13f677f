"""The jobs that whoever asks may see, and how they look to them."""

from collections.abc import Sequence
from datetime import datetime

from ci_common.access import Action, OfOrganisation
from ci_common.api import JobView, job_view
from ci_common.jobs import Job
from ci_server.access import require, within_of
from ci_server.authentication import AnyConnection
from ci_server.organisations import organisation_name, organisation_names
from ci_server.parts import Parts, parts_of


async def visible_job(connection: AnyConnection, reference: str) -> Job:
    """Return the job that ``reference`` names among those that who asks may read.

    Others are not there: not for a beginning of an id, nor for ``last``.

    Raises:
        JobNotFound, AmbiguousJob: as ``JobRepository.find``.

    """
    limit = within_of(connection, Action.READ)
    return await parts_of(connection.app.state).repository.find(reference, within=limit)


async def permitted_job(connection: AnyConnection, reference: str, action: Action) -> Job:
    """Return the job that ``reference`` names, if who asks may do ``action`` to it.

    Raises:
        JobNotFound, AmbiguousJob: as ``JobRepository.find``, among those it may see or do it to.
        PermissionDenied: it may see it, and not do this to it.

    """
    # A key may be good for this and not for reading.
    limit = within_of(connection, Action.READ, action)
    job = await parts_of(connection.app.state).repository.find(reference, within=limit)
    require(connection, action, OfOrganisation(job.organisation))
    return job


async def shown_job(
    parts: Parts,
    job: Job,
    position: int | None = None,
    waiting: str | None = None,
    expected_start: datetime | None = None,
) -> JobView:
    """Return what clients see of a job; as ``job_view``, with the name of its organisation."""
    name = await organisation_name(parts.accounts, job.organisation)
    return job_view(job, position, waiting, expected_start, organisation=name)


async def shown_jobs(parts: Parts, jobs: Sequence[Job]) -> list[JobView]:
    """Return what clients see of jobs in a list."""
    names = await organisation_names(parts.accounts, (job.organisation for job in jobs))
    return [job_view(job, organisation=names[job.organisation]) for job in jobs]
