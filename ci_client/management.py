"""What a server has under ``/api/v1`` only: documents, lists, the queue."""

from __future__ import annotations

from ci_client.documents import array_of, next_page, object_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any

    from ci_client.exchange import Response

    Ask = Callable[[str], AbstractContextManager[Response]]
    """Asks for a path and holds the answer open."""

_PAGE = 100
_LARGEST_PAGE = 1000


def read_pages(ask: Ask, path: str, query: str, limit: int) -> list[dict[str, Any]]:
    """Return at most ``limit`` items of a list, as its pages have them."""
    found: list[dict[str, Any]] = []
    asked: str | None = f"limit={min(limit, _PAGE)}&{query}".rstrip("&")
    while asked is not None and len(found) < limit:
        with ask(f"{path}?{asked}") as response:
            found += array_of(response)
        asked = next_page(response)
    return found[:limit]


def read_queue(ask: Ask, limit: int | None) -> dict[str, Any]:
    """Return the queue, with at most ``limit`` that wait; None for all."""
    query: str | None = f"limit={min(limit or _LARGEST_PAGE, _LARGEST_PAGE)}"
    whole: dict[str, Any] = {}
    while query is not None and (limit is None or len(whole.get("queued", ())) < limit):
        with ask(f"/queue?{query}") as response:
            part = object_of(response)
        query = next_page(response)
        # Between two pages the queue may have moved up; nobody is shown twice.
        before = {job["job_id"]: job for job in whole.get("queued", ())}
        rest = {job["job_id"]: job for job in part["queued"]}
        whole = part | {"queued": [*(before | rest).values()]}
    return whole | {"queued": whole["queued"][:limit]}
