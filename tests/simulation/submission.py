"""Submissions as the server takes them, from the body of a request to the queued row."""

import asyncio
from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Any

from tests.fakes.manifests import SCOPE, manifest_of, pack
from tests.fakes.zips import honest_zip

_BOUNDARY = b"simulated"

SECRET_NAME, SECRET = "TOKEN", "open-sesame-please"
"""What jobs of the kind ``SECRETIVE`` are given, and say in each line."""

ORGANISATION, MOST_RUNNING = "org", 1
"""Whose the jobs of the kind ``RATIONED`` are, and how many of them may run at once."""

TIME_LIMIT = 25
"""Seconds that a job of the kind ``LIMITED`` may take."""


class Kind(StrEnum):
    """What a project needs, and how it comes."""

    PLAIN = "plain"
    IMPATIENT = "impatient"
    LIMITED = "limited"
    INSTALLS = "installs"
    INSTALLS_MORE = "installs more"
    NEEDS_PYTEST = "needs pytest"
    TREE = "tree"
    SECRETIVE = "secretive"
    RATIONED = "rationed"

    @property
    def organisation(self) -> str:
        """Whose such a job is."""
        return ORGANISATION if self is Kind.RATIONED else ""


_NOTHING = b"install = []\ncommand = ['make', 'check']\n"

_FILES: Mapping[Kind, Mapping[str, bytes]] = {
    Kind.PLAIN: {"ci.toml": _NOTHING, "a.txt": b"a"},
    Kind.IMPATIENT: {"ci.toml": _NOTHING, "a.txt": b"a"},
    Kind.LIMITED: {"ci.toml": _NOTHING + b"timeout = %d\n" % TIME_LIMIT},
    Kind.INSTALLS: {"requirements.txt": b"one==1\n", "test_it.py": b""},
    Kind.INSTALLS_MORE: {"requirements.txt": b"two==2\n", "test_it.py": b""},
    Kind.NEEDS_PYTEST: {"test_it.py": b"def test(): pass\n"},
    Kind.TREE: {"ci.toml": _NOTHING, "b.txt": b"b" * 100},
    Kind.SECRETIVE: {"ci.toml": b"secrets = ['%b']\n" % SECRET_NAME.encode() + _NOTHING},
    Kind.RATIONED: {"ci.toml": _NOTHING, "a.txt": b"a"},
}


class Pace(Enum):
    """How a request comes: seconds between its two halves, or only one of them."""

    AT_ONCE = 0.0
    SLOWLY = 45.0
    HALF = -1.0


class Form:
    """A request whose body is a multipart form, in two pieces."""

    client = None

    def __init__(self, headers: Mapping[str, str], body: bytes, pace: Pace) -> None:
        self.headers = headers
        self.scope: dict[str, Any] = {"state": {}}
        self._pieces = [body[: len(body) // 2], body[len(body) // 2 :]]
        self._pace = pace
        self._due = 0.0

    async def receive(self) -> dict[str, Any]:
        """Return the next piece; asked again before it has come, go on waiting for it."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._due - loop.time())
        if len(self._pieces) == 1 and self._pace is Pace.HALF:
            return {"type": "http.disconnect"}
        self._due = loop.time() + self._pace.value
        piece = self._pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}


def form_of(kind: Kind, key: str | None, pace: Pace) -> Form:
    """Return the request that submits a project of a kind, under an idempotency key if there is."""
    files = _FILES[kind]
    headers = {"content-type": f"multipart/form-data; boundary={_BOUNDARY.decode()}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    parts = {b"file": honest_zip(files)}
    if kind is Kind.TREE:
        headers["CI-Scope"] = SCOPE
        parts = {b"manifest": manifest_of(files), b"file": pack(*files.values())}
    if kind is Kind.IMPATIENT:
        parts[b"queue_timeout"] = b"1"
    body = b"".join(
        b'--%b\r\nContent-Disposition: form-data; name="%b"; filename="f"\r\n\r\n%b\r\n'
        % (_BOUNDARY, name, content)
        for name, content in parts.items()
    )
    body += b"--%b--\r\n" % _BOUNDARY
    return Form(headers, body, pace)
