"""A real server in a thread, on real storage, with a controller that the test plays."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from ci_common.clock import SystemClock
from ci_common.executor import EngineInfo, StandbyCounts
from ci_common.jobs import EndReason, Job, Result
from ci_common.outage import Outage
from ci_common.signals import QUEUE, LocalSignals, job_topic, log_topic
from ci_controller.signals import socket_folder
from ci_server import bootstrap
from ci_server.app import Application, create_app
from ci_server.control import JobControl
from ci_server.live import LiveUpdates
from ci_server.parts import Parts
from ci_server.settings import Settings, load_settings
from ci_server.shutdown import Shutdown
from ci_server.telemetry import LONGEST_SOCKET, build_telemetry
from ci_server.uvicorn_server import Server, base_url, bind, server_config
from tests import plain_http
from tests.fakes.zips import honest_zip

PROJECT = honest_zip({"test_it.py": b"def test_it():\n    assert True\n"})

Script = Callable[[Job], tuple[list[bytes], Result]]
"""What a job writes and how it ends."""


def passing(_job: Job) -> tuple[list[bytes], Result]:
    output = [b"Installing dependencies...\n", b"Running tests...\n", b"1 passed\n"]
    return output, Result(reason=EndReason.PASSED, exit_code=0)


class FakeEngine:
    """An engine to ask whether it is there."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.can_limit_disk = False

    async def limits_disk(self) -> bool:
        if self.error is not None:
            raise self.error
        return self.can_limit_disk

    async def ping(self) -> EngineInfo:
        if self.error is not None:
            raise self.error
        return EngineInfo(name="fake", version="1")


@dataclass
class FakeController:
    """Runs each queued job by the script at once; without one the test plays the controller."""

    repository: object
    signals: LocalSignals
    script: Script | None = None
    is_leader: bool = True
    engine_error: str | None = None
    standbys: StandbyCounts = field(default_factory=StandbyCounts)
    clock: SystemClock = field(default_factory=SystemClock)

    async def run(self) -> None:
        with self.signals.subscribe(QUEUE) as woken:
            while True:
                await woken.wait(3600)
                now = self.clock.now()
                for job in await self.repository.startable(limit=100, now=now.wall):
                    await self._run_job(job)

    async def claim(self, job: Job) -> Job:
        claimed = await self.repository.claim(job.id, attempt=job.attempt, now=self.clock.now())
        assert claimed is not None
        self.signals.notify(job_topic(job.id))
        self.signals.notify(QUEUE)
        return claimed

    async def write(self, job: Job, data: bytes) -> None:
        writer = self.repository.logs.open(job.id)
        writer.write(data)
        writer.close()
        self.signals.notify(log_topic(job.id))

    async def finish(self, job: Job, result: Result) -> None:
        done = await self.repository.finish(
            job.id, attempt=job.attempt, result=result, now=self.clock.now()
        )
        assert done
        self.signals.notify(job_topic(job.id))

    async def _run_job(self, job: Job) -> None:
        output, result = self.script(job)
        claimed = await self.claim(job)
        for piece in output:
            await self.write(claimed, piece)
        await self.finish(claimed, result)


