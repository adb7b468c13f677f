"""Where a server is put together: the only module that names implementations."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from ci_common.accounts import AccountStore
from ci_common.clock import SystemClock
from ci_common.errors import ConfigurationError, ContainerGone, EngineError, StorageFull
from ci_common.executor import Executor
from ci_common.job_options import JobCaps
from ci_common.job_repository import JobRepository
from ci_common.observer import Observer
from ci_common.outage import Outage
from ci_common.project_zip import ZipLimits
from ci_common.queue_rules import QueueRules
from ci_common.quotas import Quotas
from ci_common.signals import Signals
from ci_common.webhooks import DestinationRules
from ci_controller.containers import ContainerManager
from ci_controller.controller import JobController
from ci_controller.docker_engine.calls import EngineCalls
from ci_controller.docker_engine.client import EngineClient
from ci_controller.docker_engine.firewall import Firewall
from ci_controller.local import LocalExecutor
from ci_controller.observed import observe_calls
from ci_controller.settings import (
    ControllerSettings,
    JobDefaults,
    ResultLimits,
    RetentionSettings,
)
from ci_controller.signals import DatagramSignals, socket_folder
from ci_controller.snapshots import SnapshotSettings
from ci_controller.standby import StandbySettings
from ci_controller.webhooks.deliverer import Deliverer, DelivererSettings
from ci_controller.webhooks.schedule import Schedule
from ci_controller.webhooks.sending import Sender, SendSettings
from ci_persistence.data_directory import DataDirectory
from ci_persistence.errors import translated
from ci_persistence.inspection import inspect
from ci_persistence.jobs import SQLiteJobRepository
from ci_persistence.schema import load_migrations
from ci_persistence.secret_keys import SecretKeys
from ci_persistence.signing_keys import FileSigningKeys
from ci_persistence.space import DiskSpace, Reserve
from ci_server.api_keys import ApiKeys
from ci_server.authentication import Authentication, KeyCredentials
from ci_server.control import JobControl
from ci_server.exposure import refuse_exposed
from ci_server.listening import listening_host
from ci_server.live import LiveUpdates
from ci_server.log_config import configure_logging
from ci_server.parts import ControllerState, Parts
from ci_server.queue import QueueWatch
from ci_server.retries import Retries
from ci_server.settings import Settings, is_loopback
from ci_server.shutdown import Shutdown
from ci_server.sign_in.build import build_sign_in as sign_in_by
from ci_server.sign_in.credentials import SessionCredentials, TokenCredentials
from ci_server.sign_in.first_admin import invite_first_admin
from ci_server.sign_in.service import SignIn
from ci_server.submissions import DiskLimits, Submissions
from ci_server.telemetry import LONGEST_SOCKET, build_telemetry
from ci_server.trees import Trees
from ci_server.webhooks import Webhooks

LOCAL_WARNING = (
    "NO CONTAINER ENGINE: jobs run as plain processes of this user, with all of its rights. "
    "Submit only what you would run yourself. Start Docker for isolation."
)

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def running_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Bring the parts of one server process to life, and take them down again.

    Jobs go on when the parts are gone.

    Raises:
        ConfigurationError: the settings contradict what is here.
        DatabaseUnusable: corrupt or newer; the file is left as it was.

    """
    configure_logging(settings.log_level, settings.log_format)
    async with AsyncExitStack() as stack:
        repository = build_repository(settings)
        stack.push_async_callback(repository.close)
        await _open(repository)
        sign_in = build_sign_in(settings, repository)
        stack.callback(sign_in.passwords.close)
        authentication = build_authentication(settings, sign_in)
        await refuse_exposed(settings, listening_host(settings), authentication)
        settings = await _in_own_namespace(settings, repository)
        signals = DatagramSignals(repository.data_dir)
        stack.push_async_callback(signals.close)
        await signals.open()
        name, executor = await choose_executor(settings, repository)
        telemetry = build_telemetry(settings, os.environ)
        stack.push_async_callback(telemetry.close)
        observer = telemetry.observer
        observe_calls(executor, observer)
        controller = build_controller(settings, repository, executor, signals, observer)
        stack.push_async_callback(controller.stop)
        await controller.start()
        deliverer = build_deliverer(settings, repository, controller, signals)
        stack.push_async_callback(deliverer.stop)
        await deliverer.start()
        folder = socket_folder(repository.data_dir, "metrics", LONGEST_SOCKET)
        metrics = await stack.enter_async_context(
            telemetry.page(settings, repository, controller, name, folder)
        )
        submissions = build_submissions(settings, repository, signals, executor)
        await stack.enter_async_context(inviting(settings, sign_in, controller))
        yield Parts(
            settings=settings,
            repository=repository,
            accounts=repository.accounts,
            audit=repository.audit,
            quotas=repository.quotas,
            authentication=authentication,
            sign_in=sign_in,
            api_keys=build_api_keys(settings, repository.accounts),
            signals=signals,
            shutdown=Shutdown(),
            submissions=submissions,
            retries=build_retries(repository, submissions),
            control=JobControl(repository, signals, SystemClock(), observer),
            queue=build_queue(settings, repository),
            webhooks=build_webhooks(settings, repository, signals),
            executor=executor,
            executor_name=name,
            controller=controller,
            outage=Outage(repository.data_dir),
            live=LiveUpdates(repository, signals),
            metrics=metrics,
            tracing=telemetry.tracing,
        )


