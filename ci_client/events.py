"""A job's events, over as many connections as it takes."""

from __future__ import annotations

from ci_client.connection import ServerBusy, describe, refuse_problems, unreachable
from ci_client.exchange import BrokenExchange, NotConnected
from ci_client.messages import messages
from ci_common.errors import QuotaExceeded, ServerRefused, ServerUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from ci_client.exchange import Response
    from ci_client.patience import Patience
    from ci_common.errors import CIError

Event = dict[str, "Any"]
"""A ``type`` and what belongs to it; the types are those of ``ci_common.events``."""

EVENT_TYPES = frozenset({"job_id", "status", "log", "complete"})


class Position:
    """How far a stream has been read: enough to go on from there."""

    def __init__(self, job_id: str | None = None, last_id: str | None = None) -> None:
        self.job_id = job_id
        self.last_id = last_id
        self._status: Event | None = None

    def take(self, data: str, last_id: str) -> Event | None:
        """Return what is new in a message; None when there is nothing, or nothing we know.

        Raises:
            ServerRefused: it is no event.

        """
        event = decode(data)
        if last_id:
            self.last_id = last_id
        kind = event.get("type")
        if kind == "job_id":
            self.job_id = str(event["job_id"])
        elif kind == "status":
            # Every new connection begins with the status; once is enough for the caller.
            if event == self._status:
                return None
            self._status = event
        return event if kind in EVENT_TYPES else None


def decode(data: str) -> Event:
    """Return the event in a message.

    Raises:
        ServerRefused: it is none.

    """
    import json  # now, as there was no time for it before the request

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


class EventFeed:
    """Reads one job's events; ``connect`` makes the next connection, from where we are."""

    def __init__(
        self, url: str, patience: Patience, position: Position, connect: Callable[[], Response]
    ) -> None:
        self.url = url
        self.patience = patience
        self.position = position
        self.connect = connect

    def events(self) -> Generator[Event, None, None]:
        """Yield events until ``complete``, which is the last one.

        Raises:
            CIError: the server refuses, or cannot be reached any more.

        """
        while True:
            failure: Exception = BrokenExchange("it was closed from there")
            try:
                with self.connect() as response:
                    refuse_problems(response)
                    refuse_other_content(response)
                    self.patience.connected()
                    for data, last_id in messages(response.pieces()):
                        event = self.position.take(data, last_id)
                        if event is None:
                            continue
                        self.patience.progress()
                        yield event
                        if event["type"] == "complete":
                            return
            except (BrokenExchange, ServerBusy) as error:
                failure = error
            self._recover(failure)

    def _recover(self, failure: Exception) -> None:
        try:
            wait_to_retry(self.patience, self.url, failure)
        except ServerUnreachable as error:
            if self.position.job_id and self.patience.had_contact:
                error.hint = f"The job goes on: ci wait {self.position.job_id} --all"
            raise


def refuse_other_content(response: Response) -> None:
    """Return if an answer is a stream of events.

    Raises:
        ServerRefused: it is something else.

    """
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "text/event-stream":
        raise ServerRefused(
            f"{response.url} answered with {content_type or 'no content type'} "
            "where a stream of events was due",
            hint="Is there really a Standby CI server at that address?",
        )


def _too_much(error: CIError) -> str:
    if isinstance(error, QuotaExceeded):
        return f"{error.detail}; waiting…"
    return "the server takes no more requests from here for now; waiting…"


def wait_to_retry(patience: Patience, url: str, failure: Exception) -> None:
    """Return when it is time for another attempt after ``failure``.

    Raises:
        CIError: another attempt is pointless, or patience is at its end.

    """
    if isinstance(failure, ServerBusy):
        patience.wait(
            failure.detail,
            failure.error,
            at_least=failure.retry_after,
            notice=_too_much(failure.error) if failure.limited else None,
        )
        return
    error = unreachable(url, failure)
    # Nobody there from the start: a wrong address more likely than a restart.
    if isinstance(failure, NotConnected) and not patience.had_contact:
        raise error from failure
    patience.wait(describe(failure), error)
