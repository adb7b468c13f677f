"""What must not be seen of a job's output, and taking it out on the way to the log.

A byte is masked if it lies in any occurrence of any pattern, however these overlap.
So whether it is depends on nothing further away than the longest pattern is long:
output masked in whatever pieces, or from the middle on, comes out the same. A masked
byte becomes one ``*``, and a newline stays, because offsets and lines of our log are
compared with those of the engine's record when a log is gone on with.
"""

import base64
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from functools import cached_property
from urllib.parse import quote, quote_plus

from ci_common.executor import OutputSink
from ci_common.job_secrets import SHORTEST_VALUE

_STAR = b"*"
_HEAD = 8
"""Bytes by which a pattern's beginning is looked for at the end of what has come."""

_TRIES = 32
"""Places that are looked at closely for a beginning; at the next one, it is held back unseen."""

_NOT_NEWLINE = re.compile(rb"[^\n]")


class Masks:
    """The patterns of some secret values. False if there are none."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = {form for value in values for form in _forms(value)}
        self._patterns = [_Pattern(form) for form in sorted(forms)]

    def __bool__(self) -> bool:
        return bool(self._patterns)

    @cached_property
    def reach(self) -> int:
        """How many bytes before a byte can decide whether it is masked, and as many after it."""
        return max((len(pattern.text) for pattern in self._patterns), default=1) - 1

    def masked(self, data: bytes) -> bytes:
        """Return ``data``, which is whole, masked."""
        return _covered(data, self.spans(data))

    def text(self, text: str) -> str:
        """Return ``text`` masked: a star for each byte of its UTF-8."""
        if not self._patterns:
            return text
        data = text.encode("utf-8", "surrogatepass")
        masked = self.masked(data)
        # Where nothing was found nothing is decoded: then the text is as it was, whatever it holds.
        return text if masked == data else masked.decode("utf-8", "replace")

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Return where the occurrences are, joined where they touch, in order."""
        found = sorted(span for pattern in self._patterns for span in pattern.spans(data))
        joined: list[tuple[int, int]] = []
        for begin, end in found:
            if joined and begin <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((begin, end))
        return joined

    def undecided(self, data: bytes) -> int:
        """Return where in ``data`` begins what may be the beginning of a pattern, else its end."""
        return min((pattern.begun(data) for pattern in self._patterns), default=len(data))


NO_MASKS = Masks()


class MaskingSink:
    """An ``OutputSink`` that passes on what it gets masked, and holds back what is undecided.

    That is less than the longest pattern, and only what a pattern could begin with:
    other output is passed on at once. At the end ``flush``, or lose what is held back.
    """

    def __init__(self, sink: OutputSink, masks: Masks) -> None:
        self._sink = sink
        self._masks = masks
        self._held = b""
        self._covered = 0
        """How many bytes of what is held back are masked already."""

    def __call__(self, data: bytes) -> None:
        """Take the next bytes."""
        data = self._held + data
        self._pass_on(data, self._masks.undecided(data))

    def flush(self) -> None:
        """Pass on what is held back: nothing more comes."""
        self._pass_on(self._held, len(self._held))

    def _pass_on(self, data: bytes, decided: int) -> None:
        spans = self._masks.spans(data)
        reached = max([self._covered, *(end for begin, end in spans if begin < decided)])
        out = _covered(data[:decided], [(0, self._covered), *spans])
        self._held = data[decided:]
        self._covered = max(0, reached - decided)
        if out:
            self._sink(out)


class Skipping:
    """An ``OutputSink`` that drops the first ``count`` bytes."""

    def __init__(self, sink: OutputSink, count: int) -> None:
        self._sink = sink
        self._count = count

    def __call__(self, data: bytes) -> None:
        """Take the next bytes."""
        dropped = min(self._count, len(data))
        self._count -= dropped
        if rest := data[dropped:]:
            self._sink(rest)


class _Pattern:
    """Bytes that are looked for."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._head = text[:_HEAD]
        self._heads = tuple(text[:length] for length in range(1, min(_HEAD, len(text))))

    @cached_property
    def _period(self) -> int:
        """The least distance of two occurrences."""
        text, borders = self.text, [0]
        for byte in text[1:]:
            length = borders[-1]
            while length and byte != text[length]:
                length = borders[length - 1]
            borders.append(length + (byte == text[length]))
        return len(text) - borders[-1]

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield the occurrences, those that overlap too, runs of them as one."""
        text = self.text
        begin = data.find(text)
        while begin >= 0:
            end = begin + len(text)
            # Of text that repeats itself each further occurrence is not compared whole again.
            unit = text[-self._period :]
            while data.startswith(unit, end):
                end += self._period
            yield begin, end
            begin = data.find(text, end - len(text) + self._period + 1)

    def begun(self, data: bytes) -> int:
        """Return where the longest end of ``data`` begins that the pattern goes on from."""
        text, size = self.text, len(data)
        place = data.find(self._head, max(0, size - len(text) + 1))
        for _ in range(_TRIES):
            if place < 0:
                return self._barely_begun(data)
            if text.startswith(data[place:]):
                return place
            place = data.find(self._head, place + 1)
        return place if place >= 0 else self._barely_begun(data)

    def _barely_begun(self, data: bytes) -> int:
        if data.endswith(self._heads):
            longest = max(len(head) for head in self._heads if data.endswith(head))
            return len(data) - longest
        return len(data)


def _covered(data: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    """Return ``data`` with stars for all in ``spans`` but newlines."""
    parts, position = [], 0
    for begin, end in spans:
        begin = max(begin, position)  # noqa: PLW2901 -- spans may overlap
        if begin >= min(end, len(data)):
            continue
        parts += [data[position:begin], _NOT_NEWLINE.sub(_STAR, data[begin:end])]
        position = min(end, len(data))
    return b"".join([*parts, data[position:]]) if parts else data


def _forms(value: str) -> Iterator[bytes]:
    """Yield how a value may be written: as it is, its lines, escaped, quoted, in base64."""
    value = value.strip()
    raw = value.encode("utf-8", "surrogateescape")
    lines = [line.strip() for line in value.splitlines()]
    texts = {
        value,
        *lines,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
        shlex.quote(value).strip("'"),
        value.replace("'", r"'\''"),
    }
    for text in texts:
        form = text.encode("utf-8", "surrogateescape")
        if len(form) >= SHORTEST_VALUE:
            yield form
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # `echo` adds a newline, which changes the last characters.
        yield from (encode(whole).rstrip(b"=") for whole in (raw, raw + b"\n"))
