"""Every setting of the server; ``configuration.py`` tells where values come from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ci_server.configuration import (
    ENV_PREFIX,
    Configuration,
    field_name,
    read_configuration,
    variable_name,
)
from ci_server.given import Given
from ci_server.setting_types import (
    SECRET,
    Bytes,
    Capabilities,
    Destinations,
    GroupRoles,
    Issuer,
    Names,
    Networks,
    Origins,
    PauseSeconds,
    Ports,
    Room,
    Seconds,
    Times,
    Variables,
    is_loopback,
)

__all__ = [
    "ENV_PREFIX", "Settings", "configured", "field_name", "is_loopback", "load_settings",
    "variable_name",
]  # fmt: skip

DEFAULT_DATABASE = "ci_jobs.db"

DEFAULT_WEBHOOK_RETRIES = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
"""Over about 28 hours, in the pattern that Standard Webhooks recommends."""


class Settings(BaseModel):
    """The settings of one server. Sizes are bytes (``512m``), durations seconds (``10m``)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    db_path: Path = Path(DEFAULT_DATABASE)
    """The SQLite database. Servers with different databases share nothing."""

    data_dir: Path | None = Field(default=None, examples=["/var/lib/standby-ci"])
    """The folder for zips, logs and locks. Unset: that of ``ci_jobs.db``, or beside ``x.db``
    a folder ``x.data``, so that two databases in one folder share nothing."""

    secrets_key_file: Path | None = Field(default=None, examples=["/etc/standby-ci/secrets.key"])
    """The file with the key that secrets are encrypted with, made at the first use.
    Unset: ``keys/secrets.key`` in the data directory. Keep a copy apart from backups."""

    container_prefix: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,40})?$")
    """Begins the name of every container; servers that share an engine need different ones."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """The address ``ci serve`` listens on; ``0.0.0.0`` for every network."""

    port: int = Field(default=8000, ge=0, le=65535)
    """The TCP port ``ci serve`` listens on; 0 picks a free one."""

    accounts: Literal["auto", "on"] = "auto"
    """Whether it matters who asks: from the beginning (on), or once there is a user (auto)."""

    let_anyone_run_code: bool = False
    """Whether others may use a server without accounts: whoever reaches it can run anything."""

    org_max_running: int = Field(default=0, ge=0)
    """Jobs of an organisation that run at once, where it has no quota of its own; 0: no limit."""

    org_max_queued: int = Field(default=0, ge=0)
    """Jobs of an organisation that may wait, where it has no quota of its own; 0: no limit."""

    org_max_project_bytes: Room = 0
    """Bytes of an organisation's kept projects, where it has no quota of its own; 0: no limit."""

    org_max_artifact_bytes: Room = 0
    """Bytes of an organisation's kept artifacts, where it has no quota of its own; 0: no limit."""

    max_key_age: PauseSeconds = 0.0
    """Seconds that API keys made from now on may be good for at the most; 0 for no bound."""

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

    snapshot_bytes: Room = 10 * 1024**3
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

    blob_bytes: Room = 2 * 1024**3
    """Bytes of uploaded files that are kept, so that a client sends only what changed; 0 for
    none: every submission is a whole zip then."""

    blob_age: Seconds = 7 * 86_400.0
    """Seconds after which uploaded files that no job has used since are deleted."""

    upload_idle_timeout: Seconds = 60.0
    """Seconds an upload may stand still before it is given up."""

    max_log_bytes: Bytes = 1024**3
    """Bytes of a job's log that are kept; a marker says where it was cut."""

    max_artifact_bytes: Room = 512 * 1024**2
    """Bytes of all files together that a job may leave as artifacts; 0 keeps none."""

    max_artifacts: int = Field(default=1000, ge=1)
    """Files that a job may leave as artifacts; what is over is left out, and said so."""

    max_report_bytes: Bytes = 32 * 1024**2
    """Bytes of all test and coverage reports of a job together; what is over is not read."""

    max_tests: int = Field(default=20_000, ge=1)
    """Tests of a job that are kept one by one."""

    keep_jobs_for: PauseSeconds = 30 * 86400.0
    """Seconds an ended job is kept with its log; 0 for ever."""

    keep_logs_bytes: Room = 10 * 1024**3
    """Bytes all logs and artifacts together may take before the oldest ended jobs go; 0 for no
    bound."""

    keep_at_least: PauseSeconds = 3600.0
    """Seconds in which an ended job is not removed for want of room, whatever happens."""

    keep_events_for: PauseSeconds = 7 * 86_400.0
    """Seconds that what happened to jobs is kept for live updates to go on from; 0 for ever."""

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

    job_firewall: Literal["auto", "on", "off"] = "auto"
    """Whether jobs are kept from what listens on the engine's own machine, and from link-local
    addresses: where this process may set the rule (auto), always or no job runs (on), or never."""

    job_user: str | None = Field(default=None, examples=["1000:1000"])
    """The user (``name`` or ``uid:gid``) jobs run as in the container; unset: the image's own."""

    job_runtime: str | None = Field(default=None, examples=["runsc"])
    """The engine's runtime for jobs, for example ``runsc``; unset: the engine's default."""

    job_cap_add: Capabilities = Field(default=(), examples=["SYS_PTRACE"])
    """Linux capabilities given back to jobs, separated by commas. Each one loosens the sandbox."""

    job_env: Annotated[Variables, SECRET] = Field(
        default_factory=dict, examples=["PIP_INDEX_URL=https://pypi.example/simple"]
    )
    """Variables for every job: ``K=V`` separated by commas or lines, or a JSON object."""

    orphan_grace: PauseSeconds = 60.0
    """Seconds before a container, zip or temporary file that no job explains is removed."""

    stop_grace: PauseSeconds = 10.0
    """Seconds a job has from SIGTERM to SIGKILL when it is stopped."""

    webhook_allow: Destinations = Field(default=(), examples=["10.1.0.0/16,hooks.internal"])
    """Networks (``10.1.0.0/16``) and hosts that webhooks may reach though they are not public,
    separated by commas. Unset: none, so that no webhook reaches into the server's own network."""

    webhook_http: bool = False
    """Whether webhooks may also be told without TLS, by ``http://``."""

    webhook_ports: Ports = (80, 443, 8443)
    """The TCP ports that webhooks may reach, separated by commas."""

    webhook_timeout: Seconds = 15.0
    """Seconds one try to deliver to a webhook may take, from the look-up of its name on."""

    webhook_retries: Times = DEFAULT_WEBHOOK_RETRIES
    """Times from each try to the next, separated by commas, and varied by a fifth; then a
    delivery is dead. A receiver's ``Retry-After`` can make them longer."""

    webhook_disable_after: Seconds = 5 * 86_400.0
    """Seconds of nothing but failures after which a webhook is disabled."""

    webhook_keep: Seconds = 7 * 86_400.0
    """Seconds that a delivery is kept, delivered or dead, counted from when it was made."""

    public_url: str = Field(default="", pattern=r"^(https?://[^\s]+)?$", max_length=500)
    """Where clients reach this server, for links in webhooks; unset: they are paths."""

    session_idle_timeout: Seconds = 12 * 3600.0
    """Seconds after which a session in a browser is over that is not used."""

    session_lifetime: Seconds = 7 * 86_400.0
    """Seconds after which a session in a browser is over in any case."""

    token_lifetime: Annotated[Seconds, Field(le=900)] = 600.0
    """Seconds that a token is good for; 15 minutes at the most."""

    oidc_issuer: Issuer = Field(default="", examples=["https://id.example/realms/main"])
    """The OpenID Connect provider that people may sign in with; unset: none. Needs
    ``public_url``."""

    oidc_client_id: str = Field(default="", examples=["standby-ci"])
    """What this server is called at the provider."""

    oidc_client_secret: Annotated[str, SECRET] = ""
    """What this server shows to the provider; unset for a public client."""

    oidc_scopes: Names = ("openid", "profile", "email")
    """What is asked of the provider, separated by commas; ``openid`` among it."""

    oidc_label: str = Field(default="single sign-on", min_length=1, max_length=40)
    """What people call the provider, for the page where they sign in."""

    oidc_name_claim: str = Field(default="preferred_username", min_length=1)
    """The claim that new users get their name from, what is behind an ``@`` left out."""

    oidc_create_users: bool = False
    """Whether whoever can sign in at the provider becomes a user here, at first without a role
    in any organisation. Else only users who have connected their account there."""

    oidc_domains: Names = Field(default=(), examples=["corp.example"])
    """Domains, separated by commas: only people with a verified mail address in one of them may
    sign in with the provider. Unset: all."""

    oidc_groups_claim: str = Field(default="", examples=["groups"])
    """The claim with the names of the groups that somebody is in; unset: groups do not matter."""

    oidc_groups: GroupRoles = Field(
        default_factory=dict, examples=["ci-admins=server-admin,devs=acme:member"]
    )
    """Which roles groups give: ``GROUP=ORGANISATION:ROLE`` or ``GROUP=server-admin``, separated
    by commas. For the organisations named here they are set anew at each sign-in."""

    engine_timeout: Seconds = 30.0
    """Seconds a call to the container engine may take."""

    shutdown_grace: Seconds = 10.0
    """Seconds open requests have to end when the server stops. Jobs go on in any case."""

    shutdown_delay: PauseSeconds = 0.0
    """Seconds a server that was asked to end still listens, with ``/ready`` at 503, so that a
    load balancer can notice."""

    ping_interval: Seconds = 15.0
    """Seconds between the comments that keep a silent stream open."""

    metrics: Literal["on", "off"] = "on"
    """Whether ``/metrics`` is there, for Prometheus."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least serious messages the server writes to its log."""

    log_format: Literal["text", "json"] = "text"
    """How a line of the log looks: for people (text), or one JSON object (json)."""

    access_log: bool = True
    """Whether every request leaves a line in the log, at the level ``info``."""

    trusted_proxies: Networks = Field(default=(), examples=["127.0.0.1,10.0.0.0/8"])
    """Addresses and networks of proxies whose ``X-Forwarded-…`` and ``Forwarded`` are believed."""

    rate_limit_submissions: int = Field(default=300, ge=0)
    """Submissions a client may send in a minute, to each process; 0 for no limit."""

    rate_limit_reads: int = Field(default=6000, ge=0)
    """Other requests a client may send in a minute, to each process; 0 for no limit."""

    rate_limit_streams: int = Field(default=1200, ge=0)
    """Streams a client may open in a minute, at each process; 0 for no limit."""

    rate_limit_failures: int = Field(default=60, ge=0)
    """Requests with a key or token that is not good a client may send in a minute, to each
    process; 0 for no limit."""

    rate_limit_loopback: bool = False
    """Whether the limits hold for clients on this machine, too."""

    max_request_bytes: Bytes = 1024**2
    """Bytes of the largest request that is not a submission."""

    max_header_bytes: int = Field(default=64 * 1024, ge=4096, le=1024**2)
    """Bytes that the first line and the headers of a request may have together."""

    header_timeout: Seconds = 15.0
    """Seconds a connection may take until the headers of its first request are there."""

    keep_alive_timeout: Annotated[Seconds, Field(ge=1)] = 5.0
    """Whole seconds a connection without a request stays open."""

    request_timeout: Seconds = 60.0
    """Seconds until an answer has to begin. Submissions and streams have their own limits."""

    cors_origins: Origins = Field(default=(), examples=["https://dashboard.example"])
    """Origins of web pages that may use this server from a browser; none by default."""

    @property
    def data_folder(self) -> Path:
        """The data directory in effect."""
        if self.data_dir is not None:
            return self.data_dir
        if self.db_path.name == DEFAULT_DATABASE:
            return self.db_path.parent
        return self.db_path.with_suffix(".data")


def load_settings(
    overrides: Mapping[str, str | Given] | None = None, *, file: Path | None = None
) -> Settings:
    """Return the settings in force, with ``overrides`` on top.

    ``overrides`` are named as variables (``CI_DB_PATH``) or as fields (``db_path``).

    Raises:
        ConfigurationError: a value is not valid, or an override is not a setting.

    """
    return configured(overrides, file=file).settings


def configured(
    overrides: Mapping[str, str | Given] | None = None, *, file: Path | None = None
) -> Configuration[Settings]:
    """Return the settings in force with their origins; else as ``load_settings``."""
    return read_configuration(Settings, overrides or {}, file=file)
