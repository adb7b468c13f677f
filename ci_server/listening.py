"""Where this server can be reached from."""

import os
import signal
import socket

import uvicorn

from ci_server.settings import Settings


def listening_host(settings: Settings) -> str:
    """Return the address the server listens on, also when ``uvicorn`` was started by hand."""
    return listening_at(settings)[0]


def listening_at(settings: Settings) -> tuple[str, int]:
    """Return the address and the port the server listens on, however it was started.

    The application is not told. uvicorn's signal handler is a method of the
    running server, which knows.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    config = getattr(server, "config", None)
    if not isinstance(config, uvicorn.Config):
        return settings.host, settings.port
    if config.fd is not None:
        return _bound_to(config.fd, config.port)
    return ("localhost" if config.uds else config.host), config.port


def _bound_to(descriptor: int, port: int) -> tuple[str, int]:
    # What a service manager hands over may lead anywhere, whatever the settings say.
    with socket.socket(fileno=os.dup(descriptor)) as listening:
        if listening.family == socket.AF_UNIX:
            return "localhost", port
        host, bound_port = listening.getsockname()[:2]
        return str(host), int(bound_port)
