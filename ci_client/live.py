"""What happens to all jobs, over as many connections as it takes."""

from __future__ import annotations

from ci_client.connection import ServerBusy, refuse_problems
from ci_client.documents import object_of
from ci_client.events import decode, refuse_other_content, wait_to_retry
from ci_client.exchange import BrokenExchange
from ci_client.messages import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from ci_client.events import Event
    from ci_client.exchange import Response
    from ci_client.patience import Patience

PATH = "/api/v1/events"
_PAGE = 1000


class LiveFeed:
    """Reads live updates; ``connect(after)`` makes the next connection, behind that number.

    ``after`` is where it begins, None for from now on.
    """

    def __init__(
        self,
        url: str,
        patience: Patience,
        after: int | None,
        connect: Callable[[str | None], Response],
    ) -> None:
        self._url = url
        self._patience = patience
        self._after = None if after is None else str(after)
        self._connect = connect

    def events(self) -> Generator[Event, None, None]:
        """Yield events as they come, each once, without an end; ``gap`` where some are missing.

        Raises:
            CIError: the server refuses, or cannot be reached any more.

        """
        while True:
            failure: Exception = BrokenExchange("it was closed from there")
            try:
                with self._connect(self._after) as response:
                    refuse_problems(response)
                    refuse_other_content(response)
                    self._patience.connected()
                    for data, seq in messages(response.pieces()):
                        event = decode(data)
                        self._patience.progress()
                        self._after = seq or self._after
                        if event.get("type") != "subscribed":
                            yield event
            except (BrokenExchange, ServerBusy) as error:
                failure = error
            wait_to_retry(self._patience, self._url, failure)


def query_of(filters: Mapping[str, str | None], types: Sequence[str], **more: int | None) -> str:
    """Return the query that asks for what agrees with ``filters``; None is left out."""
    from urllib.parse import urlencode

    given = [(name, value) for name, value in {**filters, **more}.items() if value is not None]
    return urlencode([*given, *(("type", kind) for kind in types)])


def read_past(
    ask: Callable[[str], AbstractContextManager[Response]],
    filters: Mapping[str, str | None],
    types: Sequence[str],
    after: int,
) -> Generator[Event, None, None]:
    """Yield what is kept behind ``after``, page by page, to its present end."""
    more = True
    while more:
        query = query_of(filters, types, after=after, limit=_PAGE)
        with ask(f"{PATH}/history?{query}") as response:
            page = object_of(response)
        if page["gap"]:
            yield page["gap"]
        yield from page["events"]
        after, more = page["next"], page["more"]
