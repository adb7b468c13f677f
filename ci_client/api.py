"""The client: what a server can be asked for, as coroutines and asynchronous iterators."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Self, cast
from urllib.parse import quote

import httpx2

from ci_client.config import DEFAULT_SERVER_URL
from ci_client.connection import ServerBusy, open_http, refuse_problems, timeouts, unreachable
from ci_client.events import Event, EventFeed, Position, wait_to_retry
from ci_client.patience import DEFAULT_BACKOFF, DEFAULT_TIMEOUT, Patience
from ci_client.upload import Submission, UploadBody
from ci_common.backoff import Backoff
from ci_common.errors import ServerRefused

JobDict = dict[str, Any]
"""A job as ``ci_common.api.JobView`` has it."""

_PAGE = 100
_STREAM_HEADERS = {
    "Accept": "text/event-stream",
    "Cache-Control": "no-store",
    # A compressed stream would be held back until there is enough to compress.
    "Accept-Encoding": "identity",
}


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server says of itself. ``problems`` are by part; ``date`` is its clock, as sent."""

    version: str
    date: str | None
    problems: Mapping[str, str]


def _ignore(_text: str) -> None:
    """Take no interest in notices."""


class CIClient:
    """Talks to one server; use it in ``async with``, from one task at a time.

    Calls that fail raise ``CIError``: ``ServerUnreachable`` when there is no
    connection (for submits and streams: when it stays lost for
    ``reconnect_timeout`` seconds), ``AuthenticationFailed``, or the error the
    server named. ``notify`` is told in a few words when a connection is lost
    and found again. ``transport`` is the seam for tests.
    """

    def __init__(
        self,
        server_url: str = DEFAULT_SERVER_URL,
        api_key: str | None = None,
        *,
        notify: Callable[[str], None] = _ignore,
        reconnect_timeout: float = DEFAULT_TIMEOUT,
        backoff: Backoff = DEFAULT_BACKOFF,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = open_http(server_url, api_key, transport)
        self._reconnect_timeout = reconnect_timeout
        self._backoff = backoff
        self._notify = notify

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def submit(self, submission: Submission) -> str:
        """Submit and return the job's id, once the job is durable."""
        patience = self._new_patience()
        while True:
            try:
                response = await self._http.send(self._upload("/submit-async", submission))
                await refuse_problems(response)
                return _job_id(response)
            except (httpx2.TransportError, ServerBusy) as failure:
                await wait_to_retry(patience, self._http.base_url, failure)

    def submit_streaming(self, submission: Submission) -> AsyncGenerator[Event, None]:
        """Submit and yield the job's events: its id first, ``complete`` last."""
        position = Position()

        def request() -> httpx2.Request:
            if position.job_id is None:
                return self._upload("/submit-stream", submission)
            return self._stream(position, from_beginning=True)

        return self._feed(position, request)

    def follow(
        self, job_id: str, *, from_beginning: bool = False, offset: int | None = None
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of the job with this full id, ``complete`` last.

        Its log from now on, or from its beginning, or from a byte ``offset``.
        """
        position = Position(job_id=job_id, last_id=None if offset is None else str(offset))
        return self._feed(position, lambda: self._stream(position, from_beginning=from_beginning))

    async def job(self, reference: str) -> JobDict:
        """Return the job that ``reference`` names: its id, a unique prefix, or ``last``."""
        response = await self._get(_path_of(reference))
        return _object(response)

    async def jobs(self, limit: int = _PAGE) -> list[JobDict]:
        """Return at most ``limit`` jobs, the newest first."""
        found: list[JobDict] = []
        params: Mapping[str, str] | None = {"limit": str(min(limit, _PAGE))}
        while params is not None and len(found) < limit:
            response = await self._get("/jobs", params)
            found += _array(response)
            params = _next_page(response)
        return found[:limit]

    async def server_state(self) -> ServerState:
        """Return what the server says of itself."""
        version = await self._get("/version")
        try:
            ready = await self._http.get("/ready")  # 503 has a body worth reading
        except httpx2.TransportError as error:
            raise unreachable(self._http.base_url, error) from error
        problems = _object(ready).get("problems")
        return ServerState(
            version=str(_object(version).get("version") or ""),
            date=version.headers.get("date"),
            problems=problems if isinstance(problems, dict) else {},
        )

    def log(self, job_id: str, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """Yield the log so far, from a byte ``offset``, as it was written."""
        from ci_client.logs import read_log

        return read_log(self._http, f"{_path_of(job_id)}/log", offset)

    async def log_tail_offset(self, job_id: str, lines: int) -> int:
        """Return the byte offset at which the last ``lines`` lines of the log begin."""
        from ci_client.logs import tail_offset

        return await tail_offset(self._http, f"{_path_of(job_id)}/log", lines)

    async def _get(self, path: str, params: Mapping[str, str] | None = None) -> httpx2.Response:
        try:
            response = await self._http.get(path, params=params)
        except httpx2.TransportError as error:
            raise unreachable(self._http.base_url, error) from error
        try:
            await refuse_problems(response)
        except ServerBusy as busy:
            raise busy.error from None
        return response

    def _new_patience(self) -> Patience:
        return Patience(self._reconnect_timeout, self._backoff, self._notify)

    def _feed(
        self, position: Position, request: Callable[[], httpx2.Request]
    ) -> AsyncGenerator[Event, None]:
        return EventFeed(self._http, self._new_patience(), position, request).events()

    def _upload(self, path: str, submission: Submission) -> httpx2.Request:
        # Of a file, the HTTP library only ever reads, seeks and tells.
        body = cast("IO[bytes]", UploadBody(submission))
        return self._http.build_request(
            "POST",
            path,
            data=submission.fields(),
            files={"file": ("project.zip", body, "application/zip")},
            headers={**_STREAM_HEADERS, "Accept": "*/*", "Idempotency-Key": submission.key},
            timeout=timeouts(submission.size),
        )

    def _stream(self, position: Position, *, from_beginning: bool) -> httpx2.Request:
        headers = dict(_STREAM_HEADERS)
        if position.last_id is not None:
            headers["Last-Event-ID"] = position.last_id
        return self._http.build_request(
            "GET",
            f"{_path_of(position.job_id or '')}/stream",
            params={"from_beginning": "true" if from_beginning else "false"},
            headers=headers,
        )


def _path_of(reference: str) -> str:
    return f"/jobs/{quote(reference, safe='')}"


def _next_page(response: httpx2.Response) -> Mapping[str, str] | None:
    target = response.links.get("next", {}).get("url")
    # Only what it asks for counts: a server behind a proxy may not know its own address.
    return dict(httpx2.URL(target).params) if target else None


def _job_id(response: httpx2.Response) -> str:
    job_id = _object(response).get("job_id")
    if not isinstance(job_id, str):
        raise _nonsense(response)
    return job_id


def _object(response: httpx2.Response) -> JobDict:
    content = _json(response)
    if not isinstance(content, dict):
        raise _nonsense(response)
    return content


def _array(response: httpx2.Response) -> list[JobDict]:
    content = _json(response)
    if not isinstance(content, list):
        raise _nonsense(response)
    return content


def _json(response: httpx2.Response) -> object:
    try:
        return response.json()
    except ValueError:
        raise _nonsense(response) from None


def _nonsense(response: httpx2.Response) -> ServerRefused:
    return ServerRefused(
        f"the answer of {response.request.url} makes no sense to this client",
        hint="Is there really a Standby CI server at that address?",
    )
