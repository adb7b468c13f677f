"""What one listener gets to see of all events, in order, each once, at its own pace."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from ci_common.api import EventsFollowed, EventsGap, EventView, QueueDepth, event_view
from ci_common.errors import StorageBusy
from ci_common.job_events import EventPage
from ci_common.signals import Subscription
from ci_server.event_selection import Selection
from ci_server.live import LOOK_AGAIN, LiveUpdates
from ci_server.shutdown import Shutdown

STRIDE = 1000
"""A reader that is shown nothing learns after so many events how far it has come."""

LONGEST_WAIT = 15.0
"""Seconds after which a reader looks without having been told to."""

_SHUTDOWN = "shutdown"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Placed:
    """Something to show, and how far the reader has come with it.

    ``seq``: whoever goes on behind it misses nothing and sees nothing twice;
    None where that has not changed. Without an ``item`` only that is news.
    """

    seq: int | None
    item: EventView | QueueDepth | EventsGap | EventsFollowed | None


def gap_in(page: EventPage, after: int) -> EventsGap | None:
    """Return what is missing between ``after`` and a page that was read from there.

    0 asks for whatever is kept, so nothing can be missing behind it.
    """
    if after > page.latest:
        return EventsGap(after=after, resumed=page.latest)
    if 0 < after < page.oldest - 1:
        return EventsGap(after=after, resumed=page.oldest - 1)
    return None


class EventReader:
    """Reads all events behind ``after``. For one task, once."""

    def __init__(
        self, live: LiveUpdates, selection: Selection, after: int, *, shutdown: Shutdown
    ) -> None:
        self._live = live
        self._meter = live.meter(selection.within)
        self._selection = selection
        self._seq = after
        self._told = after
        self._shutdown = shutdown
        self._depth: QueueDepth | None = None

    async def events(self) -> AsyncGenerator[Placed, None]:
        """Yield what is wanted as it comes, until the server shuts down."""
        listener = Subscription()
        with ExitStack() as stack:
            stack.enter_context(self._shutdown.calling(lambda: listener.deliver(_SHUTDOWN)))
            if self._selection.jobs is not None:
                stack.enter_context(self._live.tail.telling(listener))
            if self._selection.depth:
                stack.enter_context(self._meter.telling(listener))
            yield Placed(self._seq, EventsFollowed(after=self._seq))
            while not self._shutdown.begun:
                if depth := self._new_depth():
                    yield Placed(None, depth)
                shown, pause = await self._next()
                for placed in shown:
                    yield placed
                if pause:
                    await listener.wait(pause)
                else:
                    await asyncio.sleep(0)  # a long replay must not keep others from the loop

    async def _next(self) -> tuple[Sequence[Placed], float]:
        """Return what is new, and the seconds after which to look again if nobody says so."""
        if self._selection.jobs is None:
            return (), LONGEST_WAIT
        try:
            page = await self._live.tail.read(self._seq, self._selection.jobs)
        except StorageBusy:
            _logger.warning("the database is busy; live updates lag")
            return (), LOOK_AGAIN
        return self._shown(page), 0.0 if page.more else LONGEST_WAIT

    def _new_depth(self) -> QueueDepth | None:
        if not self._selection.depth or self._meter.depth == self._depth:
            return None
        self._depth = self._meter.depth
        return self._depth

    def _shown(self, page: EventPage) -> list[Placed]:
        shown: list[Placed] = []
        gap = gap_in(page, self._seq)
        if gap is not None:
            shown.append(Placed(gap.resumed, gap))
        shown += [Placed(event.seq, event_view(event)) for event in page.events]
        self._seq = page.through
        if shown:
            self._told = shown[-1].seq or self._told
        if self._seq - self._told >= STRIDE:
            shown.append(Placed(self._seq, None))
            self._told = self._seq
        return shown
