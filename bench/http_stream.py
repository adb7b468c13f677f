"""A job seen from outside: bytes on a socket and the moments they went and came.

The client library is left out on purpose: it would add its own time.
"""

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_BOUNDARY = "standby-ci-bench"
_READ_SIZE = 1024 * 1024


@dataclass(frozen=True)
class Arrival:
    """An event and when it came, as ``time.time_ns`` has it: containers share that clock."""

    at: int
    event: dict[str, Any]

    @property
    def kind(self) -> str:
        """The event's type."""
        return str(self.event["type"])


class OpenJob:
    """A submitted job's stream. ``sent_at`` is when the last byte of the upload was written."""

    def __init__(self, url: str, archive: bytes) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=120)
        body = _form(archive)
        self._connection.putrequest("POST", "/submit-stream")
        self._connection.putheader("Content-Type", f"multipart/form-data; boundary={_BOUNDARY}")
        self._connection.putheader("Content-Length", str(len(body)))
        self._connection.endheaders(body[:-1])
        self.sent_at = time.time_ns()
        self._connection.send(body[-1:])

    def __iter__(self) -> Iterator[Arrival]:
        """Yield the events to the last; then close the connection."""
        try:
            response = self._connection.getresponse()
            if response.status != 200:
                raise RuntimeError(f"the server answers {response.status}: {response.read()!r}")
            while line := response.readline():
                if line.startswith(b"data: "):
                    yield Arrival(time.time_ns(), json.loads(line[6:]))
        finally:
            self._connection.close()


def run_job(url: str, archive: bytes) -> tuple[int, list[Arrival]]:
    """Run a job; return when its upload ended and all its events.

    Raises:
        RuntimeError: it did not pass.

    """
    job = OpenJob(url, archive)
    arrivals = list(job)
    last = arrivals[-1]
    if last.kind != "complete" or not last.event["success"]:
        raise RuntimeError(f"a benchmark's job failed: {log_of(arrivals)}\n{last.event}")
    return job.sent_at, arrivals


def log_of(arrivals: list[Arrival]) -> str:
    """Return the log that came with ``arrivals``."""
    return "".join(each.event["data"] for each in arrivals if each.kind == "log")


def lines_of(arrivals: list[Arrival]) -> list[tuple[int, str]]:
    """Return the log's lines, each with the moment at which its end came."""
    lines, pending = [], ""
    for each in arrivals:
        if each.kind == "log":
            *whole, pending = (pending + each.event["data"]).split("\n")
            lines += [(each.at, line) for line in whole]
    return lines


def submit(url: str, archive: bytes) -> str:
    """Submit without watching; return the job's id."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=120)
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    connection.request("POST", "/submit-async", _form(archive), headers)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return str(answer["job_id"])


def read_stream(url: str, job_id: str) -> tuple[bytes, bytes, int]:
    """Read a job's whole stream; return its first and last bytes and when the last came.

    Nothing is decoded, so the figure is the server's and not that of a JSON parser.
    """
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=120)
    connection.request("GET", f"/jobs/{job_id}/stream?from_beginning=true")
    response = connection.getresponse()
    head, tail = b"", b""
    while data := response.read1(_READ_SIZE):
        if len(head) < _READ_SIZE:
            head += data
        tail = (tail + data)[-1000:]
    ended = time.time_ns()
    connection.close()
    return head, tail, ended


def _form(archive: bytes) -> bytes:
    head = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="project.zip"\r\n'
        "Content-Type: application/zip\r\n\r\n"
    )
    return head.encode() + archive + f"\r\n--{_BOUNDARY}--\r\n".encode()
