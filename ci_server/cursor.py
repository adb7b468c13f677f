"""Where a list goes on, as text that means nothing to clients."""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from ci_common.errors import InvalidRequest
from ci_common.job_query import Place

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX = 2**63 - 1
_OF_OTHERS = InvalidRequest(
    "cursor: it belongs to a list with other filters or another order",
    hint="Take the whole next address from the Link header, or begin without a cursor.",
)
_NO_CURSOR = InvalidRequest(
    "cursor: this is none of this server's",
    hint="Take it from the Link header of the page before, as it is.",
)

Stored = Annotated[int, msgspec.Meta(ge=-_MAX, le=_MAX)]
"""What SQLite takes for a whole number."""
Microseconds = Annotated[int, msgspec.Meta(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999)]
"""From 1970 to what ``datetime`` can hold."""


class Cursor(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A place in one list: that of ``asked``, with its times as they were on the first page."""

    asked: str
    key: Stored
    seq: Annotated[int, msgspec.Meta(ge=0, le=_MAX)]
    since: Microseconds | None = None
    until: Microseconds | None = None


_decoder = msgspec.json.Decoder(Cursor)


def digest_of(parameters: Iterable[tuple[str, str]]) -> str:
    """Return what is equal for two lists when they are asked for alike, in any order."""
    text = msgspec.json.encode(sorted(parameters))
    return hashlib.sha256(text).hexdigest()[:16]


def encode_cursor(asked: str, place: Place, since: datetime | None, until: datetime | None) -> str:
    """Return the cursor for what comes behind ``place``."""
    cursor = Cursor(
        asked=asked,
        key=place.key or 0,
        seq=place.seq,
        since=_microseconds(since),
        until=_microseconds(until),
    )
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def decode_cursor(text: str, asked: str) -> tuple[Place, datetime | None, datetime | None]:
    """Return the place, and the list's ``since`` and ``until``.

    Raises:
        InvalidRequest: it is none, or one of another list.

    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = _decoder.decode(raw)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise _NO_CURSOR from None
    if cursor.asked != asked:
        raise _OF_OTHERS
    return Place(cursor.seq, cursor.key), _moment(cursor.since), _moment(cursor.until)


def old_cursor(text: str) -> Place:
    """Return the place that a cursor of the first version names: the number of a submission.

    Raises:
        InvalidRequest: it is not such a number.

    """
    if not 1 <= (seq := int(text)) <= _MAX:
        raise _NO_CURSOR
    return Place(seq, None)


def _microseconds(when: datetime | None) -> int | None:
    return None if when is None else (when - _EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
