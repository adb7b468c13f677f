"""The documents that a server answers with."""

from __future__ import annotations

from ci_common.errors import ServerRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ci_client.exchange import Response

_NEXT_PAGE = r'<([^>]*)>\s*;\s*rel="?next\b'


def next_page(response: Response) -> str | None:
    """Return the query of the page after this one; None for the last."""
    import re
    from urllib.parse import urlsplit

    found = re.search(_NEXT_PAGE, response.headers.get("link", ""))
    # Only what it asks for counts: a server behind a proxy may not know its own address.
    return urlsplit(found[1]).query if found else None


def object_of(response: Response) -> dict[str, Any]:
    """Return the JSON object of an answer. Raises ``ServerRefused``."""
    content = json_of(response)
    if not isinstance(content, dict):
        raise nonsense(response)
    return content


def array_of(response: Response) -> list[dict[str, Any]]:
    """Return the JSON array of an answer. Raises ``ServerRefused``."""
    content = json_of(response)
    if not isinstance(content, list):
        raise nonsense(response)
    return content


def json_of(response: Response) -> object:
    """Return the JSON of an answer. Raises ``ServerRefused``."""
    import json

    try:
        return json.loads(response.read())
    except ValueError:
        raise nonsense(response) from None


def nonsense(response: Response) -> ServerRefused:
    """Return what to say of an answer that is not our server's."""
    return ServerRefused(
        f"the answer of {response.url} makes no sense to this client",
        hint="Is there really a Standby CI server at that address?",
    )
