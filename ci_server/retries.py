"""From a job that has ended to another one of the same project."""

import asyncio
import hashlib
import posixpath
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from ci_common.blobs import PacksGone
from ci_common.errors import InvalidArchive, InvalidOption, InvalidTransition, ProjectGone
from ci_common.job_options import JobOptions
from ci_common.job_repository import JobRepository
from ci_common.jobs import Job, NewJob
from ci_common.project_tree import open_project
from ci_common.recipe import Recipe
from ci_common.recipe.only import only_tests
from ci_server.submissions import Submissions


class FailedTests(Protocol):
    """What is known of the tests of ended jobs."""

    async def failed_tests(self, job_id: str) -> Sequence[str]:
        """Return the node ids of a job's tests that failed or met an error, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Retries:
    """Runs jobs again. Without ``results`` it is not known which of their tests failed."""

    repository: JobRepository
    submissions: Submissions
    results: FailedTests | None = None

    async def retry(
        self,
        reference: str,
        options: JobOptions,
        *,
        failed_only: bool,
        key: str | None,
        submitter: str = "",
    ) -> Job:
        """Queue a job's project again, with ``options`` over the job's own; return the new job.

        It stays in the job's organisation. ``submitter``, if it is known, is who asks for it,
        whatever the options say. With an idempotency key seen before, the first one is returned.

        Raises:
            JobNotFound, AmbiguousJob: from ``reference``.
            InvalidTransition: the job has not ended.
            ProjectGone: its project is not kept any more.
            InvalidOption: one is over the server's cap, or no failed test is known.
            IdempotencyConflict: the key was used for another submission.
            StorageFull, DatabaseFull, StorageBusy: there is no room, or no way in, now.

        """
        job = await self.repository.find(reference)
        if not job.status.ended:
            raise InvalidTransition(
                f"job {job.id} has not ended, it is {job.status}",
                hint=f"Wait for it (ci wait {job.id}), or stop it first (ci cancel {job.id}).",
            )
        self.submissions.require_room()
        packs = await self.repository.packs_of(job.id)
        if packs is None:
            raise _gone(job)
        recipe = options.limited(job.recipe)
        if failed_only:
            recipe = await self._failed_only(job, recipe)
        own = options.over(_options_of(job))
        own = replace(own, submitter=submitter) if submitter else own
        await self.submissions.check(recipe, own)
        return await self._store(
            job, recipe, own, packs, key, _fingerprint(job, options, failed_only)
        )

    async def _store(
        self,
        job: Job,
        recipe: Recipe,
        options: JobOptions,
        packs: frozenset[int],
        key: str | None,
        fingerprint: str,
    ) -> Job:
        job_id = str(uuid.uuid4())
        keep = self.repository.stash.keep_again
        try:
            upload = await asyncio.to_thread(keep, job.zip_path, job_id)
        except FileNotFoundError:
            raise _gone(job) from None
        new = NewJob(
            id=job_id,
            recipe=recipe,
            zip_path=upload.path,
            zip_size=job.zip_size,
            zip_sha256=job.zip_sha256,
            created=self.submissions.clock.now(),
            organisation=job.organisation,
            project=job.project,
            retry_of=job.id,
            tree_sha256=job.tree_sha256,
            max_attempts=self.submissions.max_attempts,
            idempotency_key=key,
            fingerprint=fingerprint,
            packs=packs,
        )
        try:
            return await self.submissions.store(with_options(new, options))
        except PacksGone:
            raise _gone(job) from None
        finally:
            upload.discard()

    async def _failed_only(self, job: Job, recipe: Recipe) -> Recipe:
        failed = await self.results.failed_tests(job.id) if self.results else ()
        if not failed:
            raise InvalidOption(
                f"no failed test of job {job.id} is known: none failed, or it left no test report",
                hint="Retry the whole job.",
            )
        paths = await asyncio.to_thread(_paths, job)
        return replace(recipe, command=only_tests(recipe, failed, paths))


def with_options(new: NewJob, options: JobOptions) -> NewJob:
    """Return a job with what ``options`` say of it beside its recipe."""
    return replace(
        new,
        submitter=options.submitter,
        labels=options.labels,
        priority=options.priority or 0,
        group=options.group,
        group_policy=options.group_policy or new.group_policy,
        queue_timeout=options.queue_timeout,
    )


def _options_of(job: Job) -> JobOptions:
    return JobOptions(
        submitter=job.submitter,
        labels=job.labels,
        priority=job.priority,
        group=job.group,
        group_policy=job.group_policy,
        queue_timeout=job.queue_timeout,
    )


def _fingerprint(job: Job, options: JobOptions, failed_only: bool) -> str:
    said = ("retry", job.id, options.given, failed_only)
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()


def _paths(job: Job) -> frozenset[str]:
    """Return the files and folders of a job's project, from the folder that it runs in."""
    root = f"{job.recipe.root}/" if job.recipe.root else ""
    found = {""}
    try:
        with open_project(job.zip_path) as (project, _):
            for entry in project.entries:
                path = entry.path
                while path.startswith(root) and len(path) > len(root):
                    found.add(path[len(root) :])
                    path = posixpath.dirname(path)
    except (OSError, InvalidArchive):
        raise _gone(job) from None
    return frozenset(found)


def _gone(job: Job) -> ProjectGone:
    return ProjectGone(
        f"the project of job {job.id} is not kept any more",
        hint="Submit it again: ci submit. (CI_KEEP_PROJECTS_FOR says how long they are kept.)",
    )
