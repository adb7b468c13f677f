"""Examples of webhooks and their deliveries."""

import msgspec

from ci_common.api.webhooks import (
    DeliveryView,
    WebhookChange,
    WebhookRequest,
    WebhookRotation,
    WebhookView,
    WebhookWithSecret,
)
from ci_common.job_events import EventType
from ci_common.jobs import EndReason

WEBHOOK_ID = "wh_2b7c51d0e94f4a36"
DELIVERY_ID = "msg_6e1f0a93c8d24b75"
_URL = "https://chat.example/hooks/ci"
_VIEW = WebhookView(
    id=WEBHOOK_ID,
    url=_URL,
    description="the team's chat",
    types=["job.ended"],
    projects=["demo"],
    reasons=["failed"],
    enabled=True,
    disabled_reason=None,
    failing_since=None,
    created_at="2026-11-20T16:02:11.004Z",
    old_secret_until=None,
)

WEBHOOKS = (
    WebhookRequest(
        url=_URL,
        description="the team's chat",
        types=[EventType.ENDED],
        projects=["demo"],
        reasons=[EndReason.FAILED],
    ),
    WebhookChange(enabled=False),
    WebhookRotation(overlap=3600.0),
    _VIEW,
    WebhookWithSecret(
        **msgspec.structs.asdict(_VIEW), secret="whsec_" + "c3RhbmRieS1jaS1leGFtcGxl"
    ),
    DeliveryView(
        id=DELIVERY_ID,
        webhook_id=WEBHOOK_ID,
        type="job.ended",
        job_id="3f2a9c1e-7d54-4c0b-9f0e-1b2d3c4e5f60",
        state="pending",
        attempts=1,
        created_at="2026-11-21T09:30:12.750Z",
        next_try="2026-11-21T09:30:18.102Z",
        last_try="2026-11-21T09:30:12.761Z",
        last_status=503,
        last_error=None,
        last_response="try later",
        last_seconds=0.082,
    ),
)
