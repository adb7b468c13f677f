"""From an upload to a durable job: checked, stashed, stored, announced."""

import asyncio
import hashlib
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec
from litestar import Request

from ci_common.blobs import PacksGone
from ci_common.clock import Clock
from ci_common.errors import (
    EngineError,
    InvalidOption,
    InvalidRequest,
    StorageBusy,
    StorageFull,
)
from ci_common.job_options import NO_CAPS, JobCaps, JobOptions
from ci_common.job_repository import JobRepository
from ci_common.jobs import GroupPolicy, Job, NewJob
from ci_common.log_context import current_job_id
from ci_common.project_zip import ZipLimits, check_zip
from ci_common.recipe import Recipe, detect, wanted_files
from ci_common.signals import QUEUE, Signals
from ci_common.stash import Upload
from ci_common.tracing import HEADER
from ci_server.clients import client_address
from ci_server.trees import SCOPE_HEADER, Stashed, Trees, scope_of
from ci_server.uploads import (
    UploadForm,
    announced_size,
    boundary_of,
    receive_form,
    refuse_too_large,
)

IDEMPOTENCY_HEADER = "Idempotency-Key"

_LOOKS = 3
"""How often what a manifest names is looked for, while packs are being cleared away."""

_NO_ROOM = "Try again later. On the server: free space, or keep fewer jobs (CI_KEEP_JOBS_FOR)."

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class DiskLimits(Protocol):
    """What is asked of an executor before a job is taken."""

    async def limits_disk(self) -> bool:
        """Return whether a job's ``disk`` can be kept to. Raises ``EngineUnavailable``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Submissions:
    """Takes submissions, manifests too if there are ``trees``. ``idle_timeout`` in seconds.

    No job may ask for more than ``caps``, nor ``executor`` for what it cannot do.
    """

    repository: JobRepository
    signals: Signals
    clock: Clock
    limits: ZipLimits
    max_upload_bytes: int
    max_attempts: int
    idle_timeout: float
    executor: DiskLimits
    caps: JobCaps = NO_CAPS
    trees: Trees | None = None

    async def accept(
        self,
        request: Request[Any, Any, Any],
        *,
        organisation: str = "",
        submitter: str = "",
        user_id: str = "",
    ) -> Job:
        """Read the request's form and return its job, once that is on disk.

        It is the organisation's with that id. ``submitter``, if it is known, is who
        submits it, whatever the form says, and ``user_id`` that one's id.

        With an idempotency key seen before, the first job is returned. Whatever
        fails, nothing of the upload is left behind but files that were sent for
        a manifest and are what they should be.

        Raises:
            InvalidRequest: the form, the zip, an option or the project's configuration is wrong.
            BlobsMissing: it is a manifest, and not all of its files are here.
            UploadTooLarge: it is over the limit.
            UploadAborted: the client went away.
            IdempotencyConflict: the key was used for another submission.
            StorageFull, DatabaseFull, StorageBusy: there is no room, or no way in, now.

        """
        idempotency_key(request)  # a wrong one is refused before anything is read
        boundary = boundary_of(request)
        max_manifest = self.trees.max_manifest_bytes if self.trees else 0
        announces_manifest = SCOPE_HEADER in request.headers
        refuse_too_large(request, self.max_upload_bytes, max_manifest * announces_manifest)
        self.require_room(announced_size(request))
        upload = await asyncio.to_thread(self.repository.stash.new_upload)
        try:
            form = UploadForm(
                upload, boundary, max_bytes=self.max_upload_bytes, max_manifest=max_manifest
            )
            await receive_form(request, form, idle_timeout=self.idle_timeout)
            asked = _Asked(form, request, organisation, submitter)
            if self.trees and form.manifest is not None:
                scope = scope_of(request, (organisation, user_id) if organisation else ())
                return await self._accept_tree(self.trees, scope, asked, upload)
            job_id = str(uuid.uuid4())
            stashed = await asyncio.to_thread(self._stash, asked, upload, job_id)
            return await self.store(self._new_job(job_id, stashed, asked))
        finally:
            upload.discard()

    async def _accept_tree(
        self,
        trees: Trees,
        scope: bytes,
        asked: "_Asked",
        upload: Upload,
    ) -> Job:
        job_id, form = str(uuid.uuid4()), asked.form
        manifest = await asyncio.to_thread(trees.read, form.manifest or b"")
        if form.has_file:
            await asyncio.to_thread(form.flush)
        self.require_room()  # as for a zip
        if form.has_file:
            await trees.take_pack(scope, manifest, upload)
        for _ in range(_LOOKS):
            with suppress(PacksGone):
                stashed = await trees.build(
                    scope,
                    manifest,
                    job_id,
                    asked.command,
                    lambda recipe: self._settle(recipe, asked),
                )
                try:
                    return await self.store(self._new_job(job_id, stashed, asked))
                finally:
                    stashed.upload.discard()
        raise StorageBusy("files of the manifest are being cleared away; try again in a moment")

    def _stash(self, asked: "_Asked", upload: Upload, job_id: str) -> Stashed:
        asked.form.flush()
        self.require_room()  # many uploads at once may each have fitted
        summary = check_zip(upload.path, self.limits, collect=wanted_files)
        detected = detect(summary.names, summary.collected, asked.command)
        recipe = self._settle(detected, asked)
        upload.commit(job_id)
        return Stashed(
            upload=upload,
            recipe=recipe,
            size=upload.size,
            sha256=upload.sha256(),
            tree_sha256=summary.tree_sha256,
        )

    def _settle(self, recipe: Recipe, asked: "_Asked") -> Recipe:
        limited = asked.options.limited(recipe)
        self.caps.check(limited, asked.options.queue_timeout)
        return limited

    async def check(self, recipe: Recipe, options: JobOptions) -> None:
        """Refuse a job that asks for more than there is. Raises ``InvalidOption``."""
        self.caps.check(recipe, options.queue_timeout)
        await self._check_disk(recipe)

    async def _check_disk(self, recipe: Recipe) -> None:
        if recipe.disk is None:
            return
        with suppress(EngineError):  # it waits for the engine, which says the same then
            if not await self.executor.limits_disk():
                raise InvalidOption(
                    "disk: what jobs run on here cannot limit it",
                    hint="Leave it out. Docker can on btrfs, zfs, and XFS with pquota.",
                )

    def require_room(self, wanted: int = 0) -> None:
        """Take nothing in while there is no room. Raises ``StorageFull``."""
        shortage = self.repository.space.shortage(wanted)
        if shortage is not None:
            raise StorageFull(f"no job is taken now: {shortage}", hint=_NO_ROOM)

    def _new_job(self, job_id: str, stashed: Stashed, asked: "_Asked") -> NewJob:
        options = asked.options
        return NewJob(
            id=job_id,
            recipe=_with_artifacts(stashed.recipe, asked.artifacts),
            zip_path=stashed.upload.path,
            zip_size=stashed.size,
            zip_sha256=stashed.sha256,
            created=self.clock.now(),
            organisation=asked.organisation,
            project=asked.project,
            submitter=asked.submitter,
            labels=options.labels,
            priority=options.priority or 0,
            group=options.group,
            group_policy=options.group_policy or GroupPolicy.CANCEL_OLDER,
            queue_timeout=options.queue_timeout,
            max_attempts=self.max_attempts,
            idempotency_key=asked.key,
            fingerprint=asked.fingerprint(stashed.sha256),
            tree_sha256=stashed.tree_sha256,
            traceparent=asked.traceparent,
            packs=stashed.packs,
        )

    async def store(self, new: NewJob) -> Job:
        """Store a job whose project is stashed; with a key seen before, return the first one.

        Raises:
            InvalidOption: the engine cannot do what it asks for.
            PacksGone, IdempotencyConflict, DatabaseFull, StorageBusy: nothing is left behind.

        """
        try:
            await self._check_disk(new.recipe)
            # Cancelling does not stop the SQL. The row may be there or not, so
            # the zip stays then: without a row it is swept.
            job, is_new = await asyncio.shield(self.repository.add(new))
        except Exception:
            await asyncio.to_thread(self.repository.stash.remove, new.zip_path)
            raise
        current_job_id.set(job.id)
        if is_new:
            self.signals.notify(QUEUE)
        else:
            await asyncio.to_thread(self.repository.stash.remove, new.zip_path)
        return job


def idempotency_key(request: Request[Any, Any, Any]) -> str | None:
    """Return the request's idempotency key, None if it has none.

    Raises:
        InvalidRequest: not 1 to 255 visible ASCII characters.

    """
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest(f"{IDEMPOTENCY_HEADER} is not 1 to 255 visible ASCII characters")
    return key


class _Asked:
    """What a request asks for, read before anything is kept. Raises ``InvalidRequest``."""

    def __init__(
        self, form: UploadForm, request: Request[Any, Any, Any], organisation: str, submitter: str
    ) -> None:
        self.form = form
        self.key = idempotency_key(request)
        self.organisation = organisation
        self.submitter = submitter or form.options.submitter or client_address(request.scope)
        self.traceparent: str | None = request.scope["state"].get(HEADER)
        self.command = form.command
        self.project = form.project
        self.artifacts = form.artifacts
        self.options = form.options

    def fingerprint(self, digest: str) -> str:
        """Return what makes two submissions the same one; ``digest`` is their project's."""
        said: tuple[object, ...] = (digest, self.command, self.project)
        # What is not said leaves it as it always was: a key may be older than this version.
        said += (self.artifacts,) if self.artifacts else ()
        said += (self.options.given,) if self.options.given else ()
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()


def _with_artifacts(recipe: Recipe, patterns: tuple[str, ...]) -> Recipe:
    both = dict.fromkeys((*recipe.artifacts, *patterns))
    return replace(recipe, artifacts=tuple(both)) if patterns else recipe