async def _open(repository: JobRepository) -> None:
    try:
        await repository.initialize()
    except StorageFull:
        # Not even a log can be begun; what is set aside lets us start, and clear up.
        if not repository.space.release_reserve():
            raise
        await repository.initialize()


async def _in_own_namespace(settings: Settings, repository: JobRepository) -> Settings:
    """Return settings whose containers are not those of the server that we are a copy of."""
    token = await repository.restored_as()
    if token is None:
        return settings
    prefix = f"{settings.container_prefix}{token}_"
    _logger.info("restored from a backup: containers are named %sci-…", prefix)
    return settings.model_copy(update={"container_prefix": prefix})


def build_repository(settings: Settings) -> SQLiteJobRepository:
    """Return the repository, not yet opened."""
    return SQLiteJobRepository(
        settings.db_path,
        data_dir=settings.data_folder,
        max_log_bytes=settings.max_log_bytes,
        max_upload_bytes=settings.max_upload_bytes,
        space=build_space(settings),
        queue_rules=QueueRules(ageing=settings.priority_ageing, share=settings.fair_share),
        keep_projects=settings.keep_projects_for > 0,
        secrets_key_file=secrets_key_file(settings),
        quotas=Quotas(
            running=settings.org_max_running,
            queued=settings.org_max_queued,
            project_bytes=settings.org_max_project_bytes,
            artifact_bytes=settings.org_max_artifact_bytes,
        ),
    )


def data_directory(settings: Settings) -> DataDirectory:
    """Return where the data is."""
    return DataDirectory(settings.db_path.absolute(), settings.data_folder.absolute())


def secret_keys(settings: Settings) -> SecretKeys:
    """Return the keys that secrets are sealed with."""
    return SecretKeys(secrets_key_file(settings))


def secrets_key_file(settings: Settings) -> Path:
    """Return the file of the key that secrets are sealed with."""
    return (settings.secrets_key_file or data_directory(settings).secrets_key).absolute()


def build_space(settings: Settings) -> DiskSpace:
    """Return the room on the disks of the data."""
    data = data_directory(settings)
    return DiskSpace(
        (data.folder, data.stash, data.logs, data.artifacts, data.database.parent),
        min_free=settings.min_free_bytes,
        reserve=Reserve(data.reserve, settings.reserve_bytes),
    )


def build_sign_in(settings: Settings, repository: SQLiteJobRepository) -> SignIn:
    """Return what signs people in. Raises ``ConfigurationError``."""
    files = FileSigningKeys(data_directory(settings).signing_keys)
    return sign_in_by(settings, repository.accounts, repository.sign_in, files, SystemClock())


def build_authentication(settings: Settings, sign_in: SignIn) -> Authentication:
    """Return what finds out who asks."""
    accounts, sessions, clock = sign_in.accounts, sign_in.sessions, sign_in.clock
    credentials = (
        KeyCredentials(accounts, clock),
        TokenCredentials(accounts, sessions, sign_in.tokens, clock),
        SessionCredentials(accounts, sessions),
    )
    return Authentication(accounts, credentials, always=settings.accounts == "on")


