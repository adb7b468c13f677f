"""Where this server can be reached from."""

import os
import signal
import socket

import uvicorn

from ci_server.settings import Settings


def listening_host(settings: Settings) -> str:
    """Return the address the server listens on, also when ``uvicorn`` was started by hand.

    The application is not told. uvicorn's signal handler is a method of the
    running server, which knows.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    config = getattr(server, "config", None)
    if not isinstance(config, uvicorn.Config):
        return settings.host
    if config.fd is not None:
        return _host_of(config.fd)
    return "localhost" if config.uds else config.host


def _host_of(descriptor: int) -> str:
    # What a service manager hands over may lead anywhere, whatever the settings say.
    with socket.socket(fileno=os.dup(descriptor)) as listening:
        if listening.family == socket.AF_UNIX:
            return "localhost"
        return str(listening.getsockname()[0])
