"""The client as plain functions, for scripts and other tools.

>>> for event in submit_tests_streaming(Path.cwd(), server_url="http://localhost:8000"):
...     if event["type"] == "log":
...         print(event["data"], end="")

Events are dictionaries with a ``type``: ``job_id`` (with ``job_id``),
``status`` (with ``status``, ``position`` while queued, and ``waiting`` while
something else keeps the job from going on), ``log`` (with ``data``), and last
``complete`` (with ``success``, ``exit_code``, ``reason``). Failures raise a
``CIError`` with ``detail``, ``hint`` and ``code``. What should be known but is no
failure (files left out, a connection found again) goes to the logger ``ci_client``.
"""

import logging
import os
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ci_client.archive import pack
from ci_client.config import DEFAULT_SERVER_URL
from ci_client.events import Event
from ci_client.files import select_files
from ci_client.job_options import Fields, Option, fields_of, with_defaults
from ci_client.sending import Project
from ci_client.session import JobDict, Session

if TYPE_CHECKING:
    from ci_client.job_query import Filter

__all__ = [
    "cancel_job",
    "create_project_zip",
    "get_job",
    "get_queue",
    "list_jobs",
    "retry_job",
    "submit_tests_async",
    "submit_tests_streaming",
    "wait_for_job",
]

Labels = Mapping[str, str] | Sequence[str]

_logger = logging.getLogger("ci_client")


def create_project_zip(project_dir: Path | str) -> IO[bytes]:
    """Return an open temporary file with the zip of a project; closing it deletes it.

    Raises:
        InvalidRequest: there is nothing to submit.

    """
    return pack(_project(project_dir).selection, warn=_logger.warning)


def submit_tests_streaming(
    project_dir: Path | str,
    server_url: str = DEFAULT_SERVER_URL,
    api_key: str | None = None,
    *,
    labels: Labels = (),
    **options: Option,
) -> Generator[Event, None, None]:
    """Submit a project and yield the job's events: its id first, ``complete`` last.

    Closing the generator leaves the job running. ``options`` and ``labels`` as of
    ``submit_tests_async``.
    """
    project = _project(project_dir, fields_of(options, labels))
    with (
        _connected(server_url, api_key) as server,
        project.submission(server, os.environ, _logger.warning) as submission,
    ):
        yield from server.submit_streaming(submission)


def submit_tests_async(
    project_dir: Path | str,
    server_url: str = DEFAULT_SERVER_URL,
    api_key: str | None = None,
    *,
    labels: Labels = (),
    **options: Option,
) -> str:
    """Submit a project and return the job's id, once the server has it safe on disk.

    ``options``: ``submitter``, ``priority``, ``timeout``, ``memory``, ``cpus``,
    ``pids``, ``disk``, ``queue_timeout``, ``group``, ``group_policy``; sizes and
    durations may be text with a unit. ``labels`` are a mapping, or ``NAME=VALUE``.
    """
    project = _project(project_dir, fields_of(options, labels))
    with (
        _connected(server_url, api_key) as server,
        project.submission(server, os.environ, _logger.warning) as submission,
    ):
        return server.submit(submission)


def wait_for_job(
    job_id: str,
    server_url: str = DEFAULT_SERVER_URL,
    from_beginning: bool = False,
    api_key: str | None = None,
) -> Generator[Event, None, None]:
    """Yield a job's events until ``complete``; its log from now on, or ``from_beginning``.

    ``job_id`` may be a unique prefix, or ``last``.
    """
    with _connected(server_url, api_key) as server:
        # Once: on a reconnect "last" could already be another job.
        full_id = server.job(job_id)["job_id"]
        yield from server.follow(full_id, from_beginning=from_beginning)


def get_job(
    job_id: str, server_url: str = DEFAULT_SERVER_URL, api_key: str | None = None
) -> JobDict:
    """Return a job: ``job_id, status, success, start_time, end_time`` and more."""
    with _connected(server_url, api_key) as server:
        return server.job(job_id)


def cancel_job(
    job_id: str, server_url: str = DEFAULT_SERVER_URL, api_key: str | None = None
) -> JobDict:
    """Cancel a job and return it: ``cancelled``, or still ``running`` while it is being stopped.

    ``wait_for_job`` yields ``complete`` when it is. ``job_id`` may be a unique prefix, or ``last``.

    Raises:
        InvalidTransition: it has ended otherwise.

    """
    with _connected(server_url, api_key) as server:
        return server.cancel(job_id)


def retry_job(
    job_id: str,
    server_url: str = DEFAULT_SERVER_URL,
    api_key: str | None = None,
    *,
    failed_only: bool = False,
    labels: Labels = (),
    **options: Option,
) -> JobDict:
    """Run the project of an ended job again; return the new job.

    ``failed_only``: only the tests that failed. ``options`` and ``labels``, as of
    ``submit_tests_async``, go over those of the job.

    Raises:
        InvalidTransition: it has not ended.
        ProjectGone: its project is not kept any more.

    """
    with _connected(server_url, api_key) as server:
        return server.retry(job_id, fields_of(options, labels), failed_only=failed_only)


def list_jobs(
    server_url: str = DEFAULT_SERVER_URL,
    limit: int | None = 100,
    api_key: str | None = None,
    **filters: "Filter",
) -> list[JobDict]:
    """Return the jobs that fit all filters, at most ``limit`` (None: all), the newest first.

    ``status, reason, project, submitter, group``: a text, or several of which any
    will do. ``label`` (``NAME``, ``NAME=VALUE``, or a mapping of names to values)
    and ``text``: one, or several that all have to be there. ``success``: whether
    they passed. ``since, until``: when they were submitted, a ``datetime`` with a
    time zone or a text such as ``2h``. ``sort``: ``-created`` (default),
    ``created, -ended, ended, -duration, duration``.
    """
    with _connected(server_url, api_key) as server:
        return server.jobs(limit, **filters)


def get_queue(
    server_url: str = DEFAULT_SERVER_URL, limit: int | None = 100, api_key: str | None = None
) -> JobDict:
    """Return the queue: ``counts``, ``queued`` in the order of turns, ``running``, ``waiting``.

    Of those that wait at most ``limit``, None for all.
    """
    with _connected(server_url, api_key) as server:
        return server.queue(limit)


def _project(project_dir: Path | str, fields: Fields | None = None) -> Project:
    selection = select_files(Path(project_dir))
    for warning in selection.warnings:
        _logger.warning(warning)
    named = with_defaults(fields or [], str(project_dir), os.environ)
    return Project(str(project_dir), selection, fields=named)


def _connected(server_url: str, api_key: str | None) -> Session:
    return Session(server_url, api_key, notify=_logger.warning)
