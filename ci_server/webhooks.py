"""Webhooks as those who manage them see them: checked before they are kept."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from msgspec.structs import asdict

from ci_common.access import NOBODYS
from ci_common.api.webhooks import WebhookChange, WebhookRequest, WebhookRotation
from ci_common.clock import Clock
from ci_common.errors import InvalidRequest
from ci_common.signals import WEBHOOKS, Signals
from ci_common.webhooks import (
    Delivery,
    DestinationRules,
    Webhook,
    WebhookStore,
    new_secret,
    ping_message,
    read_secret,
)
from ci_common.webhooks.model import PING

T = TypeVar("T")

MOST_WEBHOOKS = 100
"""Of one organisation. Each has connections of its own, so that one does not wait for another."""


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Changes webhooks, in whichever process it is; who delivers is told by signal."""

    store: WebhookStore
    signals: Signals
    clock: Clock
    rules: DestinationRules

    async def add(self, asked: WebhookRequest, organisation: str = NOBODYS) -> Webhook:
        """Keep a new webhook of an organisation; return it with its secret.

        Raises ``InvalidRequest``.
        """
        webhook = Webhook(
            id=f"wh_{secrets.token_hex(8)}",
            url=self._checked_url(asked.url),
            secret=_checked_secret(asked.secret),
            created_at=self.clock.now().wall,
            organisation=organisation,
            description=asked.description,
            types=_unique(asked.types),
            projects=_unique(asked.projects),
            reasons=_unique(asked.reasons),
        )
        there = [each for each in await self.store.all() if each.organisation == organisation]
        if len(there) >= MOST_WEBHOOKS:
            raise InvalidRequest(
                f"there are {MOST_WEBHOOKS} webhooks already", hint="remove one first"
            )
        return await self.store.add(webhook)

    async def change(self, webhook_id: str, asked: WebhookChange) -> Webhook:
        """Change what is asked for; return the webhook. Raises ``InvalidRequest``."""
        found = await self.store.get(webhook_id)
        changed = replace(
            found,
            url=found.url if asked.url is None else self._checked_url(asked.url),
            description=_or(asked.description, found.description),
            types=_unique(_or(asked.types, found.types)),
            projects=_unique(_or(asked.projects, found.projects)),
            reasons=_unique(_or(asked.reasons, found.reasons)),
            enabled=_or(asked.enabled, found.enabled),
        )
        kept = await self.store.change(changed)
        self.signals.notify(WEBHOOKS)
        return kept

    async def rotate(self, webhook_id: str, asked: WebhookRotation) -> Webhook:
        """Give it a new secret; return it. Raises ``InvalidRequest``."""
        until = self.clock.now().wall + timedelta(seconds=asked.overlap)
        secret = _checked_secret(asked.secret)
        return await self.store.rotate(webhook_id, secret=secret, old_until=until)

    async def test(self, webhook_id: str) -> Delivery:
        """Have a ``ping`` sent; return its delivery."""
        webhook = await self.store.get(webhook_id)
        now = self.clock.now().wall
        body = ping_message(webhook, now)
        delivery = await self.store.enqueue(webhook_id, kind=PING, body=body, now=now)
        self.signals.notify(WEBHOOKS)
        return delivery

    async def redeliver(self, delivery_id: str) -> Delivery:
        """Have a delivery tried now; return it."""
        delivery = await self.store.redeliver(delivery_id, now=self.clock.now().wall)
        self.signals.notify(WEBHOOKS)
        return delivery

    def _checked_url(self, url: str) -> str:
        try:
            self.rules.read(url)
        except ValueError as error:
            raise InvalidRequest(f"url: {error}") from error
        return url


def what_changes(asked: WebhookChange) -> str:
    """Return what is asked to change, without the values: an address may hold a token."""
    given = {name: value for name, value in asdict(asked).items() if value is not None}
    if "enabled" in given:
        given["enabled" if given.pop("enabled") else "disabled"] = True
    return ", ".join(given)


def _checked_secret(secret: str | None) -> str:
    if secret is None:
        return new_secret()
    try:
        read_secret(secret)
    except ValueError as error:
        raise InvalidRequest(f"secret: {error}") from None
    return secret


def _unique(values: Sequence[T]) -> Sequence[T]:
    return list(dict.fromkeys(values))


def _or(asked: T | None, present: T) -> T:
    return present if asked is None else asked
