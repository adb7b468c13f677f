"""A project on its way into a container: all of it, or a container that runs nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Protocol

from ci_common.errors import ContainerFailed, ContainerGone
from ci_controller.pumps import ThreadPump
from ci_controller.threads import run_in_thread

_CUT_GRACE = 2.0
"""Seconds to wait for the thread of a cut feed, so that it lets go of the zip."""

_BEGIN_GRACE = 10.0
"""Seconds a fed container may take to its first output before it counts as a silent one."""
NEEDS = "The image must have `sh`, `head` and `tar`, and be made for this machine."


class InputChannel(Protocol):
    """The way into a container's standard input. Written by one thread."""

    def send(self, data: memoryview) -> int:
        """Send some of ``data``; return how much. Raises OSError when it is cut or broken."""
        ...

    def finish(self) -> None:
        """Say that nothing more comes, and lose nothing of what is still on its way."""
        ...

    def cut(self) -> None:
        """Send no more, wherever it is. Callable from any thread, more than once."""
        ...

    def close(self) -> None:
        """Let go of what the channel holds. Idempotent."""
        ...


class InputBroken(Exception):
    """The container stopped taking its project."""


class _Feed:
    def __init__(self, tar: Iterable[bytes], channel: InputChannel) -> None:
        self._tar = tar
        self._channel = channel
        self._stopped = False
        self.sent = 0

    def run(self) -> None:
        chunks = iter(self._tar)
        try:
            for chunk in chunks:
                self._send(memoryview(chunk))
            if not self._stopped:
                self._channel.finish()
        finally:
            self._channel.close()
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def stop(self) -> None:
        self._stopped = True
        self._channel.cut()

    def _send(self, data: memoryview) -> None:
        while data:
            if self._stopped:
                raise InputBroken
            try:
                count = self._channel.send(data)
            except OSError as error:
                raise InputBroken(str(error)) from error
            self.sent += count
            data = data[count:]


async def send_project(
    tar: Iterable[bytes], channel: InputChannel, pump: ThreadPump, *, name: str, stall: float
) -> None:
    """Send ``tar`` through ``channel``; break off if anything goes wrong.

    ``pump`` carries the container's output. ``channel`` is closed in any case,
    and so is a generator. What ``tar`` raises comes out as it is.

    Raises:
        InputBroken: the container did not take all of it, or ended.
        ContainerFailed: nothing moved for ``stall`` seconds.

    """
    feed = _Feed(tar, channel)
    done = run_in_thread(feed.run, name=f"feed {name}")
    try:
        await _watch(feed, done, pump, stall)
    finally:
        if not done.done():
            feed.stop()
            done.add_done_callback(lambda late: late.cancelled() or late.exception())
            await asyncio.wait({done}, timeout=_CUT_GRACE)
    done.result()


async def _watch(feed: _Feed, done: asyncio.Future[None], pump: ThreadPump, stall: float) -> None:
    seen = -1
    while not done.done():
        if feed.sent == seen:
            raise ContainerFailed(
                f"the project did not go into the container: nothing moved for {stall:g} s, "
                f"after {feed.sent} bytes"
            )
        seen = feed.sent
        ended = await pump.wait_ended_or(done, timeout=stall)
        if ended:
            # It may have ended because it took all of it and was quick.
            await asyncio.wait({done}, timeout=_CUT_GRACE)
            if not done.done():
                raise InputBroken("the container ended")


async def settle_feed(
    pump: ThreadPump,
    *,
    name: str,
    broken: InputBroken | None,
    complaint: Callable[[], Awaitable[str]],
) -> None:
    """Return when a container that was sent its project shows that it runs its job script.

    The script writes before it does anything else, so the first output is the
    sign. A container that took all of its input and says nothing for a while
    counts as one that works in silence. ``broken`` is what ended the
    sending early, ``complaint`` asks what the container has to say.

    Raises:
        ContainerFailed: it did not take its project; the text says why.
        ContainerGone: it was ended before it had taken its project.

    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_BEGIN_GRACE):
            await pump.wait_begun()
    if not pump.silent or (broken is None and not pump.ended):
        return
    text = await complaint()
    if text:
        raise ContainerFailed(f"the container did not take its project: {text}", hint=NEEDS)
    if broken is None:
        return
    if pump.ended:
        raise ContainerGone(f"{name} ended before it had taken its project")
    raise ContainerFailed(f"{name} stopped taking its project: {broken}", hint=NEEDS)