@asynccontextmanager
async def inviting(
    settings: Settings, sign_in: SignIn, controller: ControllerState
) -> AsyncIterator[None]:
    """Have somebody become the first admin, where accounts are in force from the beginning."""
    if settings.accounts != "on":
        yield
        return
    work = invite_first_admin(settings, sign_in.links, lambda: controller.is_leader)
    task = asyncio.create_task(work, name="first-admin")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def build_api_keys(settings: Settings, accounts: AccountStore) -> ApiKeys:
    """Return what makes and ends API keys."""
    return ApiKeys(accounts, SystemClock(), max_age=settings.max_key_age)


def build_docker(settings: Settings) -> ContainerManager:
    """Return the Docker executor, not yet opened."""
    return ContainerManager(
        settings.container_prefix,
        engine_timeout=settings.engine_timeout,
        firewall=settings.job_firewall,
    )


def build_firewall() -> Firewall:
    """Return the rule that keeps jobs from this machine."""
    return Firewall()


def build_local(settings: Settings, repository: JobRepository) -> LocalExecutor:
    """Return the executor for a machine without an engine, not yet opened."""
    return LocalExecutor(
        repository.data_dir / "local", settings.container_prefix, timeout=settings.engine_timeout
    )


def build_controller(
    settings: Settings,
    repository: JobRepository,
    executor: Executor,
    signals: Signals,
    observer: Observer | None = None,
) -> JobController:
    """Return the controller, not yet started."""
    return JobController(
        repository,
        executor,
        settings.reconcile_interval,
        signals=signals,
        settings=controller_settings(settings),
        observer=observer,
    )


def build_deliverer(
    settings: Settings, repository: JobRepository, controller: JobController, signals: Signals
) -> Deliverer:
    """Return what tells webhooks of jobs, where the controller leads; not yet started."""
    clock = SystemClock()
    schedule = Schedule(
        retries=settings.webhook_retries, disable_after=settings.webhook_disable_after
    )
    sending = SendSettings(rules=destination_rules(settings), timeout=settings.webhook_timeout)
    return Deliverer(
        repository.webhooks,
        Sender(sending, clock),
        signals,
        clock,
        DelivererSettings(
            interval=settings.reconcile_interval,
            keep=settings.webhook_keep,
            public_url=settings.public_url,
            schedule=schedule,
        ),
        leads=lambda: controller.is_leader,
    )


def build_webhooks(settings: Settings, repository: JobRepository, signals: Signals) -> Webhooks:
    """Return what manages webhooks."""
    return Webhooks(repository.webhooks, signals, SystemClock(), destination_rules(settings))


def destination_rules(settings: Settings) -> DestinationRules:
    """Return where webhooks may lead to."""
    return DestinationRules(
        http=settings.webhook_http, ports=settings.webhook_ports, allow=settings.webhook_allow
    )


def controller_settings(settings: Settings) -> ControllerSettings:
    """Return what the controller may do."""
    chosen = ControllerSettings(
        max_starting=settings.max_starting,
        orphan_grace=settings.orphan_grace,
        stop_grace=settings.stop_grace,
        defaults=job_defaults(settings),
        standby=StandbySettings(size=settings.standby_size, memory=settings.standby_memory),
        retention=RetentionSettings(
            keep_for=settings.keep_jobs_for,
            keep_log_bytes=settings.keep_logs_bytes,
            keep_at_least=settings.keep_at_least,
            keep_events_for=settings.keep_events_for,
            projects_for=settings.keep_projects_for,
            project_bytes=settings.keep_projects_bytes,
        ),
        snapshots=SnapshotSettings(
            budget=settings.snapshot_bytes, max_age=settings.snapshot_max_age
        ),
        results=ResultLimits(
            artifact_bytes=settings.max_artifact_bytes,
            artifacts=settings.max_artifacts,
            report_bytes=settings.max_report_bytes,
            tests=settings.max_tests,
        ),
        blob_bytes=settings.blob_bytes,
        blob_age=settings.blob_age,
    )
    return replace(chosen, max_running=settings.max_running) if settings.max_running else chosen


