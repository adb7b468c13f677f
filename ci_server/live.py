"""What happens to jobs, for any number of listeners in this process.

The store is read once for all of them. A listener that keeps up takes what
is new from memory; one that lags reads the store at its own place, so it costs
nobody else anything. A signal only makes it faster: everything is looked at
again after a second anyway.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, takewhile
from weakref import WeakValueDictionary

from ci_common.access import Within
from ci_common.api import QueueDepth
from ci_common.errors import CIError
from ci_common.job_events import EVERYTHING, EventFilter, EventPage, EventStore, StoredEvent
from ci_common.job_repository import JobRepository
from ci_common.signals import EVENTS, Signals, Subscription

LOOK_AGAIN = 1.0
"""Seconds after which is looked without a signal, in case one was lost."""

PAGE = 500
"""Events that are read at once."""

RECENT = 1000
"""Events that are kept in memory for those who keep up."""

DEPTH_PAUSE = 0.5
"""Seconds between two counts of the queue, at least: counting takes longer, the longer it is."""

_logger = logging.getLogger(__name__)


class Broadcast(ABC):
    """One task that finds something out for all that listen, and is there only while they are."""

    def __init__(self, name: str, signals: Signals, *, pause: float = 0.0) -> None:
        self._name = name
        self._signals = signals
        self._pause = pause
        self._listeners: set[Subscription] = set()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def telling(self, listener: Subscription) -> Iterator[None]:
        """Have ``listener`` told when there is something new, during a ``with`` block."""
        self._listeners.add(listener)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self._name)
        try:
            yield
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                self._task.cancel()
                self._task = None
                self._forget()

    @abstractmethod
    async def _look(self) -> bool:
        """Find out; return whether there is anything new.

        Raises:
            CIError: it cannot be found out now.

        """

    @abstractmethod
    def _forget(self) -> None:
        """Forget what was found: nobody looks any more."""

    async def _run(self) -> None:
        with self._signals.subscribe(EVENTS) as signalled:
            while True:
                if await self._looked():
                    for listener in tuple(self._listeners):
                        listener.deliver(self._name)
                await asyncio.sleep(self._pause)
                await signalled.wait(LOOK_AGAIN)

    async def _looked(self) -> bool:
        try:
            return await self._look()
        except CIError as error:
            _logger.warning("live updates lag: %s", error.detail)
        except Exception:
            _logger.exception("live updates met an internal error")
        return False


class EventTail(Broadcast):
    """The latest events, as they are written. Where to read from is each reader's own affair."""

    def __init__(self, store: EventStore, signals: Signals) -> None:
        super().__init__("event-tail", signals)
        self._store = store
        self._recent: deque[StoredEvent] = deque()
        self._before: int | None = None
        """Everything after this ``seq`` is in ``_recent``; None while nobody listens."""
        self._latest = 0

    async def read(self, seq: int, wanted: EventFilter = EVERYTHING) -> EventPage:
        """Return the first wanted events beyond ``seq``, as ``EventStore.after`` does.

        Raises:
            StorageBusy: they are not in memory, and the store is locked.

        """
        if self._before is None or not self._before <= seq <= self._latest:
            return await self._store.after(seq, limit=PAGE, wanted=wanted)
        new = [*takewhile(lambda event: event.seq > seq, reversed(self._recent))]
        events = [*islice(filter(wanted.admits, reversed(new)), PAGE)]
        through = events[-1].seq if len(events) == PAGE else self._latest
        return EventPage(events=events, through=through, oldest=seq + 1, latest=self._latest)

    async def _look(self) -> bool:
        if self._before is None:
            # Also news: who has just read the store may have read it before this.
            self._before = self._latest = await self._store.latest()
            return True
        page = await self._store.after(self._latest, limit=PAGE)
        while page.events:
            self._take(page)
            if not page.more:
                return True
            page = await self._store.after(self._latest, limit=PAGE)
        return False

    def _take(self, page: EventPage) -> None:
        self._recent.extend(page.events)
        self._latest = page.through
        while len(self._recent) > RECENT:
            self._before = self._recent.popleft().seq

    def _forget(self) -> None:
        self._recent.clear()
        self._before = None


class QueueMeter(Broadcast):
    """How many jobs wait and run: counted once for all that may see them, and not too often."""

    def __init__(self, repository: JobRepository, signals: Signals, within: Within = None) -> None:
        super().__init__("queue-meter", signals, pause=DEPTH_PAUSE)
        self._repository = repository
        self._within = within
        self.depth: QueueDepth | None = None
        """The latest count; None before the first."""

    async def _look(self) -> bool:
        counts = await self._repository.count(self._within)
        found = QueueDepth(queued=counts.queued, running=counts.running)
        news = found != self.depth
        self.depth = found
        return news

    def _forget(self) -> None:
        self.depth = None


class LiveUpdates:
    """All that live updates of this process share."""

    def __init__(self, repository: JobRepository, signals: Signals) -> None:
        self.store = repository.events
        self.tail = EventTail(repository.events, signals)
        self._repository = repository
        self._signals = signals
        self._meters: WeakValueDictionary[Within, QueueMeter] = WeakValueDictionary()

    def meter(self, within: Within) -> QueueMeter:
        """Return what counts the jobs of some organisations: one for all that hold on to it."""
        meter = self._meters.get(within)
        if meter is None:
            meter = self._meters[within] = QueueMeter(self._repository, self._signals, within)
        return meter
