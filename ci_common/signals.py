"""Telling others that something changed. A signal is a hint: losing one costs time, never truth.

Topics: ``queue`` (something may be startable), ``cache`` (something kept is
not to be kept any more), ``webhooks`` (something may be deliverable),
``job:<id>`` (a row changed), ``log:<id>`` (a log grew), and ``events`` (any
of ``queue`` and ``job:<id>``; nobody signals it). Everyone who waits also
looks by itself now and then.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

QUEUE = "queue"
CACHE = "cache"
EVENTS = "events"
WEBHOOKS = "webhooks"

CROWD = 10
"""As many listeners to one log's growth are a crowd: their signals are merged."""

CROWD_PAUSE = 0.0001
"""Seconds for each of a crowd in which further signals of the log become one.

To read and send a line costs about 40 µs for each reader (measured), many lines
cost hardly more: so a thousand readers of a busy log take less than half of a
core instead of all of it.
"""

BURST_PAUSE = 0.005
"""Seconds in which a thread's signals of one topic become one.

A job that writes fast would wake the loop for every 50 KB, and that costs as
much as reading and sending them (measured).
"""

_LONGEST_PAUSE = 0.2
_JOB = "job:"
_LOG = "log:"


def job_topic(job_id: str) -> str:
    """Return the topic of changes to a job's row."""
    return _JOB + job_id


def log_topic(job_id: str) -> str:
    """Return the topic of growth of a job's log."""
    return _LOG + job_id


class Subscription:
    """The signals of some topics, each remembered until it is asked for. For one task."""

    __slots__ = ("_pending", "_waiter")

    def __init__(self) -> None:
        self._pending: set[str] = set()
        self._waiter: asyncio.Future[None] | None = None

    def deliver(self, topic: str) -> None:
        """Remember that ``topic`` was signalled."""
        self._pending.add(topic)
        _wake(self._waiter)

    async def wait(self, timeout: float) -> frozenset[str]:  # noqa: ASYNC109 -- it is the interface
        """Return the topics signalled since the last call; empty after ``timeout`` seconds."""
        if not self._pending:
            # A bare future: an event and a timeout's context cost a reader 2 KB and twice the time.
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            deadline = loop.call_later(timeout, _wake, self._waiter)
            try:
                await self._waiter
            finally:
                deadline.cancel()
                self._waiter = None
        topics = frozenset(self._pending)
        self._pending.clear()
        return topics


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class Signals(Protocol):
    """A way to reach every process of one data directory."""

    def notify(self, topic: str) -> None:
        """Signal ``topic``. Never blocks, never raises; call it on the event loop's thread."""
        ...

    def notify_threadsafe(self, topic: str) -> None:
        """Signal ``topic`` from any thread."""
        ...

    def subscribe(self, *topics: str) -> AbstractContextManager[Subscription]:
        """Hold a subscription to ``topics`` for a ``with`` block."""
        ...


class LocalSignals:
    """Signals within one process and one event loop."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._pausing: dict[str, bool] = {}
        """Topics that a crowd was just told of, and whether there is more to tell."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signalled: set[str] = set()
        """Topics that threads have signalled and nobody was told of yet."""
        self._telling: set[str] = set()
        """Topics for which a call of ``_tell`` is on its way."""

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say on which loop threads' signals are to be delivered."""
        self._loop = loop
        self._telling.clear()

    def notify(self, topic: str) -> None:
        """Signal ``topic`` to this process; a crowd that follows a log is told in intervals."""
        if topic in self._pausing:
            self._pausing[topic] = True
            return
        listeners = tuple(self._listeners.get(topic, ()))
        for listener in listeners:
            listener.deliver(topic)
        if topic == QUEUE or topic.startswith(_JOB):
            for listener in self._listeners.get(EVENTS, ()):
                listener.deliver(EVENTS)
        if len(listeners) >= CROWD and topic.startswith(_LOG):
            self._pausing[topic] = False
            pause = min(_LONGEST_PAUSE, len(listeners) * CROWD_PAUSE)
            asyncio.get_running_loop().call_later(pause, self._go_on, topic)

    def notify_threadsafe(self, topic: str) -> None:
        """Signal ``topic`` from any thread."""
        self.call_threadsafe(self.notify, topic)

    def call_threadsafe(self, notify: Callable[[str], None], topic: str) -> None:
        """Call ``notify(topic)`` on the bound loop; dropped when there is none to run it.

        The first call comes at once, those of the next ``BURST_PAUSE`` are one.
        """
        if self._loop is None or self._loop.is_closed():
            return
        # Noted before the look, as `_tell` looks before it takes note: one of them sees the other.
        self._signalled.add(topic)
        if topic not in self._telling:
            self._telling.add(topic)
            self._loop.call_soon_threadsafe(self._tell, notify, topic)

    def _tell(self, notify: Callable[[str], None], topic: str) -> None:
        self._telling.discard(topic)
        if topic in self._signalled:
            self._telling.add(topic)
            self._signalled.discard(topic)
            notify(topic)
            loop = asyncio.get_running_loop()
            loop.call_later(BURST_PAUSE, self._tell, notify, topic)

    def _go_on(self, topic: str) -> None:
        if self._pausing.pop(topic):
            self.notify(topic)

    @contextmanager
    def subscribe(self, *topics: str) -> Iterator[Subscription]:
        """Hold a subscription to ``topics``."""
        subscription = Subscription()
        for topic in topics:
            self._listeners[topic].add(subscription)
        try:
            yield subscription
        finally:
            for topic in topics:
                self._listeners[topic].discard(subscription)
                if not self._listeners[topic]:
                    del self._listeners[topic]
