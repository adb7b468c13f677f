"""What a server can be asked for, as plain calls and generators."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager

from ci_client.config import DEFAULT_SERVER_URL
from ci_client.connection import ServerBusy, open_http, refuse_problems, unreachable
from ci_client.events import EventFeed, Position, wait_to_retry
from ci_client.exchange import BrokenExchange
from ci_client.patience import DEFAULT_BACKOFF, DEFAULT_TIMEOUT, Patience
from ci_client.upload import FilesChanged, Form, JSONBody
from ci_common.errors import CIError, ServerRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from typing import Any, Self

    from ci_client.events import Event
    from ci_client.exchange import Response
    from ci_client.upload import Submission
    from ci_common.backoff import Backoff

JobDict = dict[str, "Any"]
"""A job as ``ci_common.api.JobView`` has it."""

_MANAGEMENT = "/api/v1"
_PAGE = 100
_STREAM_HEADERS = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
_NEXT_PAGE = r'<([^>]*)>\s*;\s*rel="?next\b'


class ServerState:
    """What a server says of itself. ``problems`` are by part; ``date`` is its clock, as sent."""

    def __init__(self, version: str, date: str | None, problems: Mapping[str, str]) -> None:
        self.version = version
        self.date = date
        self.problems = problems


def _ignore(_text: str) -> None:
    """Take no interest in notices."""


class Session:
    """Talks to one server; use it in ``with``, from one thread at a time.

    Calls that fail raise ``CIError``: ``ServerUnreachable`` when there is no
    connection (for submits and streams: when it stays lost for
    ``reconnect_timeout`` seconds), ``AuthenticationFailed``, or the error the
    server named. ``notify`` is told in a few words when a connection is lost
    and found again.
    """

    def __init__(
        self,
        server_url: str = DEFAULT_SERVER_URL,
        api_key: str | None = None,
        *,
        notify: Callable[[str], None] = _ignore,
        reconnect_timeout: float = DEFAULT_TIMEOUT,
        backoff: Backoff = DEFAULT_BACKOFF,
    ) -> None:
        self._http = open_http(server_url, api_key)
        self._reconnect_timeout = reconnect_timeout
        self._backoff = backoff
        self._notify = notify
        self._interrupted = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection that is kept between calls."""
        self._http.close()

    @property
    def url(self) -> str:
        """The server's address."""
        return self._http.base_url

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Make calls fail at once that other threads wait in; leave when they have ended."""
        self._interrupted.set()
        self._http.shut_down()
        try:
            yield
        finally:
            self._interrupted.clear()

    def submit(self, submission: Submission) -> str:
        """Submit and return the job's id, once the job is durable."""
        patience = self._new_patience()
        while True:
            try:
                with self._upload("/submit-async", submission) as response:
                    refuse_problems(response)
                    return _job_id(response)
            except (BrokenExchange, ServerBusy) as failure:
                wait_to_retry(patience, self._http.base_url, failure)

    def submit_streaming(self, submission: Submission) -> Generator[Event, None, None]:
        """Submit and yield the job's events: its id first, ``complete`` last."""
        position = Position()

        def connect() -> Response:
            if position.job_id is None:
                return self._upload("/submit-stream", submission)
            return self._stream(position, from_beginning=True)

        return self._feed(position, connect)

    def follow(
        self, job_id: str, *, from_beginning: bool = False, offset: int | None = None
    ) -> Generator[Event, None, None]:
        """Yield the events of the job with this full id, ``complete`` last.

        Its log from now on, or from its beginning, or from a byte ``offset``.
        """
        position = Position(job_id=job_id, last_id=None if offset is None else str(offset))
        return self._feed(position, lambda: self._stream(position, from_beginning=from_beginning))

    def job(self, reference: str) -> JobDict:
        """Return the job that ``reference`` names: its id, a unique prefix, or ``last``."""
        with self._ask(_path_of(reference)) as response:
            return _object(response)

    def cancel(self, reference: str) -> JobDict:
        """Cancel a job; return it: ``cancelled``, or still ``running`` while it is being stopped.

        Raises:
            InvalidTransition: it has ended otherwise.

        """
        with self._ask(self._managed(_path_of(reference)), method="DELETE") as response:
            return _object(response)

    def retry(
        self,
        reference: str,
        options: Sequence[tuple[str, str]] = (),
        *,
        failed_only: bool = False,
    ) -> JobDict:
        """Queue the project of an ended job again; return the new job, once it is durable.

        ``options`` are form fields, as of a submission, that go over the job's own.

        Raises:
            InvalidTransition: it has not ended.
            ProjectGone: its project is not kept any more.

        """
        body: JobDict = {"failed_only": failed_only}
        for name, value in options:
            if name == "label":
                body.setdefault("label", []).append(value)
            else:
                body[name] = value
        path = self._managed(f"{_path_of(reference)}/retry")
        headers = {"Idempotency-Key": os.urandom(16).hex()}
        patience = self._new_patience()
        while True:
            try:
                with self._http.send(
                    "POST", path, headers=headers, body=JSONBody(body)
                ) as response:
                    refuse_problems(response)
                    return _object(response)
            except (BrokenExchange, ServerBusy) as failure:
                wait_to_retry(patience, self._http.base_url, failure)

    def jobs(self, limit: int = _PAGE) -> list[JobDict]:
        """Return at most ``limit`` jobs, the newest first."""
        found: list[JobDict] = []
        query: str | None = f"limit={min(limit, _PAGE)}"
        while query is not None and len(found) < limit:
            with self._ask(f"/jobs?{query}") as response:
                found += _array(response)
            query = _next_page(response)
        return found[:limit]

    def server_state(self) -> ServerState:
        """Return what the server says of itself."""
        with self._ask("/version") as response:
            version, date = _object(response).get("version"), response.headers.get("date")
        with self._ask("/ready", even_if_not_well=True) as response:
            problems = _object(response).get("problems")
        return ServerState(
            version=str(version or ""),
            date=date,
            problems=problems if isinstance(problems, dict) else {},
        )

    def takes_manifests(self) -> bool | None:
        """Return whether the server takes manifests; None if it cannot be asked."""
        try:
            with self._ask("/version") as response:
                return _object(response).get("manifests") is True
        except ServerRefused:
            return False
        except CIError:
            return None

    def cache(self) -> list[JobDict]:
        """Return what the server keeps, as ``ci_common.api.CacheEntry`` has it."""
        with self._ask("/cache") as response:
            return _array(response)

    def prune_cache(self, *, older_than: float = 0) -> list[JobDict]:
        """Have the server give up what no job used for so many seconds; return that."""
        with self._ask(f"/cache?older_than={older_than:f}", method="DELETE") as response:
            return _array(response)

    def log(self, job_id: str, offset: int = 0) -> Generator[bytes, None, None]:
        """Yield the log so far, from a byte ``offset``, as it was written."""
        from ci_client.logs import read_log

        return read_log(self._http, f"{_path_of(job_id)}/log", offset)

    def log_tail_offset(self, job_id: str, lines: int) -> int:
        """Return the byte offset at which the last ``lines`` lines of the log begin."""
        from ci_client.logs import tail_offset

        return tail_offset(self._http, f"{_path_of(job_id)}/log", lines)

    def _managed(self, path: str) -> str:
        base = self._http.base_url
        return path if base.endswith(_MANAGEMENT) else _MANAGEMENT + path

    @contextmanager
    def _ask(
        self, path: str, *, even_if_not_well: bool = False, method: str = "GET"
    ) -> Iterator[Response]:
        try:
            with self._http.send(method, path) as response:
                if not even_if_not_well:  # else the body of a 503 is worth reading
                    refuse_problems(response)
                yield response
        except BrokenExchange as error:
            raise unreachable(self._http.base_url, error) from error
        except ServerBusy as busy:
            raise busy.error from None

    def _new_patience(self) -> Patience:
        return Patience(
            self._reconnect_timeout, self._backoff, self._notify, sleep=self._interrupted.wait
        )

    def _feed(
        self, position: Position, connect: Callable[[], Response]
    ) -> Generator[Event, None, None]:
        return EventFeed(self._http.base_url, self._new_patience(), position, connect).events()

    def _upload(self, path: str, submission: Submission) -> Response:
        """Send a submission in the way that the server takes it; return the answer."""
        while True:
            headers = {**_STREAM_HEADERS, "Accept": "*/*", **submission.headers}
            try:
                response = self._http.send("POST", path, headers=headers, body=Form(submission))
            except FilesChanged:
                submission.files_changed()
                continue
            if 200 <= response.status < 300:
                submission.accepted()
                return response
            self._adapt(submission, response)

    def _adapt(self, submission: Submission, response: Response) -> None:
        """Return if the submission is to be sent again, in another way."""
        try:
            with response:
                refuse_problems(response)
        except ServerBusy:
            raise
        except CIError as refusal:
            if not submission.adapts_to(refusal):
                raise

    def _stream(self, position: Position, *, from_beginning: bool) -> Response:
        headers = dict(_STREAM_HEADERS)
        if position.last_id is not None:
            headers["Last-Event-ID"] = position.last_id
        query = f"from_beginning={'true' if from_beginning else 'false'}"
        path = f"{_path_of(position.job_id or '')}/stream?{query}"
        return self._http.send("GET", path, headers=headers)


