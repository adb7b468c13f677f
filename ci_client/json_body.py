"""A request's body that is a JSON document."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class JsonBody:
    """A JSON document as ``Http.send`` takes it."""

    patience = 0.0
    """Seconds that the server may take beyond the usual."""

    def __init__(self, document: object) -> None:
        self._content = json.dumps(document).encode()
        self.headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(self._content)),
        }

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
