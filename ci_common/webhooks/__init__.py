"""Telling other systems of jobs: who is told of what, and what became of it.

A *webhook* is an address that wants to be told. Each event that it wants makes
one *delivery*, a message with an id that never changes: it is repeated until
the receiver has taken it, so a receiver may see one more than once, and knows
it by its id. Messages are signed as Standard Webhooks has it.
"""

from ci_common.webhooks.destination import Destination, DestinationRules
from ci_common.webhooks.message import job_message, ping_message
from ci_common.webhooks.model import (
    Attempt,
    Delivery,
    DeliveryState,
    Next,
    Webhook,
)
from ci_common.webhooks.signature import new_secret, read_secret, signature
from ci_common.webhooks.store import Due, Render, WebhookStore

__all__ = [
    "Attempt",
    "Delivery",
    "DeliveryState",
    "Destination",
    "DestinationRules",
    "Due",
    "Next",
    "Render",
    "Webhook",
    "WebhookStore",
    "job_message",
    "new_secret",
    "ping_message",
    "read_secret",
    "signature",
]
