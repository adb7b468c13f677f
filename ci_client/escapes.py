"""Keeps a job's output from driving the terminal it is shown on.

Escape sequences can do more than colour: set the clipboard, ask the terminal
for answers that arrive as if they were typed, move up and draw over what was
said before. Of all of them only colours and styles are let through, and what
progress bars need within their own line.

Source of the forms: ECMA-48, and what xterm adds to them.
"""

from __future__ import annotations

import re

from ci_client.terminal import has_controls

_OTHERS = rb"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f]"
_LONGEST = 64
"""Bytes of a sequence that may still turn out to be a colour."""

_COLOUR_OR_CLEAR = rb"\x1b\[[0-9;:]*m|\x1b\[[0-2]?K"
# A string goes to its end, which a line's end is, too: nothing may hide all that follows it.
_STRING = (
    rb"(?:\x1b[\]PX^_]|\xc2[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\n]*?"
    rb"(?:\x07|\x1b\\|\xc2\x9c|(?=[\x1b\n]))"
)
_CONTROL = rb"(?:\x1b\[|\xc2\x9b)[0-?]*[ -/]*[@-~]"
_ESCAPE = rb"\x1b[ -/]*[0-~]"
_C1 = rb"\xc2[\x80-\x9f]"
_PATTERN = re.compile(
    rb"(%s)|%s|%s|%s|%s|%s" % (_COLOUR_OR_CLEAR, _STRING, _CONTROL, _ESCAPE, _C1, _OTHERS)
)
_UNFINISHED = re.compile(
    rb"(?:\x1b|\x1b\[[0-?]*[ -/]*|\x1b[ -/]+|\xc2|\xc2\x9b[0-?]*[ -/]*"
    rb"|(?:\x1b[\]PX^_]|\xc2[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\n]*\x1b?)\Z"
)


class OutputFilter:
    """Takes output in pieces of any size, and gives back what may be shown of it."""

    def __init__(self) -> None:
        self._held = b""

    def clean(self, data: bytes) -> bytes:
        """Return what may be shown; the beginning of a sequence waits for the rest of it."""
        if not self._held and not has_controls(data):
            return data
        data = self._held + data
        self._held = b""
        unfinished = _UNFINISHED.search(data)
        if unfinished is not None:
            # What is too long for a colour will be left out, so what has come of it is not kept.
            begun = unfinished.group()
            self._held = begun if len(begun) <= _LONGEST else begun[:2] + begun[-1:]
            data = data[: unfinished.start()]
        return _PATTERN.sub(rb"\1", data)
