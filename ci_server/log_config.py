"""What the server writes to its log, and how a line looks."""

import logging
import sys

from ci_server.request_ids import current_request_id

PACKAGES = ("ci_server", "ci_controller", "ci_persistence", "ci_common")

_FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"


def configure_logging(level: str) -> None:
    """Send our packages' messages of ``level`` and above to stderr. Idempotent.

    A handler that someone else gave the root logger is left to do its work.
    """
    for package in PACKAGES:
        logger = logging.getLogger(package)
        logger.setLevel(level.upper())
        if not logger.handlers and not logging.getLogger().handlers:
            logger.addHandler(_StderrHandler())


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(logging.Formatter(_FORMAT))
        self.addFilter(_with_request_id)


def _with_request_id(record: logging.LogRecord) -> bool:
    record.request_id = current_request_id.get()
    return True
