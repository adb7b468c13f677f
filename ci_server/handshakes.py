"""A WebSocket that is refused before it is one: with an HTTP answer, where the server can."""

from typing import Any

import msgspec
from litestar.types import Scope, Send

from ci_common.api import PROBLEM_MEDIA_TYPE
from ci_server.problems import described

POLICY_VIOLATION = 1008
"""The code with which a connection is closed where no HTTP answer can be given (RFC 6455)."""


async def refuse_handshake(scope: Scope, send: Send, error: Exception) -> None:
    """Answer the request to open a WebSocket with the problem document of ``error``."""
    put: Any = send
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await put({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})
        return
    problem, told = described(scope, error)
    headers = [(b"content-type", PROBLEM_MEDIA_TYPE.encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in told.items()]
    await put(
        {"type": "websocket.http.response.start", "status": problem.status, "headers": headers}
    )
    await put({"type": "websocket.http.response.body", "body": msgspec.json.encode(problem)})