class RunningServer:
    """What a test does to the server, from its own thread."""

    def __init__(self, settings: Settings, script: Script | None) -> None:
        self.settings = settings
        self.script = script
        self.engine = FakeEngine()
        self.executor_name = "docker"
        self.parts: Parts | None = None
        self.controller: FakeController | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.server: Server | None = None
        self.thread: threading.Thread | None = None
        self.url = ""

    @asynccontextmanager
    async def start_parts(self, settings: Settings):
        self.loop = asyncio.get_running_loop()
        repository = bootstrap.build_repository(settings)
        signals = LocalSignals()
        signals.bind(self.loop)
        await repository.initialize()
        self.controller = FakeController(repository, signals, self.script)
        running = asyncio.create_task(self.controller.run()) if self.script else None
        telemetry = build_telemetry(settings, {})
        folder = socket_folder(repository.data_dir, "metrics", LONGEST_SOCKET)
        page = telemetry.page(settings, repository, self.controller, self.executor_name, folder)
        metrics = await page.__aenter__()
        submissions = bootstrap.build_submissions(settings, repository, signals, self.engine)
        sign_in = bootstrap.build_sign_in(settings, repository)
        self.parts = Parts(
            settings=settings,
            repository=repository,
            accounts=repository.accounts,
            audit=repository.audit,
            authentication=bootstrap.build_authentication(settings, sign_in),
            sign_in=sign_in,
            quotas=repository.quotas,
            api_keys=bootstrap.build_api_keys(settings, repository.accounts),
            signals=signals,
            shutdown=Shutdown(),
            submissions=submissions,
            retries=bootstrap.build_retries(repository, submissions),
            control=JobControl(repository, signals, SystemClock()),
            queue=bootstrap.build_queue(settings, repository),
            webhooks=bootstrap.build_webhooks(settings, repository, signals),
            executor=self.engine,
            executor_name=self.executor_name,
            controller=self.controller,
            outage=Outage(repository.data_dir),
            live=LiveUpdates(repository, signals),
            metrics=metrics,
        )
        try:
            yield self.parts
        finally:
            sign_in.passwords.close()
            await page.__aexit__(None, None, None)
            if running is not None:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            await repository.close()

    def app(self) -> Application:
        return create_app(self.settings, self.start_parts)

    # What the controller does, step by step.

    def call(self, coroutine):
        """Run a coroutine on the server's loop; return what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def claim(self, job_id: str) -> Job:
        return self.call(self.controller.claim(self.job(job_id)))

    def write(self, job: Job, data: bytes) -> None:
        self.call(self.controller.write(job, data))

    def finish(self, job: Job, reason: EndReason = EndReason.PASSED, **result) -> None:
        result = {"exit_code": 0} | result
        self.call(self.controller.finish(job, Result(reason=reason, **result)))

    def requeue(self, job: Job, detail: str) -> None:
        repository = self.parts.repository
        done = repository.requeue(job.id, attempt=job.attempt, charged=True, detail=detail)
        assert self.call(done)
        self.loop.call_soon_threadsafe(self.parts.signals.notify, job_topic(job.id))

    def job(self, job_id: str) -> Job:
        return self.call(self.parts.repository.get(job_id))

    def listeners(self) -> int:
        """How many topics somebody listens to."""
        return len(self.parts.signals._listeners)

    def stop(self, within: float) -> None:
        """Stop the server; fail if that takes more than ``within`` seconds."""
        self.server.should_exit = True
        self.thread.join(within)
        assert not self.thread.is_alive(), f"still there after {within:g} s"

    # What clients do.

    def post(self, path: str, content: bytes = PROJECT, **options) -> httpx2.Response:
        files = {"file": ("project.zip", content, "application/zip")}
        return plain_http.post(self.url + path, files=files, timeout=60, **options)

    def post_json(self, path: str, **options) -> httpx2.Response:
        return plain_http.post(self.url + path, timeout=60, **options)

    def get(self, path: str, **options) -> httpx2.Response:
        return plain_http.get(self.url + path, timeout=60, **options)

    def request(self, method: str, path: str, **options) -> httpx2.Response:
        return httpx2.request(method, self.url + path, timeout=60, **options)

    def delete(self, path: str, **options) -> httpx2.Response:
        return plain_http.delete(self.url + path, timeout=60, **options)

    def submit(self, content: bytes = PROJECT, **options) -> str:
        answer = self.post("/submit-async", content, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()["job_id"]

    def ended(self, data: bytes, reason: EndReason = EndReason.PASSED, **result) -> str:
        """Return the id of a job that wrote ``data`` and ended."""
        job = self.claim(self.submit())
        self.write(job, data)
        self.finish(job, reason, **result)
        return job.id

    @contextmanager
    def stream(self, path: str, **headers: str) -> Iterator["Reader"]:
        with plain_http.stream("GET", self.url + path, headers=headers, timeout=60) as response:
            assert response.status_code == 200, response.read()
            yield Reader(response)

    def events(self, path: str, **headers: str) -> list[tuple[int, dict]]:
        with self.stream(path, **headers) as reader:
            return list(reader)

    def left_on_disk(self) -> list[str]:
        """Names of uploads and zips that are there."""
        folders = (self.settings.data_folder / name for name in ("tmp", "stash"))
        return [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]


class Reader:
    """Events of one stream, as they come: ``(offset, event)``."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.comments: list[str] = []
        self.lines = response.iter_lines()

    def __iter__(self):
        return self

    def __next__(self) -> tuple[int, dict]:
        event_id, data = None, None
        for line in self.lines:
            if line.startswith("id: "):
                event_id = int(line[4:])
            elif line.startswith("data: "):
                data = json.loads(line[6:])
            elif line.startswith(":"):
                self.comments.append(line)
            elif not line and data is not None:
                return event_id, data
        raise StopIteration


def text_of(events: list[tuple[int, dict]]) -> str:
    """The log that a stream's events carry."""
    return "".join(event["data"] for _, event in events if event["type"] == "log")


@contextmanager
def running_server(
    folder: Path, script: Script | None = None, *, executor_name: str = "docker", **settings: str
) -> Iterator[RunningServer]:
    """Serve in a thread until the block ends."""
    overrides = {"db_path": str(folder / "ci_jobs.db"), "port": "0", "log_level": "error"}
    chosen = load_settings(overrides | settings)
    running = RunningServer(chosen, script)
    running.executor_name = executor_name
    app = running.app()
    ready = threading.Event()
    bound = bind(chosen)
    running.url = base_url(bound)
    running.server = Server(server_config(app, chosen), app, on_ready=ready.set, signals=False)
    running.thread = threading.Thread(target=running.server.run, args=([bound],), name="server")
    running.thread.start()
    try:
        assert ready.wait(30), "the server did not start"
        yield running
    finally:
        running.stop(within=30)
        bound.close()