def job_defaults(settings: Settings) -> JobDefaults:
    """Return what a job gets where nobody asks for anything, which is no more than its cap."""
    caps = job_caps(settings)
    return JobDefaults(
        image=settings.default_image,
        memory=min(settings.job_memory, caps.memory or settings.job_memory),
        cpus=min(settings.job_cpus, caps.cpus or settings.job_cpus),
        pids=min(settings.job_pids, caps.pids or settings.job_pids),
        network=settings.job_network,
        timeout=min(settings.job_timeout, caps.timeout or settings.job_timeout),
        log_limit=settings.max_log_bytes,
        user=settings.job_user,
        runtime=settings.job_runtime,
        cap_add=settings.job_cap_add,
        env=settings.job_env,
    )


def job_caps(settings: Settings) -> JobCaps:
    """Return the most that a job may ask for."""
    return JobCaps(
        timeout=settings.max_job_timeout or None,
        memory=settings.max_job_memory or None,
        cpus=settings.max_job_cpus or None,
        pids=settings.max_job_pids or None,
        disk=settings.max_job_disk or None,
        queue_timeout=settings.max_queue_timeout or None,
    )


def build_retries(repository: JobRepository, submissions: Submissions) -> Retries:
    """Return what runs jobs again."""
    return Retries(repository, submissions, repository.results)


def build_submissions(
    settings: Settings, repository: JobRepository, signals: Signals, executor: DiskLimits
) -> Submissions:
    """Return what takes submissions."""
    limits = ZipLimits(
        max_files=settings.max_files,
        max_unpacked_bytes=settings.max_unpacked_bytes,
        max_ratio=settings.max_ratio,
    )
    clock = SystemClock()
    return Submissions(
        repository=repository,
        signals=signals,
        clock=clock,
        limits=limits,
        max_upload_bytes=settings.max_upload_bytes,
        max_attempts=settings.max_attempts,
        idle_timeout=settings.upload_idle_timeout,
        executor=executor,
        caps=job_caps(settings),
        trees=Trees(repository, clock, limits) if settings.blob_bytes else None,
    )


def build_queue(settings: Settings, repository: SQLiteJobRepository) -> QueueWatch:
    """Return what looks at the queue."""
    capacity = controller_settings(settings).max_running
    outage = Outage(repository.data_dir)
    return QueueWatch(
        repository, repository.quotas, SystemClock(), outage, capacity, settings.priority_ageing
    )


async def choose_executor(settings: Settings, repository: JobRepository) -> tuple[str, Executor]:
    """Return ``docker`` or ``local`` and that executor.

    ``docker`` chosen by hand needs no engine that answers: jobs wait for it.

    Raises:
        ConfigurationError: only local processes are left, and others could submit to them.

    """
    reason = "CI_EXECUTOR=local is set"
    if settings.executor != "local":
        docker = build_docker(settings)
        try:
            engine = await docker.ping()
        except EngineError as error:
            reason = error.detail
        else:
            _logger.info("jobs run in containers of %s %s", engine.name, engine.version)
            return "docker", docker
        if settings.executor == "docker":
            _logger.warning("the container engine does not answer; jobs wait for it: %s", reason)
            return "docker", docker
        await docker.close()
    _refuse_local_for_others(listening_host(settings), reason)
    _logger.warning("%s (%s)", LOCAL_WARNING, reason)
    return "local", build_local(settings, repository)


def _refuse_local_for_others(host: str, reason: str) -> None:
    if not is_loopback(host):
        raise ConfigurationError(
            f"CI_EXECUTOR: without containers jobs run as plain processes, which a server that "
            f"listens on {host} must not offer to others ({reason})",
            hint="Start Docker or set DOCKER_HOST; or set CI_EXECUTOR=docker to start now and let "
            "jobs wait for the engine; or listen on this machine alone with CI_HOST=127.0.0.1.",
        )


async def image_is_present(settings: Settings) -> bool:
    """Return whether the default image is on the engine.

    Raises:
        EngineUnavailable: the engine does not answer.

    """

    def look(client: EngineClient) -> object:
        return client.inspect_image(settings.default_image)  # type: ignore[no-untyped-call]

    calls = EngineCalls(timeout=settings.engine_timeout, limit=1)
    try:
        await calls.call(look, "look at the image")
    except ContainerGone:
        return False
    finally:
        calls.close()
    return True


def check_database(settings: Settings) -> None:
    """Return if the database is absent, or sound and one we can upgrade. Changes nothing.

    Raises:
        DatabaseUnusable: it cannot be used.

    """
    path = settings.db_path.absolute()
    with translated(path):
        inspect(path, load_migrations(), busy_timeout=1.0)
