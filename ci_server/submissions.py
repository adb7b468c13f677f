"""From an upload to a durable job: checked, stashed, stored, announced."""

import asyncio
import hashlib
import re
import uuid
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Request

from ci_common.clock import Clock
from ci_common.errors import InvalidRequest, StorageFull
from ci_common.jobs import Job, JobRepository, NewJob
from ci_common.project_zip import ZipLimits, check_zip
from ci_common.recipe import Recipe, detect, wanted_files
from ci_common.signals import QUEUE, Signals
from ci_common.stash import Upload
from ci_server.uploads import (
    UploadForm,
    announced_size,
    boundary_of,
    receive_form,
    refuse_too_large,
)

IDEMPOTENCY_HEADER = "Idempotency-Key"

_NO_ROOM = "Try again later. On the server: free space, or keep fewer jobs (CI_KEEP_JOBS_FOR)."

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submissions:
    """Takes submissions. ``idle_timeout`` in seconds."""

    repository: JobRepository
    signals: Signals
    clock: Clock
    limits: ZipLimits
    max_upload_bytes: int
    max_attempts: int
    idle_timeout: float

    async def accept(self, request: Request[Any, Any, Any]) -> Job:
        """Read the request's form and return its job, once that is on disk.

        With an idempotency key seen before, the first job is returned. Whatever
        fails, nothing of the upload is left behind.

        Raises:
            InvalidRequest: the form, the zip or the project's configuration is wrong.
            UploadTooLarge: it is over the limit.
            UploadAborted: the client went away.
            IdempotencyConflict: the key was used for another submission.
            StorageFull, StorageBusy: there is no room, or no way in, now.

        """
        key = idempotency_key(request)
        boundary = boundary_of(request)
        refuse_too_large(request, self.max_upload_bytes)
        self._require_room(announced_size(request))
        job_id = str(uuid.uuid4())
        upload = await asyncio.to_thread(self.repository.stash.new_upload)
        try:
            form = UploadForm(upload, boundary, max_bytes=self.max_upload_bytes)
            await receive_form(request, form, idle_timeout=self.idle_timeout)
            new = await asyncio.to_thread(self._stash, form, upload, job_id, key)
        finally:
            upload.discard()
        return await self._store(new)

    def _stash(self, form: UploadForm, upload: Upload, job_id: str, key: str | None) -> NewJob:
        command, project = form.command, form.project
        form.flush()
        self._require_room()  # many uploads at once may each have fitted
        recipe = self._examine(upload, command)
        digest = upload.sha256()
        return NewJob(
            id=job_id,
            recipe=recipe,
            zip_path=upload.commit(job_id),
            zip_size=upload.size,
            zip_sha256=digest,
            created=self.clock.now(),
            project=project,
            max_attempts=self.max_attempts,
            idempotency_key=key,
            fingerprint=_fingerprint(digest, command, project),
        )

    def _require_room(self, wanted: int = 0) -> None:
        shortage = self.repository.space.shortage(wanted)
        if shortage is not None:
            raise StorageFull(f"no job is taken now: {shortage}", hint=_NO_ROOM)

    def _examine(self, upload: Upload, command: tuple[str, ...] | None) -> Recipe:
        summary = check_zip(upload.path, self.limits, collect=wanted_files)
        return detect(summary.names, summary.collected, command)

    async def _store(self, new: NewJob) -> Job:
        try:
            # Cancelling does not stop the SQL. The row may be there or not, so
            # the zip stays then: without a row it is swept.
            job, is_new = await asyncio.shield(self.repository.add(new))
        except Exception:
            await asyncio.to_thread(self.repository.stash.remove, new.zip_path)
            raise
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


def _fingerprint(digest: str, command: tuple[str, ...] | None, project: str) -> str:
    return hashlib.sha256(msgspec.json.encode((digest, command, project))).hexdigest()
