"""Whether the server is alive, whether it can do its work, and which one it is."""

import asyncio
import platform

import msgspec
from litestar import Response, get
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec

from ci_common import __version__
from ci_common.access import Action, OfServer, can
from ci_common.errors import CIError
from ci_common.jobs import QueueCounts
from ci_server.access import identified
from ci_server.build import built_from
from ci_server.job_query import AnyRequest
from ci_server.parts import Parts, parts_of
from ci_server.routes.openapi import NO_SECURITY

API_VERSION = "v1"

PROBE_TIMEOUT = 3.0
"""Seconds a part may take to answer before it counts as not answering."""


_NOT_FOR_ALL = "not as it should be; the server's log says more, and a server admin is told here"


class Health(msgspec.Struct, frozen=True):
    """That the process answers."""

    status: str = "alive"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether jobs can be taken and run. ``problems`` says what is wrong, by part.

    With accounts, what exactly is wrong and how much there is to do is told to server
    admins only: then ``queued`` and ``running`` are null.
    """

    ready: bool
    executor: str
    leader: bool
    queued: int | None
    running: int | None
    problems: dict[str, str]


class Version(msgspec.Struct, frozen=True):
    """What runs here.

    ``manifests``: whether a submission may be one. ``commit``: that the server was
    built from, where it is known. ``features``: what this server can do that not every one can.
    """

    version: str
    python: str
    manifests: bool
    commit: str | None
    api: str
    features: list[str]


@get(
    "/health",
    operation_id="get_health",
    action=Action.BE_THERE,
    security=NO_SECURITY,
    summary="Is the process alive?",
    tags=["server"],
)
async def get_health() -> Health:
    """Answer at once, whatever else is wrong."""
    return Health()


@get(
    "/ready",
    operation_id="get_readiness",
    action=Action.BE_THERE,
    security=NO_SECURITY,
    summary="Can jobs be taken and run?",
    description="503 while the database or the container engine does not answer, or the disk is "
    "nearly full, or the server shuts down. While only the engine is away submissions are still "
    "taken; they wait in the queue. Where there are accounts, only server admins are told what "
    "exactly is wrong, and how many jobs there are.",
    tags=["server"],
    responses={
        503: ResponseSpec(Readiness, description="Degraded.", generate_examples=False),
    },
)
async def get_readiness(request: AnyRequest, state: State) -> Response[Readiness]:
    """Look at the database, the engine and the disk."""
    parts = parts_of(state)
    counts, database_error = await _database(parts)
    engine_problem = engine_error(parts)
    found = {
        "database": database_error,
        "engine": engine_problem,
        "disk": parts.repository.space.shortage(),
        "shutdown": "the server is shutting down" if parts.shutdown.begun else None,
    }
    problems = {name: error for name, error in found.items() if error is not None}
    if not await _may_know_all(request):
        counts, problems = None, dict.fromkeys(problems, _NOT_FOR_ALL)
    readiness = Readiness(
        ready=not problems,
        executor=parts.executor_name,
        leader=parts.controller.is_leader,
        queued=counts.queued if counts else None,
        running=counts.running if counts else None,
        problems=problems,
    )
    return Response(readiness, status_code=503 if problems else 200)


@get(
    "/version",
    operation_id="get_version",
    action=Action.BE_THERE,
    security=NO_SECURITY,
    summary="Which version is this?",
    tags=["server"],
)
async def get_version(state: State) -> Version:
    """Answer with the version of the server and of its Python."""
    parts = parts_of(state)
    return Version(
        version=__version__,
        python=platform.python_version(),
        manifests=parts.submissions.trees is not None,
        commit=built_from(),
        api=API_VERSION,
        features=_features(parts),
    )


def _features(parts: Parts) -> list[str]:
    found = {
        "manifests": parts.submissions.trees is not None,
        "metrics": parts.metrics is not None,
        "standbys": parts.executor_name == "docker" and parts.settings.standby_size > 0,
        "tracing": parts.tracing is not None,
    }
    return [name for name, there in found.items() if there]


async def _may_know_all(request: AnyRequest) -> bool:
    # A probe without a key, and one with a bad key, hear the same; so do all if it cannot be told.
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            return can(await identified(request), Action.OPERATE, OfServer())
    except (CIError, TimeoutError):
        return False


async def _database(parts: Parts) -> tuple[QueueCounts | None, str | None]:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            return await parts.repository.count(), None
    except TimeoutError:
        return None, f"no answer within {PROBE_TIMEOUT:g} s"
    except CIError as error:
        return None, error.detail


def engine_error(parts: Parts) -> str | None:
    """Return why the engine cannot be seen, None when it can."""
    # Where another process runs the jobs, it says what it sees of the engine.
    leads = parts.controller.is_leader
    return parts.controller.engine_error if leads else parts.outage.reason