def _path_of(reference: str) -> str:
    if reference.isascii() and reference.replace("-", "").isalnum():
        return f"/jobs/{reference}"  # as all ids are, which need no library
    from urllib.parse import quote

    return f"/jobs/{quote(reference, safe='')}"


def _next_page(response: Response) -> str | None:
    import re
    from urllib.parse import urlsplit

    found = re.search(_NEXT_PAGE, response.headers.get("link", ""))
    # Only what it asks for counts: a server behind a proxy may not know its own address.
    return urlsplit(found[1]).query if found else None


def _job_id(response: Response) -> str:
    job_id = _object(response).get("job_id")
    if not isinstance(job_id, str):
        raise _nonsense(response)
    return job_id


def _object(response: Response) -> JobDict:
    content = _json(response)
    if not isinstance(content, dict):
        raise _nonsense(response)
    return content


def _array(response: Response) -> list[JobDict]:
    content = _json(response)
    if not isinstance(content, list):
        raise _nonsense(response)
    return content


def _json(response: Response) -> object:
    import json

    try:
        return json.loads(response.read())
    except ValueError:
        raise _nonsense(response) from None


def _nonsense(response: Response) -> ServerRefused:
    return ServerRefused(
        f"the answer of {response.url} makes no sense to this client",
        hint="Is there really a Standby CI server at that address?",
    )
