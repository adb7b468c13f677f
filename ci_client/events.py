"""A job's events, over as many connections as it takes."""

import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

import httpx2

from ci_client.connection import ServerBusy, describe, refuse_problems, unreachable
from ci_client.patience import Patience
from ci_common.errors import ServerRefused, ServerUnreachable

Event = dict[str, Any]
"""A ``type`` and what belongs to it; the types are those of ``ci_common.events``."""

EVENT_TYPES = frozenset({"job_id", "status", "log", "complete"})
_PASSING = (
    httpx2.NetworkError,
    httpx2.TimeoutException,
    httpx2.RemoteProtocolError,
    httpx2.ProxyError,
)


@dataclass(slots=True)
class Position:
    """How far a stream has been read: enough to go on from there."""

    job_id: str | None = None
    last_id: str | None = None
    _status: Event | None = None

    def take(self, message: httpx2.ServerSentEvent) -> Event | None:
        """Return what is new in a message; None when there is nothing, or nothing we know.

        Raises:
            ServerRefused: it is no event.

        """
        event = _decode(message.data)
        if message.id:
            self.last_id = message.id
        kind = event.get("type")
        if kind == "job_id":
            self.job_id = str(event["job_id"])
        elif kind == "status":
            # Every new connection begins with the status; once is enough for the caller.
            if event == self._status:
                return None
            self._status = event
        return event if kind in EVENT_TYPES else None


def _decode(data: str) -> Event:
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise ServerRefused(
            f"the stream holds something that is no event: {data[:80]!r}",
            hint="Is there really a Standby CI server at that address?",
        )
    return event


@dataclass(frozen=True, slots=True)
class EventFeed:
    """Reads one job's events; ``request`` builds the next connection's, from where we are."""

    http: httpx2.AsyncClient
    patience: Patience
    position: Position
    request: Callable[[], httpx2.Request]

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield events until ``complete``, which is the last one.

        Raises:
            CIError: the server refuses, or cannot be reached any more.

        """
        while True:
            failure: Exception = httpx2.RemoteProtocolError("the stream broke off")
            try:
                response = await self._connect()
                try:
                    async for message in httpx2.EventSource(response):
                        event = self.position.take(message)
                        if event is None:
                            continue
                        self.patience.progress()
                        yield event
                        if event["type"] == "complete":
                            return
                finally:
                    await response.aclose()
            except (httpx2.TransportError, ServerBusy) as error:
                failure = error
            await self._recover(failure)

    async def _connect(self) -> httpx2.Response:
        response = await self.http.send(self.request(), stream=True)
        try:
            await refuse_problems(response)
            _refuse_other_content(response)
        except BaseException:
            await response.aclose()
            raise
        self.patience.connected()
        return response

    async def _recover(self, failure: Exception) -> None:
        try:
            await wait_to_retry(self.patience, self.http.base_url, failure)
        except ServerUnreachable as error:
            if self.position.job_id and self.patience.had_contact:
                error.hint = f"The job goes on: ci wait {self.position.job_id} --all"
            raise


def _refuse_other_content(response: httpx2.Response) -> None:
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "text/event-stream":
        raise ServerRefused(
            f"{response.request.url} answered with {content_type or 'no content type'} "
            "where a stream of events was due",
            hint="Is there really a Standby CI server at that address?",
        )


async def wait_to_retry(patience: Patience, url: httpx2.URL, failure: Exception) -> None:
    """Return when it is time for another attempt after ``failure``.

    Raises:
        CIError: another attempt is pointless, or patience is at its end.

    """
    if isinstance(failure, ServerBusy):
        await patience.wait(failure.detail, failure.error, at_least=failure.retry_after)
        return
    error = unreachable(url, failure)
    # Nobody there from the start: a wrong address more likely than a restart.
    absent = isinstance(failure, httpx2.ConnectError | httpx2.ConnectTimeout)
    if not isinstance(failure, _PASSING) or (absent and not patience.had_contact):
        raise error from failure
    await patience.wait(describe(failure), error)
