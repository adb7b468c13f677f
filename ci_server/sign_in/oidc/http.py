"""The HTTP that is spoken with a provider. Loaded with the first sign-in that goes there."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpcore2
import msgspec

from ci_common.errors import ProviderUnavailable

TIMEOUT = 10.0
"""Seconds an exchange may take."""

LONGEST_ANSWER = 1024**2
"""Bytes."""

_OK = 200


async def get(url: str, *, token: str | None = None) -> dict[str, Any]:
    """Return the JSON object at ``url``. Raises ``ProviderUnavailable``."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    status, document = await _exchange("GET", url, headers, None)
    if status != _OK:
        raise ProviderUnavailable(f"{url} answered with status {status}")
    return document


async def post(
    url: str, fields: Mapping[str, str], headers: Mapping[str, str]
) -> tuple[int, dict[str, Any]]:
    """Send a form; return the status and the JSON object. Raises ``ProviderUnavailable``."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return await _exchange("POST", url, {**headers, **kind}, urlencode(fields).encode())


async def _exchange(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[int, dict[str, Any]]:
    try:
        async with asyncio.timeout(TIMEOUT):
            status, content = await _exchanged(method, url, headers, body)
        document = msgspec.json.decode(content, type=dict[str, Any])
    except TimeoutError:
        raise ProviderUnavailable(f"{url} did not answer within {TIMEOUT:g} s") from None
    except msgspec.MsgspecError:
        raise ProviderUnavailable(f"{url} did not answer with a JSON object") from None
    except (OSError, httpcore2.NetworkError, httpcore2.ProtocolError) as failure:
        raise ProviderUnavailable(f"{url} cannot be reached: {failure}") from failure
    return status, document


async def _exchanged(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[int, bytes]:
    sent = [("Accept", "application/json"), *headers.items()]
    # Redirects are not followed: each address is one that the provider has announced.
    async with (
        httpcore2.AsyncConnectionPool(ssl_context=ssl.create_default_context()) as pool,
        pool.stream(method, url, headers=sent, content=body) as answer,
    ):
        content = b""
        async for piece in answer.aiter_stream():
            content += piece
            if len(content) > LONGEST_ANSWER:
                raise ProviderUnavailable(f"{url} answered with more than {LONGEST_ANSWER} bytes")
        return answer.status, content
