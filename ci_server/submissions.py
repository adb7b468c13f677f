"""From an upload to a durable job: checked, stashed, stored, announced."""

import asyncio
import hashlib
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from litestar import Request

from ci_common.blobs import PacksGone
from ci_common.clock import Clock
from ci_common.errors import InvalidRequest, StorageBusy, StorageFull
from ci_common.job_repository import JobRepository
from ci_common.jobs import Job, NewJob
from ci_common.log_context import current_job_id
from ci_common.project_zip import ZipLimits, check_zip
from ci_common.recipe import Recipe, detect, wanted_files
from ci_common.signals import QUEUE, Signals
from ci_common.stash import Upload
from ci_common.tracing import HEADER
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Submissions:
    """Takes submissions, manifests too if there are ``trees``. ``idle_timeout`` in seconds."""

    repository: JobRepository
    signals: Signals
    clock: Clock
    limits: ZipLimits
    max_upload_bytes: int
    max_attempts: int
    idle_timeout: float
    trees: Trees | None = None

    async def accept(self, request: Request[Any, Any, Any]) -> Job:
        """Read the request's form and return its job, once that is on disk.

        With an idempotency key seen before, the first job is returned. Whatever
        fails, nothing of the upload is left behind but files that were sent for
        a manifest and are what they should be.

        Raises:
            InvalidRequest: the form, the zip or the project's configuration is wrong.
            BlobsMissing: it is a manifest, and not all of its files are here.
            UploadTooLarge: it is over the limit.
            UploadAborted: the client went away.
            IdempotencyConflict: the key was used for another submission.
            StorageFull, DatabaseFull, StorageBusy: there is no room, or no way in, now.

        """
        key = idempotency_key(request)
        boundary = boundary_of(request)
        max_manifest = self.trees.max_manifest_bytes if self.trees else 0
        announces_manifest = SCOPE_HEADER in request.headers
        refuse_too_large(request, self.max_upload_bytes, max_manifest * announces_manifest)
        self._require_room(announced_size(request))
        upload = await asyncio.to_thread(self.repository.stash.new_upload)
        try:
            form = UploadForm(
                upload, boundary, max_bytes=self.max_upload_bytes, max_manifest=max_manifest
            )
            await receive_form(request, form, idle_timeout=self.idle_timeout)
            if self.trees and form.manifest is not None:
                return await self._accept_tree(self.trees, request, form, upload, key)
            job_id = str(uuid.uuid4())
            stashed = await asyncio.to_thread(self._stash, form, upload, job_id)
            new = self._new_job(job_id, stashed, form, key)
            return await self._store(replace(new, traceparent=_trace_of(request)))
        finally:
            upload.discard()

    async def _accept_tree(
        self,
        trees: Trees,
        request: Request[Any, Any, Any],
        form: UploadForm,
        upload: Upload,
        key: str | None,
    ) -> Job:
        scope, job_id = scope_of(request), str(uuid.uuid4())
        form.check()  # before anything is kept
        command = form.command
        manifest = await asyncio.to_thread(trees.read, form.manifest or b"")
        if form.has_file:
            await asyncio.to_thread(form.flush)
        self._require_room()  # as for a zip
        if form.has_file:
            await trees.take_pack(scope, manifest, upload)
        for _ in range(_LOOKS):
            with suppress(PacksGone):
                stashed = await trees.build(scope, manifest, job_id, command)
                try:
                    new = self._new_job(job_id, stashed, form, key)
                    return await self._store(replace(new, traceparent=_trace_of(request)))
                finally:
                    stashed.upload.discard()
        raise StorageBusy("files of the manifest are being cleared away; try again in a moment")

    def _stash(self, form: UploadForm, upload: Upload, job_id: str) -> Stashed:
        form.check()
        form.flush()
        self._require_room()  # many uploads at once may each have fitted
        summary = check_zip(upload.path, self.limits, collect=wanted_files)
        recipe = detect(summary.names, summary.collected, form.command)
        upload.commit(job_id)
        return Stashed(
            upload=upload,
            recipe=recipe,
            size=upload.size,
            sha256=upload.sha256(),
            tree_sha256=summary.tree_sha256,
        )

    def _require_room(self, wanted: int = 0) -> None:
        shortage = self.repository.space.shortage(wanted)
        if shortage is not None:
            raise StorageFull(f"no job is taken now: {shortage}", hint=_NO_ROOM)

    def _new_job(self, job_id: str, stashed: Stashed, form: UploadForm, key: str | None) -> NewJob:
        return NewJob(
            id=job_id,
            recipe=_with_artifacts(stashed.recipe, form.artifacts),
            zip_path=stashed.upload.path,
            zip_size=stashed.size,
            zip_sha256=stashed.sha256,
            created=self.clock.now(),
            project=form.project,
            max_attempts=self.max_attempts,
            idempotency_key=key,
            tree_sha256=stashed.tree_sha256,
            fingerprint=_fingerprint(stashed.sha256, form),
            packs=stashed.packs,
        )

    async def _store(self, new: NewJob) -> Job:
        try:
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


def _trace_of(request: Request[Any, Any, Any]) -> str | None:
    """Return the trace that the request belongs to, None where there are no traces."""
    trace: str | None = request.scope["state"].get(HEADER)
    return trace


def _with_artifacts(recipe: Recipe, patterns: tuple[str, ...]) -> Recipe:
    both = dict.fromkeys((*recipe.artifacts, *patterns))
    return replace(recipe, artifacts=tuple(both)) if patterns else recipe


def _fingerprint(digest: str, form: UploadForm) -> str:
    said: tuple[object, ...] = (digest, form.command, form.project)
    if form.artifacts:
        said += (form.artifacts,)
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()
