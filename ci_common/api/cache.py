"""What a server keeps to be faster the next time, as HTTP shows it."""

import msgspec


class CacheEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is kept. ``kind`` is ``dependencies``; later versions may add others.

    Times are UTC in RFC 3339 with a ``Z``. ``image`` is what the dependencies
    were installed in, ``about`` the commands that did it.
    """

    kind: str
    key: str
    size_bytes: int
    created_at: str
    last_used_at: str
    image: str
    about: str
