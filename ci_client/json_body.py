"""A request's body that is a JSON document."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class JsonBody:
    """A JSON document as ``Http.send`` takes it; None is an empty body, which is said too."""

    patience = 0.0
    """Seconds that the server may take beyond the usual."""

    def __init__(self, document: object) -> None:
        self._content = b"" if document is None else json.dumps(document).encode()
        self.headers = {"Content-Length": str(len(self._content))}
        if document is not None:
            self.headers["Content-Type"] = "application/json"

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
