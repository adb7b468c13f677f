"""A line for every request: who asked for what, and how it went. Never the query or a header."""

import logging
import time

from litestar.types import HTTPScope, Message

from ci_server.clients import client_address
from ci_server.log_config import FACTS

_logger = logging.getLogger(__name__)


class Access:
    """One request, from its beginning to the end of its answer."""

    def __init__(self, scope: HTTPScope) -> None:
        self._scope = scope
        self._began = time.perf_counter()
        self._status: int | None = None

    def saw(self, message: Message) -> None:
        """Note what is sent to the client."""
        if message["type"] == "http.response.start":
            self._status = message["status"]

    def log(self) -> None:
        """Write the line; a request without an answer has no status."""
        if not _logger.isEnabledFor(logging.INFO):
            return
        facts = {
            "client": client_address(self._scope),
            "method": self._scope["method"],
            # As it came: percent-encoded, so that it is one word.
            "path": self._scope.get("raw_path", b"").decode("latin-1") or self._scope["path"],
            "status": self._status,
            "duration_ms": round((time.perf_counter() - self._began) * 1000, 1),
        }
        _logger.info(
            "%s %s %s %s %.1f ms",
            facts["client"], facts["method"], facts["path"], self._status or "-",
            facts["duration_ms"], extra={FACTS: facts},
        )  # fmt: skip
