"""Submissions in plain HTTP, as many at once as are asked for."""

import http.client
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

T = TypeVar("T")

_BOUNDARY = "load"
_HEAD = (
    f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="project.zip"\r\n\r\n'
).encode()
_TAIL = f"\r\n--{_BOUNDARY}--\r\n".encode()
_TIMEOUT = 120
"""Seconds; a server under load may be slow, but it answers."""


def submit(port: int, content: bytes, key: str | None = None) -> str:
    """Submit a zip without watching it; return the job's id."""
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)) as connection:
        connection.request("POST", "/submit-async", _HEAD + content + _TAIL, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    assert response.status == 200, answer
    return answer["job_id"]


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make all calls at the same moment, each in a thread of its own; return what they return."""
    ready = threading.Barrier(len(calls))

    def make(call: Callable[[], T]) -> T:
        ready.wait()
        return call()

    with ThreadPoolExecutor(len(calls), thread_name_prefix="client") as pool:
        made = [pool.submit(make, call) for call in calls]
        return [each.result() for each in made]
