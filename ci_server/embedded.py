"""A server inside a program, for ``ci run``: on a free port of this machine, then gone."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

from ci_common.errors import ConfigurationError
from ci_server.app import create_app
from ci_server.settings import load_settings
from ci_server.uvicorn_server import Server, base_url, bind, server_config

_FOR_ONESELF: Mapping[str, Any] = {
    "accounts": "auto",
    "oidc_issuer": "",
    "public_url": "",
    "trusted_proxies": (),
}
"""What does not count here of the settings of a server for others, which this machine may have."""


@contextlib.asynccontextmanager
async def embedded_server(overrides: Mapping[str, str] | None = None) -> AsyncIterator[str]:
    """Serve for the length of an ``async with`` block; yield the base URL.

    It is for whoever starts it, without accounts. Takes no signal handlers and
    prints nothing. Jobs that still run when the block ends go on without a server,
    and are taken up by the next one with the same database.

    Raises:
        ConfigurationError: a setting is wrong, or the server cannot start.

    """
    settings = load_settings({**(overrides or {}), "CI_HOST": "127.0.0.1", "CI_PORT": "0"})
    settings = settings.model_copy(update=_FOR_ONESELF)
    app = create_app(settings)
    listening = asyncio.Event()
    with contextlib.closing(bind(settings)) as bound:
        server = Server(server_config(app, settings), app, on_ready=listening.set, signals=False)
        serving = asyncio.create_task(_serve(server, bound), name="embedded-server")
        try:
            await _until(listening, serving)
            yield base_url(bound)
        finally:
            server.should_exit = True
            await serving


async def _serve(server: Server, bound: socket.socket) -> None:
    # uvicorn leaves the process when it cannot start; that is not its to do here.
    with contextlib.suppress(SystemExit):
        await server.serve([bound])


async def _until(listening: asyncio.Event, serving: asyncio.Task[None]) -> None:
    waiting = asyncio.create_task(listening.wait(), name="embedded-server-ready")
    try:
        await asyncio.wait((waiting, serving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if not listening.is_set():
        raise ConfigurationError("the embedded server did not start; its log says why")
