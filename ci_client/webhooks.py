"""What a server can be asked for about webhooks."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from ci_client.session import Session

WebhookDict = dict[str, Any]
"""A webhook or a delivery, as ``ci_common.api.webhooks`` has them."""

_PAUSE = 0.2
"""Seconds between two looks at a delivery."""

_PATIENCE = 40.0
"""Seconds in which a first try has ended, unless nobody delivers."""


class WebhookCalls:
    """The calls, through a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self) -> list[WebhookDict]:
        """Return every webhook."""
        found: list[WebhookDict] = self._session.manage(
            "GET", self._session.of_organisation("/webhooks")
        )
        return found

    def add(self, asked: WebhookDict) -> WebhookDict:
        """Add a webhook; return it with its secret."""
        return self._object("POST", "/webhooks", asked)

    def change(self, webhook_id: str, asked: WebhookDict) -> WebhookDict:
        """Change a webhook; return it."""
        return self._object("PATCH", _path(webhook_id), asked)

    def remove(self, webhook_id: str) -> None:
        """Remove a webhook with its deliveries."""
        self._session.manage("DELETE", _path(webhook_id))

    def rotate(self, webhook_id: str, *, overlap: float) -> WebhookDict:
        """Replace the secret; return the webhook with the new one."""
        return self._object("POST", _path(webhook_id) + "/rotate", {"overlap": overlap})

    def test(self, webhook_id: str) -> WebhookDict:
        """Have a ping sent; return its delivery."""
        return self._object("POST", _path(webhook_id) + "/test")

    def deliveries(self, webhook_id: str, state: str | None, limit: int) -> list[WebhookDict]:
        """Return deliveries of a webhook, the newest first."""
        query = "" if state is None else f"state={quote(state)}"
        return self._session.pages(_path(webhook_id) + "/deliveries", query, limit)

    def dead(self, limit: int) -> list[WebhookDict]:
        """Return deliveries that are not tried any more, the newest first."""
        return self._session.pages(
            "/webhooks/dead", self._session.of_organisation("").lstrip("?"), limit
        )

    def redeliver(self, delivery_id: str) -> WebhookDict:
        """Have a delivery tried now; return it."""
        return self._object("POST", f"{_delivery_path(delivery_id)}/redeliver")

    def tried(
        self, delivery: WebhookDict, pause: Callable[[float], object] = time.sleep
    ) -> WebhookDict:
        """Return a delivery once it has been tried again; as it is, if that takes too long."""
        seen, waited = delivery, 0.0
        while seen["attempts"] == delivery["attempts"] and waited < _PATIENCE:
            pause(_PAUSE)
            waited += _PAUSE
            seen = self._object("GET", _delivery_path(delivery["id"]))
        return seen

    def _object(self, method: str, path: str, document: object = None) -> WebhookDict:
        found: WebhookDict = self._session.manage(method, path, document)
        return found


def _path(webhook_id: str) -> str:
    return f"/webhooks/{quote(webhook_id, safe='')}"


def _delivery_path(delivery_id: str) -> str:
    return f"/webhooks/deliveries/{quote(delivery_id, safe='')}"
