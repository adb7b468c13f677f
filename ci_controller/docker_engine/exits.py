"""How containers ended, from the engine's events: told 50 ms before an ``inspect`` can tell.

The engine announces a container's death when its process is gone, and then
takes its network down, for which it holds the lock that every question about
the container waits for (measured).

An event is believed when it says all there is to say. What only the container's
state can tell (a signal, a full memory), an end that somebody brought about, what
was not heard, and what happened while nobody listened is left to be asked: the
events make the answer come sooner, never another one.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from ci_common.errors import CIError
from ci_common.executor import ContainerExit
from ci_controller.docker_engine.calls import EngineCalls
from ci_controller.docker_engine.configuration import NAMESPACE
from ci_controller.docker_engine.streams import OutputStream
from ci_controller.pumps import ThreadPump

_log = logging.getLogger(__name__)

_FILTERS: Mapping[str, tuple[str, ...]] = {
    "type": ("container",),
    "event": ("kill", "oom", "die"),
}
_PATIENCE = 0.25
"""Seconds from the end of a container's output in which its event is expected."""
_SIGNALLED = 128
"""Exit statuses from here on may be the work of a signal, and then of the memory limit."""

_End = ContainerExit | None
"""None: the container has ended, or may have, and must be asked."""


class ExitWatch:
    """Listens to the engine for one namespace, over one connection, in one thread.

    Used on one event loop. Containers are known by id: a name may be another's next.
    """

    def __init__(self, calls: EngineCalls, namespace: str) -> None:
        self._calls = calls
        self._filters = {**_FILTERS, "label": (f"{NAMESPACE}={namespace}",)}
        self._listening: asyncio.Task[None] | None = None
        self._hears = False
        self._ids: dict[str, str] = {}
        self._ends: dict[str, asyncio.Future[_End]] = {}
        self._unsure: set[str] = set()
        """Ids of containers whose end is not known from their death alone."""
        self._missed: set[str] = set()
        """Ids of containers in whose time the engine was not heard for a while."""

    def begin(self) -> None:
        """Listen, unless it does so already. Returns at once; idempotent."""
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen(), name="engine events")

    def watch(self, name: str, container_id: str) -> None:
        """Take note of how a container will end, from now on until its name is forgotten."""
        self.begin()
        self.forget(name)
        self._ids[name] = container_id
        self._ends[container_id] = asyncio.get_running_loop().create_future()
        if not self._hears:
            self._unsure.add(container_id)
            self._missed.add(container_id)

    async def end_of(self, name: str, *, timeout: float) -> _End:  # noqa: ASYNC109
        """Return how a container ended, waiting a moment for it; None if it must be asked."""
        container_id = self._ids.get(name)
        if container_id is None or not self._hears:
            return None
        end = self._ends[container_id]
        await asyncio.wait({end}, timeout=min(timeout, _PATIENCE))
        return end.result() if end.done() else None

    def heard_all(self, name: str) -> bool:
        """Return whether the engine was heard without a break since a container is watched."""
        container_id = self._ids.get(name)
        return container_id is not None and container_id not in self._missed

    def forget(self, name: str) -> None:
        """Watch a container no more. Succeeds on what is not watched."""
        container_id = self._ids.pop(name, None)
        if container_id is not None:
            self._unsure.discard(container_id)
            self._missed.discard(container_id)
            _settle(self._ends.pop(container_id), None)

    async def close(self) -> None:
        """Listen no more. Idempotent."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})

    async def _listen(self) -> None:
        try:
            stream = await self._calls.open_stream(
                lambda clients: OutputStream(
                    clients, lambda client: client.open_events(self._filters), _AsItIs()
                ),
                "listen to the engine",
                discard=OutputStream.close,
            )
        except CIError as error:
            _log.debug("containers are asked how they ended: %s", error.detail)
            return
        loop = asyncio.get_running_loop()
        lines = _EventLines(lambda event: loop.call_soon_threadsafe(self._note, event))
        pump = ThreadPump(stream, lines, name="engine events")
        self._hears = True
        try:
            await pump.wait()
        except ValueError as error:
            _log.warning("the engine's events cannot be read: %s", error)
        finally:
            self._hears = False
            # A memory may fill before anybody listens again.
            self._unsure |= self._ends.keys()
            self._missed |= self._ends.keys()
            await pump.close()

    def _note(self, event: Mapping[str, Any]) -> None:
        container_id = event["Actor"]["ID"]
        end = self._ends.get(container_id)
        if end is None:
            return
        if event["Action"] != "die":
            self._unsure.add(container_id)
            return
        exit_code = int(event["Actor"]["Attributes"].get("exitCode", _SIGNALLED))
        sure = exit_code < _SIGNALLED and container_id not in self._unsure
        _settle(end, ContainerExit(exit_code=exit_code) if sure else None)


def _settle(future: asyncio.Future[_End], end: _End) -> None:
    if not future.done():
        future.set_result(end)


class _AsItIs:
    """A ``Decoder`` for a stream that has no framing of its own."""

    def decode(self, data: bytes) -> bytes:
        return data


class _EventLines:
    """A sink that takes the engine's events apart, which come as lines of JSON."""

    def __init__(self, tell: Callable[[Mapping[str, Any]], object]) -> None:
        self._tell = tell
        self._rest = b""

    def __call__(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._tell(json.loads(line))
