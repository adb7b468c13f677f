"""What is sent, and how it is signed: held against the reference library."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Reference
from standardwebhooks import WebhookVerificationError

from ci_common.job_events import EventType, StoredEvent
from ci_common.jobs import EndReason, JobStatus
from ci_common.webhooks import (
    Webhook,
    job_message,
    new_secret,
    ping_message,
    read_secret,
    signature,
)

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def change(kind: EventType = EventType.ENDED, **fields) -> StoredEvent:
    values = {"seq": 7, "at": AT, "job_id": "j1", "project": "p", "submitter": "s", "attempt": 1}
    return StoredEvent(type=kind, **(values | fields))


class TestSignature:
    @given(body=st.text(), number=st.integers(1, 2))
    def test_each_secret_verifies(self, body, number):
        secrets = [new_secret() for _ in range(number)]
        now = int(datetime.now(UTC).timestamp())
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(now),
            "webhook-signature": signature("msg_1", now, body.encode(), secrets),
        }
        for secret in secrets:
            Reference(secret).verify(body, headers, json_parse=False)
        with pytest.raises(WebhookVerificationError):
            Reference(secrets[0]).verify(body + "x", headers, json_parse=False)
        with pytest.raises(WebhookVerificationError):
            Reference(new_secret()).verify(body, headers, json_parse=False)

    def test_secrets_are_not_equal_and_long_enough(self):
        assert new_secret() != new_secret()
        assert len(read_secret(new_secret())) == 32

    @pytest.mark.parametrize(
        "text",
        ["", "whsec_", "whsec_c2hvcnQ=", "d" * 44, "whsec_" + "!" * 44, "whsec_" + "A" * 100],
    )
    def test_what_is_no_secret_is_refused_and_not_repeated(self, text):
        with pytest.raises(ValueError, match="a secret is whsec_") as refused:
            read_secret(text)
        assert not text[6:] or text[6:] not in str(refused.value)

    def test_an_old_secret_signs_until_its_time(self):
        hook = Webhook(
            id="w", url="u", created_at=AT, secret="new", old_secret="old", old_secret_until=AT
        )
        assert hook.secrets(AT - timedelta(seconds=1)) == ("new", "old")
        assert hook.secrets(AT) == ("new",)


class TestMessage:
    def test_of_a_job_that_is_gone(self):
        ended = change(status=JobStatus.COMPLETED, reason=EndReason.FAILED, exit_code=1)
        message = json.loads(job_message(ended, None, "https://ci.example/"))
        assert message["type"] == "job.ended"
        assert message["version"] == 1
        assert message["timestamp"] == "2026-01-01T12:00:00.000Z"
        assert message["data"]["event"] == 7
        job = message["data"]["job"]
        assert (job["job_id"], job["status"], job["success"]) == ("j1", "completed", False)
        assert (job["reason"], job["exit_code"]) == ("failed", 1)
        assert message["data"]["links"] == {
            "job": "https://ci.example/api/v1/jobs/j1",
            "log": "https://ci.example/api/v1/jobs/j1/log",
        }

    def test_of_a_stop_that_was_asked_for(self):
        stopping = change(EventType.STOPPING, status=JobStatus.RUNNING, reason=EndReason.CANCELLED)
        job = json.loads(job_message(stopping, None))["data"]["job"]
        assert (job["stopping"], job["reason"], job["success"]) == ("cancelled", None, None)

    def test_of_a_ping(self):
        hook = Webhook(id="wh_1", url="u", created_at=AT, secret="s", description="d")
        message = json.loads(ping_message(hook, AT))
        assert message["type"] == "ping"
        assert message["data"] == {"webhook": "wh_1", "description": "d"}


class TestWanting:
    HOOK = Webhook(id="w", url="u", created_at=AT, secret="s")

    def test_the_end_alone_if_nothing_is_said(self):
        told = [kind for kind in EventType if self.HOOK.wants(change(kind))]
        assert told == [EventType.ENDED]

    def test_filters(self):
        both = (EventType.ENDED, EventType.STOPPING)
        hook = Webhook(
            id="w", url="u", created_at=AT, secret="s", types=both, projects=["p"],
            reasons=[EndReason.FAILED],
        )  # fmt: skip
        assert hook.wants(change(reason=EndReason.FAILED))
        assert not hook.wants(change(reason=EndReason.PASSED))
        assert not hook.wants(change(reason=EndReason.FAILED, project="q"))
        assert hook.wants(change(EventType.STOPPING, reason=EndReason.CANCELLED))
