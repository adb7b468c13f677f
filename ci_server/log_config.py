"""What the server writes to its log, and how a line looks. Never bodies, queries or headers."""

import json
import logging
import sys
import time
from typing import Any

from ci_common.log_context import current_job_id
from ci_server.request_ids import NO_REQUEST, current_request_id

PACKAGES = ("ci_server", "ci_controller", "ci_persistence", "ci_common")

LIBRARIES = ("uvicorn", "asyncio")
"""Whose lines go the same way, from warnings up: what goes wrong beneath us is told there."""

FACTS = "facts"
"""The attribute of a record (``extra``) with fields of its own, by name."""


def configure_logging(level: str, style: str = "text") -> None:
    """Send our packages' messages of ``level`` and above to stderr, as ``text`` or ``json``.

    Idempotent. As text, a handler that someone else gave the root logger is left to
    do its work.
    """
    ours = _StderrHandler(JsonFormatter() if style == "json" else TextFormatter())
    taken = style != "json" and bool(logging.getLogger().handlers)
    for name in (*PACKAGES, *LIBRARIES):
        logger = logging.getLogger(name)
        logger.setLevel("WARNING" if name in LIBRARIES else level.upper())
        kept = [each for each in logger.handlers if not isinstance(each, _StderrHandler)]
        if style == "json":
            kept = []
        logger.handlers = kept if kept or taken else [ours]
    if style == "json":
        _leave_to_parent("uvicorn.error", "uvicorn.access")


class TextFormatter(logging.Formatter):
    """A line for people: time, level, logger, what it is about, message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s [%(about)s] %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; only a traceback brings lines of its own."""
        request_id, job_id = current_request_id.get(), current_job_id.get()
        record.about = f"{request_id} job {job_id}" if job_id else request_id
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        """Return the line without its traceback; nobody can fake a second one."""
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")


class JsonFormatter(logging.Formatter):
    """A line for programs: one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (request_id := current_request_id.get()) != NO_REQUEST:
            line["request_id"] = request_id
        if job_id := current_job_id.get():
            line["job_id"] = job_id
        line.update(getattr(record, FACTS, {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(formatter)


def _leave_to_parent(*names: str) -> None:
    # Who starts uvicorn by hand has its handlers there.
    for name in names:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True


def _utc(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03d}Z"
