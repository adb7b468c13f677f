"""Running the server as a process, for ``ci serve``."""

import contextlib
import functools
import gc
import json
import signal
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from uvicorn.config import STARTUP_FAILURE

from ci_server.app import create_app
from ci_server.given import Given, from_flags
from ci_server.log_config import configure_logging
from ci_server.parts import parts_of
from ci_server.service_manager import tell_service_manager
from ci_server.settings import Settings, load_settings
from ci_server.supervisor import Supervisor
from ci_server.uvicorn_server import Server, base_url, bind, server_config

READY_POLL = 0.1
"""Seconds between two looks at whether the workers answer."""

READY_TIMEOUT = 60.0
"""Seconds after which nobody looks any more."""


def run_server(
    host: str | None = None,
    port: int | None = None,
    workers: int = 1,
    overrides: Mapping[str, str | Given] | None = None,
    *,
    file: Path | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM; return the process's exit code, 0 after either.

    ``overrides`` are settings by name (``CI_DB_PATH`` or ``db_path``); they win
    over the environment, that over the YAML ``file``, and ``host`` and ``port``
    over all. Port 0 takes a free one. One line on stdout says when and where the
    server answers; systemd is told too.

    Raises:
        ConfigurationError: a setting is wrong, or the port is taken.

    """
    flags = from_flags({}, {"host": host, "port": None if port is None else str(port)})
    settings = load_settings({**(overrides or {}), **flags}, file=file)
    configure_logging(settings.log_level, settings.log_format)
    with contextlib.closing(bind(settings)) as bound, _ending_on_sigterm():
        settings = settings.model_copy(update={"port": bound.getsockname()[1]})
        try:
            if workers == 1:
                return _run_one(settings, bound)
            return _run_many(settings, bound, workers)
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else STARTUP_FAILURE
        except KeyboardInterrupt:
            return 0


def _run_one(settings: Settings, bound: socket.socket) -> int:
    app = create_app(settings)

    def announce() -> None:
        # What is loaded by now stays for good. To look through it all for garbage takes
        # 50 ms, in which nobody is answered.
        gc.freeze()
        _announce(settings, bound, parts_of(app.state).executor_name)

    Server(server_config(app, settings), app, on_ready=announce).run(sockets=[bound])
    return 0


def _run_many(settings: Settings, bound: socket.socket, workers: int) -> int:
    # Workers are new processes. They are sent the settings, so that one that is started later,
    # after a file was edited, has the same ones, and no secret goes through the environment.
    app = functools.partial(create_app, settings)
    config = server_config(app, settings, workers=workers)
    patience = settings.shutdown_delay + settings.shutdown_grace
    supervisor = Supervisor(config, [bound], patience=patience)
    threading.Thread(
        target=_announce_when_ready,
        args=(settings, bound, supervisor.should_exit),
        name="ready-announcer",
        daemon=True,
    ).start()
    supervisor.run()
    failed = any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)
    return STARTUP_FAILURE if failed else 0


def _announce_when_ready(settings: Settings, bound: socket.socket, ended: threading.Event) -> None:
    url = base_url(bound) + "/ready"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(round(READY_TIMEOUT / READY_POLL)):
        if ended.wait(READY_POLL):
            return
        try:
            with opener.open(url, timeout=READY_TIMEOUT) as answer:
                body = answer.read()
        except urllib.error.HTTPError as degraded:
            with degraded:
                body = degraded.read()
        except OSError:
            continue
        _announce(settings, bound, str(json.loads(body).get("executor", "unknown")))
        return


def _announce(settings: Settings, bound: socket.socket, executor_name: str) -> None:
    folder = settings.data_folder.absolute()
    line = f"Standby CI at {base_url(bound)} · executor {executor_name} · data in {folder}\n"
    sys.stdout.write(line)
    sys.stdout.flush()
    tell_service_manager(f"READY=1\nSTATUS={line}")


@contextlib.contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Have SIGTERM end the process with 0; uvicorn repeats the signal once it has shut down."""
    previous = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
