"""Data directories with jobs in every state, each with its files."""

import hashlib
import uuid
from pathlib import Path

from ci_common.blobs import Place
from ci_common.jobs import EndReason, Job, Result
from ci_persistence.data_directory import DataDirectory
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.clock import FakeClock
from tests.fakes.repository import new_job

SCOPE = b"s" * 32
PASSED = Result(reason=EndReason.PASSED, exit_code=0)


class Data:
    """One data directory, and what servers do in it."""

    def __init__(self, folder: Path, clock: FakeClock | None = None) -> None:
        self.folder = folder
        self.clock = clock or FakeClock()
        self.paths = DataDirectory(folder / "ci_jobs.db", folder)
        self.repository = SQLiteJobRepository(self.paths.database)

    async def open(self) -> "Data":
        await self.repository.initialize()
        return self

    async def queued(self, content: bytes = b"a zip", **overrides) -> Job:
        job_id = str(uuid.uuid4())
        upload = self.repository.stash.new_upload()
        upload.write(content)
        new = new_job(
            id=job_id,
            zip_path=upload.commit(job_id),
            zip_size=len(content),
            zip_sha256=hashlib.sha256(content).hexdigest(),
            created=self.clock.now(),
            **overrides,
        )
        job, _ = await self.repository.add(new)
        upload.discard()
        return job

    async def queued_tree(self, pack: int, **overrides) -> Job:
        """Submit a project whose contents are in a pack."""
        upload = self.repository.stash.new_upload()
        upload.write(b"a pack")
        upload.commit_pack(pack)
        upload.discard()
        now = self.clock.now()
        place = Place(pack, 0, 1, 1, 0, 0)
        await self.repository.blobs.add_pack(SCOPE, pack, 6, {bytes([pack] * 32): place}, now.wall)
        job_id = str(uuid.uuid4())
        tree = self.repository.stash.keep_tree(job_id, b"a tree")
        tree.discard()
        packs = frozenset({pack})
        new = new_job(id=job_id, zip_path=tree.path, packs=packs, created=now, **overrides)
        job, _ = await self.repository.add(new)
        return job

    async def running(self, output: bytes = b"begun\n", **overrides) -> Job:
        return await self.start(await self.queued(**overrides), output)

    async def start(self, job: Job, output: bytes = b"begun\n") -> Job:
        now = self.clock.now()
        claimed = await self.repository.claim(job.id, attempt=job.attempt, now=now)
        base = self.repository.logs.size(job.id)
        self.write(job, b"")
        await self.repository.record_container(
            job.id, attempt=claimed.attempt, container=f"ci-{job.id}-1", log_base=base
        )
        await self.repository.record_fed(job.id, attempt=claimed.attempt)
        self.write(job, output)
        return await self.repository.get(job.id)

    async def ended(self, output: bytes = b"begun\ndone\n", **overrides) -> Job:
        return await self.end(await self.running(output, **overrides))

    async def end(self, job: Job) -> Job:
        """As the controller does it: the result first, then the zip."""
        done = await self.repository.finish(
            job.id, attempt=job.attempt, result=PASSED, now=self.clock.now()
        )
        assert done
        self.repository.stash.remove_job(job.id)
        return await self.repository.get(job.id)

    async def remove(self, job: Job) -> None:
        """As retention does it."""
        assert await self.repository.forget([job.id]) == 1
        self.repository.logs.remove(job.id)

    def write(self, job: Job, output: bytes) -> None:
        writer = self.repository.logs.open(job.id)
        writer.write(output)
        writer.close(will_resume=True)

    def log(self, job: Job) -> bytes:
        return self.repository.logs.read(job.id, 0, 10**9)

    async def job(self, job: Job) -> Job:
        return await self.repository.get(job.id)

    def files(self) -> list[str]:
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*"))
