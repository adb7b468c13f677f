"""What a server can be asked for, as plain calls and generators."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager

from ci_client.config import DEFAULT_SERVER_URL
from ci_client.connection import TOO_MANY, ServerBusy, open_http, refuse_problems, unreachable
from ci_client.documents import array_of, json_of, next_page, nonsense, object_of
from ci_client.events import EventFeed, Position, wait_to_retry
from ci_client.exchange import BrokenExchange
from ci_client.patience import DEFAULT_BACKOFF, DEFAULT_TIMEOUT, Patience
from ci_client.sending_upload import send_submission
from ci_common.errors import CIError, ServerRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, Self

    from ci_client.events import Event
    from ci_client.exchange import Response
    from ci_client.job_query import Filter
    from ci_client.json_body import JsonBody
    from ci_client.server_state import ServerState
    from ci_client.upload import Submission
    from ci_common.backoff import Backoff

JobDict = dict[str, "Any"]
"""A job as ``ci_common.api.JobView`` has it."""

KEY_EXPIRES = "ci-key-expires"
"""The header by which a server says that the key it was shown expires soon."""

_MANAGEMENT = "/api/v1"
_PAGE = 100
_LARGEST_PAGE = 1000
_STREAM_HEADERS = {"Accept": "text/event-stream", "Cache-Control": "no-store"}


def _ignore(_text: str) -> None:
    """Take no interest in notices."""


class Session:
    """Talks to one server; use it in ``with``, from one thread at a time.

    Calls that fail raise ``CIError``: ``ServerUnreachable`` when there is no
    connection (for submits and streams: when it stays lost for
    ``reconnect_timeout`` seconds), ``AuthenticationFailed``, or the error the
    server named. ``notify`` is told in a few words when a connection is lost
    and found again, and when the key is about to expire. What is made is for
    ``organisation``, by name, and lists show only what is of it.
    """

    def __init__(
        self,
        server_url: str = DEFAULT_SERVER_URL,
        api_key: str | None = None,
        *,
        organisation: str | None = None,
        notify: Callable[[str], None] = _ignore,
        reconnect_timeout: float = DEFAULT_TIMEOUT,
        backoff: Backoff = DEFAULT_BACKOFF,
    ) -> None:
        self._http = open_http(server_url, api_key, organisation, self._note_expiry)
        self._organisation = organisation
        self._told_expiry = False
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
        with self._ask(path_of(reference)) as response:
            return object_of(response)

    def cancel(self, reference: str) -> JobDict:
        """Cancel a job; return it: ``cancelled``, or still ``running`` while it is being stopped.

        Raises:
            InvalidTransition: it has ended otherwise.

        """
        with self._ask(self._managed(path_of(reference)), method="DELETE") as response:
            return object_of(response)

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
        from ci_client.json_body import JsonBody

        body: JobDict = {"failed_only": failed_only}
        for name, value in options:
            if name == "label":
                body.setdefault("label", []).append(value)
            else:
                body[name] = value
        path = self._managed(f"{path_of(reference)}/retry")
        headers = {"Idempotency-Key": os.urandom(16).hex()}
        patience = self._new_patience()
        while True:
            try:
                with self._http.send(
                    "POST", path, headers=headers, body=JsonBody(body)
                ) as response:
                    refuse_problems(response)
                    return object_of(response)
            except (BrokenExchange, ServerBusy) as failure:
                wait_to_retry(patience, self._http.base_url, failure)

    def jobs(self, limit: int | None = _PAGE, **filters: Filter) -> list[JobDict]:
        """Return at most ``limit`` jobs (None: all) that fit the filters, the newest first.

        The filters are those of ``ci_client.job_query``.
        """
        from itertools import islice

        return list(islice(self.each_job(limit, **filters), limit))

    def each_job(
        self, page: int | None = _PAGE, **filters: Filter
    ) -> Generator[JobDict, None, None]:
        """Yield all jobs that fit the filters, read in pages of at most ``page``."""
        from ci_client.job_query import query_of

        size = _LARGEST_PAGE if page is None else min(page, _PAGE)
        query: str | None = "&".join(filter(None, (f"limit={size}", query_of(filters))))
        while query is not None:
            with self._ask(self.of_organisation(f"/jobs?{query}")) as response:
                found = array_of(response)
            query = next_page(response)
            yield from found

    def queue(self, limit: int | None = _PAGE) -> JobDict:
        """Return the queue as ``ci_common.api.QueueView`` has it, at most ``limit`` that wait."""
        from ci_client.management import read_queue

        return read_queue(lambda path: self.managed(self.of_organisation(path)), limit)

    def look_at_changes(self, look: Callable[[], None]) -> None:
        """Call ``look`` now, and again whenever something may have changed, without end.

        What it raises for want of a connection is waited out.
        """
        from ci_client.changes import Changes

        def connect() -> Response:
            return self._http.send("GET", self._managed("/events"), headers=_STREAM_HEADERS)

        Changes(self._http.base_url, self._new_patience(), connect, look).follow()

    def server_state(self) -> ServerState:
        """Return what the server says of itself."""
        from ci_client.server_state import ServerState

        with self._ask("/version") as response:
            version, date = object_of(response).get("version"), response.headers.get("date")
        with self._ask("/ready", even_if_not_well=True) as response:
            problems = object_of(response).get("problems")
        return ServerState.of(version, date, problems)

    def takes_manifests(self) -> bool | None:
        """Return whether the server takes manifests; None if it cannot be asked."""
        try:
            with self._ask("/version") as response:
                return object_of(response).get("manifests") is True
        except ServerRefused:
            return False
        except CIError:
            return None

    def cache(self) -> list[JobDict]:
        """Return what the server keeps, as ``ci_common.api.CacheEntry`` has it."""
        with self._ask(self.of_organisation("/cache")) as response:
            return array_of(response)

    def prune_cache(self, *, older_than: float = 0) -> list[JobDict]:
        """Have the server give up what no job used for so many seconds; return that."""
        path = self.of_organisation(f"/cache?older_than={older_than:f}")
        with self._ask(path, method="DELETE") as response:
            return array_of(response)

    def managed(
        self, path: str, method: str = "GET", document: object = None
    ) -> AbstractContextManager[Response]:
        """Hold the answer of a route under ``/api/v1`` open, to be read piece by piece."""
        body = None
        if method not in {"GET", "DELETE"}:
            from ci_client.json_body import JsonBody

            body = JsonBody(document)
        return self._ask(self._managed(path), method=method, body=body)

    def manage(self, method: str, path: str, document: object = None) -> Any:  # noqa: ANN401 -- JSON
        """Call a route under ``/api/v1``; return the answer's document, None for none."""
        with self.managed(path, method, document) as response:
            return None if response.status == 204 else json_of(response)

    def pages(self, path: str, query: str, limit: int) -> list[JobDict]:
        """Return at most ``limit`` items of a list under ``/api/v1``, as its pages have them."""
        from ci_client.management import read_pages

        return read_pages(self.managed, path, query, limit)

    def live(
        self,
        filters: Mapping[str, str | None],
        types: Sequence[str] = (),
        after: int | None = None,
    ) -> Generator[Event, None, None]:
        """Yield what happens to jobs, as ``ci_common.api.EventView`` has it, without an end.

        ``filters``: ``job_id``, ``project``, ``submitter``. Events behind the
        number ``after``, by default from now on. ``gap`` where some are lost.
        """
        from ci_client.live import PATH, LiveFeed, query_of

        def connect(seen: str | None) -> Response:
            place = {} if seen is None else {"Last-Event-ID": seen}
            path = self.of_organisation(f"{PATH}?{query_of(filters, types)}")
            return self._http.send("GET", path, headers=_STREAM_HEADERS | place)

        return LiveFeed(self._http.base_url, self._new_patience(), after, connect).events()

    def past(
        self, filters: Mapping[str, str | None], types: Sequence[str] = (), after: int = 0
    ) -> Generator[Event, None, None]:
        """Yield what happened to jobs and is kept, as ``live`` does, but to its present end."""
        from ci_client.live import read_past

        return read_past(lambda path: self._ask(self.of_organisation(path)), filters, types, after)

    def log(self, job_id: str, offset: int = 0) -> Generator[bytes, None, None]:
        """Yield the log so far, from a byte ``offset``, as it was written."""
        from ci_client.logs import read_log

        return read_log(self._http, f"{path_of(job_id)}/log", offset)

    def log_tail_offset(self, job_id: str, lines: int) -> int:
        """Return the byte offset at which the last ``lines`` lines of the log begin."""
        from ci_client.logs import tail_offset

        return tail_offset(self._http, f"{path_of(job_id)}/log", lines)

    def of_organisation(self, path: str) -> str:
        """Return the path of a list, limited to the organisation if there is one."""
        if not self._organisation or "organisation=" in path:  # as the path of a next page says
            return path
        from urllib.parse import quote

        name = quote(self._organisation, safe="")
        return f"{path}{'&' if '?' in path else '?'}organisation={name}"

    def _note_expiry(self, headers: Mapping[str, str]) -> None:
        when = headers.get(KEY_EXPIRES)
        if when is not None and not self._told_expiry:
            self._told_expiry = True
            self._notify(f"the API key expires {when}; replace it: ci key rotate --save")

    def _managed(self, path: str) -> str:
        base = self._http.base_url
        return path if base.endswith(_MANAGEMENT) else _MANAGEMENT + path

    @contextmanager
    def _ask(
        self,
        path: str,
        *,
        even_if_not_well: bool = False,
        method: str = "GET",
        body: JsonBody | None = None,
    ) -> Iterator[Response]:
        try:
            with self._answered(method, path, body) as response:
                if not even_if_not_well:  # else the body of a 503 is worth reading
                    refuse_problems(response)
                yield response
        except BrokenExchange as error:
            raise unreachable(self._http.base_url, error) from error
        except ServerBusy as busy:
            raise busy.error from None

    def _answered(self, method: str, path: str, body: JsonBody | None) -> Response:
        """Return an answer that is not that we ask too often, for which we wait."""
        patience = self._new_patience()
        while True:
            response = self._http.send(method, path, body=body)
            if response.status != TOO_MANY:
                return response
            try:
                with response:
                    refuse_problems(response)
            except ServerBusy as limited:
                wait_to_retry(patience, self._http.base_url, limited)

    def _new_patience(self) -> Patience:
        return Patience(
            self._reconnect_timeout, self._backoff, self._notify, sleep=self._interrupted.wait
        )

    def _feed(
        self, position: Position, connect: Callable[[], Response]
    ) -> Generator[Event, None, None]:
        return EventFeed(self._http.base_url, self._new_patience(), position, connect).events()

    def _upload(self, path: str, submission: Submission) -> Response:
        return send_submission(self._http, path, submission, {**_STREAM_HEADERS, "Accept": "*/*"})

    def _stream(self, position: Position, *, from_beginning: bool) -> Response:
        headers = dict(_STREAM_HEADERS)
        if position.last_id is not None:
            headers["Last-Event-ID"] = position.last_id
        query = f"from_beginning={'true' if from_beginning else 'false'}"
        path = f"{path_of(position.job_id or '')}/stream?{query}"
        return self._http.send("GET", path, headers=headers)


def path_of(reference: str) -> str:
    """Return the path of a job, without the server's prefix."""
    if reference.isascii() and reference.replace("-", "").isalnum():
        return f"/jobs/{reference}"  # as all ids are, which need no library
    from urllib.parse import quote

    return f"/jobs/{quote(reference, safe='')}"


def _job_id(response: Response) -> str:
    job_id = object_of(response).get("job_id")
    if not isinstance(job_id, str):
        raise nonsense(response)
    return job_id
