"""From bytes of a log to pieces of text, exact to the byte.

Resuming works because a piece always ends at a byte whose left side is decoded
for good: decoding from there again gives exactly what would have followed.
"""

import codecs


def decode_chunk(data: bytes, *, final: bool) -> tuple[str, int]:
    """Return the text of ``data`` and how many of its bytes that text stands for.

    A character whose bytes have not all come is left for later (at most three
    bytes), unless ``final`` says that nothing more will come. Invalid bytes
    become U+FFFD.
    """
    return codecs.utf_8_decode(data, "replace", final)


def unfinished(tail: bytes) -> int:
    """Return how many bytes at the end of ``tail`` begin a character that is not whole, 0 to 3."""
    return len(tail) - decode_chunk(tail, final=False)[1]
