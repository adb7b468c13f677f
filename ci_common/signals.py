"""Telling others that something changed. A signal is a hint: losing one costs time, never truth.

Topics: ``queue`` (something may be startable), ``job:<id>`` (a row changed),
``log:<id>`` (a log grew). Everyone who waits also looks by itself now and then.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

QUEUE = "queue"


def job_topic(job_id: str) -> str:
    """Return the topic of changes to a job's row."""
    return f"job:{job_id}"


def log_topic(job_id: str) -> str:
    """Return the topic of growth of a job's log."""
    return f"log:{job_id}"


class Subscription:
    """The signals of some topics, each remembered until it is asked for."""

    def __init__(self) -> None:
        self._pending: set[str] = set()
        self._wake = asyncio.Event()

    def deliver(self, topic: str) -> None:
        """Remember that ``topic`` was signalled."""
        self._pending.add(topic)
        self._wake.set()

    async def wait(self, timeout: float) -> frozenset[str]:  # noqa: ASYNC109 -- it is the interface
        """Return the topics signalled since the last call; empty after ``timeout`` seconds."""
        if not self._pending:
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                return frozenset()
        topics = frozenset(self._pending)
        self._pending.clear()
        self._wake.clear()
        return topics


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
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say on which loop threads' signals are to be delivered."""
        self._loop = loop

    def notify(self, topic: str) -> None:
        """Signal ``topic`` to this process."""
        for listener in tuple(self._listeners.get(topic, ())):
            listener.deliver(topic)

    def notify_threadsafe(self, topic: str) -> None:
        """Signal ``topic`` from any thread."""
        self.call_threadsafe(self.notify, topic)

    def call_threadsafe(self, notify: Callable[[str], None], topic: str) -> None:
        """Call ``notify(topic)`` on the bound loop; dropped when there is none to run it."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(notify, topic)

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
