"""Every setting of the server, read from ``CI_…`` environment variables."""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ci_common.errors import ConfigurationError
from ci_common.quantities import parse_bytes, parse_seconds

ENV_PREFIX = "CI_"

DEFAULT_DATABASE = "ci_jobs.db"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CAPABILITY = re.compile(r"(CAP_)?[A-Z_]+")


def _from_text(parse: Callable[[str], float]) -> BeforeValidator:
    # What is not text, a default or a test's number, is left to the type check that follows.
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


Bytes = Annotated[int, _from_text(parse_bytes), Field(gt=0)]
Room = Annotated[int, _from_text(parse_bytes), Field(ge=0)]
Seconds = Annotated[float, _from_text(parse_seconds), Field(gt=0, allow_inf_nan=False)]
PauseSeconds = Annotated[float, _from_text(parse_seconds), Field(ge=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """The settings of one server. Sizes are bytes (``512m``), durations seconds (``10m``)."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    db_path: Path = Path(DEFAULT_DATABASE)
    """The SQLite database. Servers with different databases share nothing."""

    data_dir: Path | None = None
    """The folder for zips, logs and locks. Unset: that of ``ci_jobs.db``, or beside ``x.db``
    a folder ``x.data``, so that two databases in one folder share nothing."""

    container_prefix: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,40})?$")
    """Begins the name of every container; servers that share an engine need different ones."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """The address ``ci serve`` listens on; ``0.0.0.0`` for every network."""

    port: int = Field(default=8000, ge=0, le=65535)
    """The TCP port ``ci serve`` listens on; 0 picks a free one."""

    executor: Literal["auto", "docker", "local"] = "auto"
    """Where jobs run: in Docker, as local processes, or Docker if its engine answers (auto)."""

    default_image: str = Field(default="python:3.12-slim", min_length=1)
    """The image of jobs whose project names none."""

    max_running: int = Field(default=0, ge=0)
    """Jobs that run at once; 0 means one per CPU core, at least two."""

    max_starting: int = Field(default=8, ge=1)
    """Jobs that are being started at once; the engine gains nothing from more."""

    standby_size: int = Field(default=1, ge=0)
    """Containers kept started and waiting for each image and limits in recent use; 0 for none."""

    standby_memory: Bytes = 8 * 1024**3
    """Bytes the memory limits of all standbys may add up to; an idle one takes about 1 MB."""

    snapshot_bytes: Annotated[int, _from_text(parse_bytes), Field(ge=0)] = 10 * 1024**3
    """Bytes on disk that installed dependencies may take, kept as images; 0 keeps none."""

    snapshot_max_age: Seconds = 7 * 86_400.0
    """Seconds after which dependencies are installed anew, though nothing was changed."""

    reconcile_interval: Seconds = 2.0
    """Seconds between two looks of the controller; it is woken for what is urgent."""

    max_attempts: int = Field(default=3, ge=1)
    """Attempts a job gets when the infrastructure fails. A failing test is never repeated."""

    max_upload_bytes: Bytes = 512 * 1024**2
    """Bytes of the largest zip that is accepted."""

    max_unpacked_bytes: Bytes = 4 * 1024**3
    """Bytes of all files of a zip together, unpacked."""

    max_files: int = Field(default=100_000, ge=1)
    """Entries in a zip."""

    max_ratio: int = Field(default=200, gt=1)
    """How many times its packed size a zip may unpack to, once it is more than a few megabytes."""

    blob_bytes: Annotated[int, _from_text(parse_bytes), Field(ge=0)] = 2 * 1024**3
    """Bytes of uploaded files that are kept, so that a client sends only what changed; 0 for
    none: every submission is a whole zip then."""

    blob_age: Seconds = 7 * 86_400.0
    """Seconds after which uploaded files that no job has used since are deleted."""

    upload_idle_timeout: Seconds = 60.0
    """Seconds an upload may stand still before it is given up."""

    max_log_bytes: Bytes = 1024**3
    """Bytes of a job's log that are kept; a marker says where it was cut."""

    keep_jobs_for: PauseSeconds = 30 * 86400.0
    """Seconds an ended job is kept with its log; 0 for ever."""

    keep_logs_bytes: Room = 10 * 1024**3
    """Bytes all logs together may take before the oldest ended jobs go; 0 for no bound."""

    keep_at_least: PauseSeconds = 3600.0
    """Seconds in which an ended job is not removed for want of room, whatever happens."""

    keep_projects_for: PauseSeconds = 7 * 86400.0
    """Seconds the project of an ended job is kept, so that it can be retried; 0 for none."""

    keep_projects_bytes: Room = 5 * 1024**3
    """Bytes the kept projects of ended jobs may take before the oldest go; 0 for no bound."""

    min_free_bytes: Room = 512 * 1024**2
    """Bytes that stay free: below, nothing is taken in. Before that, old jobs go. 0: none."""

    reserve_bytes: Room = 32 * 1024**2
    """Bytes set aside and given up on a full disk, so that clearing up works; 0 for none."""

    job_timeout: Seconds = 3600.0
    """Seconds an attempt may take, unless the project says otherwise."""

    job_memory: Bytes = 2 * 1024**3
    """Bytes of memory a job gets, without swap, unless the project says otherwise."""

    job_cpus: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    """CPU cores a job gets, unless the project says otherwise."""

    job_pids: int = Field(default=1024, ge=16)
    """Processes and threads a job may have at once."""

    max_job_timeout: PauseSeconds = 0.0
    """Seconds that a job may ask for at the most, as its time limit; 0 for no bound."""

    max_job_memory: Room = 0
    """Bytes of memory that a job may ask for at the most; 0 for no bound."""

    max_job_cpus: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """CPU cores that a job may ask for at the most; 0 for no bound."""

    max_job_pids: int = Field(default=0, ge=0)
    """Processes and threads that a job may ask for at the most; 0 for no bound."""

    max_job_disk: Room = 0
    """Bytes on disk that a job may ask for at the most; 0 for no bound."""

    max_queue_timeout: PauseSeconds = 0.0
    """Seconds that a job may ask to wait for its turn at the most; 0 for no bound."""

    priority_ageing: PauseSeconds = 600.0
    """Seconds of waiting that one step of priority is worth: who has waited so much longer goes
    before one of the next higher priority. 0: priorities mean nothing."""

    fair_share: PauseSeconds = 600.0
    """Seconds by which each unfinished job of a submitter puts the next one of the same
    submitter back, so that submitters take turns; 0 for not at all."""

    job_network: Literal["bridge", "none"] = "bridge"
    """A job's network: ``bridge`` reaches the internet, ``none`` nothing. None is for all jobs."""

    job_user: str | None = None
    """The user (``name`` or ``uid:gid``) jobs run as in the container; unset: the image's own."""

    job_runtime: str | None = None
    """The engine's runtime for jobs, for example ``runsc``; unset: the engine's default."""

    job_cap_add: Annotated[tuple[str, ...], NoDecode] = ()
    """Linux capabilities given back to jobs, separated by commas. Each one loosens the sandbox."""

    job_env: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)
    """Variables for every job: ``K=V`` separated by commas or lines, or a JSON object."""

    orphan_grace: PauseSeconds = 60.0
    """Seconds before a container, zip or temporary file that no job explains is removed."""

    stop_grace: PauseSeconds = 10.0
    """Seconds a job has from SIGTERM to SIGKILL when it is stopped."""

    engine_timeout: Seconds = 30.0
    """Seconds a call to the container engine may take."""

    shutdown_grace: Seconds = 10.0
    """Seconds open requests have to end when the server stops. Jobs go on in any case."""

    ping_interval: Seconds = 15.0
    """Seconds between the comments that keep a silent stream open."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least serious messages the server writes to its log."""

    @property
    def data_folder(self) -> Path:
        """The data directory in effect."""
        if self.data_dir is not None:
            return self.data_dir
        if self.db_path.name == DEFAULT_DATABASE:
            return self.db_path.parent
        return self.db_path.with_suffix(".data")

    @field_validator("job_env", mode="before")
    @classmethod
    def _read_env(cls, value: object) -> object:
        return parse_environment(value) if isinstance(value, str) else value

    @field_validator("job_env")
    @classmethod
    def _check_env(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _VARIABLE.fullmatch(name) or "\0" in text:
                raise ValueError(f"{name!r} is not the name of an environment variable")
        return value

    @field_validator("job_cap_add", mode="before")
    @classmethod
    def _split_capabilities(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = tuple(name.strip().upper() for name in value.split(",") if name.strip())
        for name in names:
            if not _CAPABILITY.fullmatch(name):
                raise ValueError(f"{name!r} is not a capability; write SYS_PTRACE,NET_ADMIN")
        return names


def load_settings(overrides: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of the environment, with ``overrides`` on top.

    ``overrides`` are named as variables (``CI_DB_PATH``) or as fields (``db_path``).

    Raises:
        ConfigurationError: a value is not valid, or an override is not a setting.

    """
    given: dict[str, Any] = {field_name(key): value for key, value in (overrides or {}).items()}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise _configuration_error(error) from None


def field_name(key: str) -> str:
    """Return the field that ``CI_DB_PATH`` or ``db_path`` names."""
    return key.lower().removeprefix(ENV_PREFIX.lower())


def variable_name(field: str) -> str:
    """Return the environment variable of a field."""
    return ENV_PREFIX + field.upper()


def parse_environment(text: str) -> dict[str, Any]:
    """Return the variables of ``K=V`` pairs on lines or between commas, or of a JSON object.

    Raises:
        ValueError: neither of these.

    """
    if text.lstrip().startswith("{"):
        return _parse_json_object(text)
    pairs = text.splitlines() if "\n" in text else text.split(",")
    parsed = {}
    for number, pair in enumerate(filter(str.strip, pairs), 1):
        name, equals, value = pair.partition("=")
        if not equals:
            # The text itself may be a secret.
            raise ValueError(f"item {number} has no '='; write NAME=value,OTHER=value")
        parsed[name.strip()] = value.strip()
    return parsed


def is_loopback(host: str) -> bool:
    """Return whether ``host`` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _parse_json_object(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError:
        raise ValueError("begins like a JSON object but is none") from None
    return dict(parsed)


def _configuration_error(error: ValidationError) -> ConfigurationError:
    problems, names = [], []
    for item in error.errors(include_url=False, include_context=False):
        name = variable_name(str(item["loc"][0])) if item["loc"] else ENV_PREFIX + "*"
        names.append(name)
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "there is no such setting"
        given = "" if field_name(name) == "job_env" else f" (it is {item['input']!r})"
        problems.append(f"{name}: {message}{given}")
    unique = ", ".join(dict.fromkeys(names))
    return ConfigurationError(
        "; ".join(problems),
        hint=f"Correct or unset {unique}; docs/configuration.md lists every setting.",
    )
