"""A job's log as its attempts write it: the container's bytes, and now and then a note of ours."""

import asyncio
from typing import Self

from ci_common.executor import OutputSink
from ci_common.jobs import Job
from ci_common.logs import LogStore, LogWriter
from ci_common.observer import Observer
from ci_common.signals import Signals, log_topic
from ci_controller.masking import NO_MASKS, MaskingSink, Masks

_NOTE_WINDOW = 4096
"""How far back to look for a note that a former process may have written already."""


class JobLog:
    """The open log of one job. Pumps write to what ``masked`` gives; everyone else uses the rest.

    ``masks`` are what must not get into it.
    Use as a context manager; leave it only when no pump writes any more.
    """

    def __init__(
        self,
        store: LogStore,
        job: Job,
        signals: Signals,
        *,
        new_attempt: bool = False,
        observer: Observer | None = None,
        masks: Masks = NO_MASKS,
    ) -> None:
        self._store = store
        self._job_id = job.id
        self._topic = log_topic(job.id)
        self._signals = signals
        self._observer = observer or Observer()
        self.masks = masks
        self._masking: MaskingSink | None = None
        self._writer: LogWriter = store.open(job.id, new_attempt=new_attempt)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        # Left in the middle, the container goes on, and so does its output in the engine.
        self._writer.close(will_resume=kind is not None)

    @property
    def size(self) -> int:
        """Bytes in the log."""
        return self._writer.size

    def tail(self, length: int) -> bytes:
        """Return the last ``length`` bytes, none of a log that takes no more."""
        if self._writer.sealed:
            return b""
        return self._store.read(self._job_id, self.size - length, length)

    def masked(self, sink: OutputSink) -> OutputSink:
        """Return what passes output on to ``sink`` without what must not be seen.

        That may hold back a little until more comes, or ``flush``. What one of these
        holds back is lost when the next is asked for, which reads the same again.
        """
        if not self.masks:
            return sink
        self._masking = MaskingSink(sink, self.masks)
        return self._masking

    async def flush(self) -> None:
        """Write what is held back of output that has come to its end. No pump may write."""
        if self._masking is not None:
            await asyncio.to_thread(self._masking.flush)

    def sink(self, data: bytes) -> None:
        """Append output, masked already, and tell the readers. For a worker thread."""
        self._writer.write(data)
        self._observer.log_written(len(data))
        self._signals.notify_threadsafe(self._topic)

    def note(self, text: str) -> None:
        """Append a line of ours, once: doing it again after a crash changes nothing.

        Only where no container's bytes follow in the same attempt, whose
        offsets are counted from ``log_base``.
        """
        line = f"[ci] {self.masks.text(text)}\n".encode()
        tail = self._store.read(self._job_id, max(0, self.size - _NOTE_WINDOW), _NOTE_WINDOW)
        if tail.endswith(line):
            return
        separator = b"" if not tail or tail.endswith(b"\n") else b"\n"
        self._writer.write(separator + line)
        self._signals.notify(self._topic)
