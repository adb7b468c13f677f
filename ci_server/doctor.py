"""What ``ci doctor`` looks at on the server's machine."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ci_common.checks import Check
from ci_common.clock import Clock, SystemClock
from ci_common.errors import CIError
from ci_common.executor import EngineInfo
from ci_common.quantities import format_bytes
from ci_server import bootstrap
from ci_server.settings import Settings, is_loopback

OLDEST_API = (1, 40)
"""The engine's API since Docker 19.03; what we use is in it."""

LEAST_FREE = 1024**3
"""Bytes of free disk below which uploads and logs are in danger."""

_RELEASED = datetime(2025, 1, 1, tzinfo=UTC)
"""A clock that shows an earlier time was never set."""

_START_DOCKER = "Install and start Docker, or set DOCKER_HOST to where an engine answers."


async def machine_checks(settings: Settings, clock: Clock | None = None) -> list[Check]:
    """Return the state of everything a server with these settings needs here.

    Changes nothing: no database is created, none is upgraded.
    """
    engine, error = await _engine(settings)
    return [
        *_engine_checks(settings, engine, error),
        *([] if engine is None else [await _image(settings)]),
        *await asyncio.to_thread(_firewall, settings),
        *await asyncio.to_thread(_disk_checks, settings),
        await asyncio.to_thread(_database, settings),
        _clock(clock or SystemClock()),
    ]


async def _engine(settings: Settings) -> tuple[EngineInfo | None, str]:
    docker = bootstrap.build_docker(settings)
    try:
        return await docker.ping(), ""
    except CIError as error:
        return None, error.detail
    finally:
        await docker.close()


def _engine_checks(settings: Settings, engine: EngineInfo | None, error: str) -> list[Check]:
    if engine is None:
        wanted = settings.executor != "local"
        answers = Check("container engine", not wanted, error, _START_DOCKER if wanted else "")
        return [answers, _executor(settings, engine_answers=False)]
    version = tuple(int(part) for part in engine.api_version.split(".") if part.isdecimal())
    oldest = ".".join(map(str, OLDEST_API))
    return [
        Check("container engine", ok=True, detail=f"{engine.name} {engine.version}"),
        Check(
            "engine API",
            version >= OLDEST_API,
            f"version {engine.api_version}",
            f"Upgrade the engine to one with API {oldest} or later.",
        ),
        _executor(settings, engine_answers=True),
    ]


def _executor(settings: Settings, *, engine_answers: bool) -> Check:
    name = "executor"
    if settings.executor == "docker" or (settings.executor == "auto" and engine_answers):
        waiting = "" if engine_answers else "; jobs wait until the engine answers"
        return Check(name, engine_answers, f"docker{waiting}", _START_DOCKER)
    if not is_loopback(settings.host):
        return Check(
            name,
            ok=False,
            detail=f"local, which a server that listens on {settings.host} refuses",
            fix="Start Docker, or listen on this machine alone with CI_HOST=127.0.0.1.",
        )
    chosen = settings.executor == "local"
    return Check(name, chosen, bootstrap.LOCAL_WARNING, "" if chosen else _START_DOCKER)


def _firewall(settings: Settings) -> Sequence[Check]:
    if settings.job_firewall == "off" or settings.executor == "local":
        return ()
    name, fix = "jobs' reach", "As root, on the engine's machine: ci admin firewall install"
    try:
        installed = bootstrap.build_firewall().is_installed()
    except CIError as error:
        return (Check(name, ok=False, detail=error.detail, fix=fix),)
    # A server that is root sets it when it starts.
    if installed or os.geteuid() == 0:
        return (Check(name, ok=True, detail="kept from what listens on the engine's machine"),)
    detail = f"they can reach what listens on the engine's machine. {fix}"
    return (Check(name, ok=settings.job_firewall == "auto", detail=detail, fix=fix),)


async def _image(settings: Settings) -> Check:
    image = settings.default_image
    try:
        present = await bootstrap.image_is_present(settings)
    except CIError as error:
        return Check("image", ok=False, detail=error.detail, fix=error.hint or "")
    return Check(
        "image",
        present,
        f"{image} is {'here' if present else 'not on this engine'}",
        f"Run `docker pull {image}`, or scripts/build-runner-image and set CI_DEFAULT_IMAGE.",
    )


def _disk_checks(settings: Settings) -> Sequence[Check]:
    folder = settings.data_folder.absolute()
    existing = _nearest_existing(folder)
    free = shutil.disk_usage(existing).free
    wanted = max(LEAST_FREE, settings.min_free_bytes)
    return (
        _writable(folder, existing),
        Check(
            "disk space",
            free >= wanted,
            f"{format_bytes(free)} free in {existing}",
            f"Free at least {format_bytes(wanted)} there, or point CI_DATA_DIR to another disk.",
        ),
    )


def _writable(folder: Path, existing: Path) -> Check:
    fix = f"Give this user the right to write in {existing}, or set CI_DATA_DIR."
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Check("data directory", ok=False, detail=f"{folder}: {error.strerror}", fix=fix)
    made = "" if folder == existing else " (will be made)"
    return Check("data directory", ok=True, detail=f"{folder}{made}")


def _nearest_existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _database(settings: Settings) -> Check:
    path = settings.db_path.absolute()
    if not path.exists() and os.access(_nearest_existing(path.parent), os.W_OK):
        return Check("database", ok=True, detail=f"{path} (will be made)")
    try:
        bootstrap.check_database(settings)
    except CIError as error:
        fix = error.hint or "Restore it from a copy, or set CI_DB_PATH to another file."
        return Check("database", ok=False, detail=error.detail, fix=fix)
    return Check("database", ok=True, detail=str(path))


def _clock(clock: Clock) -> Check:
    now = clock.now().wall
    return Check(
        "clock",
        now >= _RELEASED,
        f"{now:%Y-%m-%d %H:%M:%S} UTC",
        "Set the clock: times in lists, and grace periods across reboots, depend on it.",
    )
