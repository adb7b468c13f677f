"""`ci webhooks`, called in this process."""

import json
from typing import Any

import pytest

from tests.unit.client.cli_harness import Ci
from tests.unit.client.scripted_server import Script, answer, problem

WEBHOOK: dict[str, Any] = {
    "id": "wh_1",
    "url": "https://x.example/",
    "description": "chat\x1b[0m",
    "types": ["job.ended"],
    "projects": ["p"],
    "reasons": ["failed"],
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "created_at": "2026-01-01T10:00:00.000Z",
    "old_secret_until": None,
}
DELIVERY: dict[str, Any] = {
    "id": "msg_1",
    "webhook_id": "wh_1",
    "type": "job.ended",
    "job_id": "550e8400-e29b-41d4-a716-446655440000",
    "state": "pending",
    "attempts": 0,
    "created_at": "2026-01-01T10:00:00.000Z",
    "next_try": "2026-01-01T10:05:00.000Z",
    "last_try": None,
    "last_status": None,
    "last_error": None,
    "last_response": None,
    "last_seconds": None,
    "body": None,
}
ARRIVED = DELIVERY | {"state": "delivered", "attempts": 1, "last_status": 204, "next_try": None}
REFUSED = DELIVERY | {"attempts": 1, "last_status": 500, "last_error": "it answered 500"}


def asked(script: Script) -> list[tuple[str, str, Any]]:
    return [
        (seen.method, seen.path, json.loads(seen.body) if seen.body else None)
        for seen in script.seen
    ]


class TestLs:
    def test_a_line_for_each(self, ci: Ci, script: Script) -> None:
        failing = WEBHOOK | {"id": "wh_2", "failing_since": "2026-01-01T10:00:00.000Z"}
        silent = WEBHOOK | {"id": "wh_3", "enabled": False, "disabled_reason": "it is gone"}
        script.will(answer([WEBHOOK, failing, silent]))
        outcome = ci("webhooks", "ls")
        header, first, second, third = outcome.out.splitlines()
        assert header.split() == ["WEBHOOK", "STATE", "TYPES", "ONLY", "URL", "DESCRIPTION"]
        assert first.split()[:5] == [
            "wh_1", "enabled", "job.ended", "p,failed", "https://x.example/",
        ]  # fmt: skip
        assert "\x1b" not in first
        assert (second.split()[1], third.split()[1]) == ("failing", "disabled")
        assert "wh_3 is disabled: it is gone" in outcome.err
        assert "ci webhooks enable wh_3" in outcome.err
        assert asked(script) == [("GET", "/api/v1/webhooks", None)]

    def test_as_json_and_nothing(self, ci: Ci, script: Script) -> None:
        script.will(answer([WEBHOOK]), answer([]))
        assert json.loads(ci("webhooks", "ls", "--json").out) == WEBHOOK
        nothing = ci("webhooks", "ls")
        assert (nothing.code, nothing.out) == (0, "")
        assert "ci webhooks add" in nothing.err


class TestAdd:
    def test_the_secret_alone_is_data(self, ci: Ci, script: Script) -> None:
        script.will(answer(WEBHOOK | {"secret": "whsec_x"}, 201))
        outcome = ci("webhooks", "add", "https://x.example/")
        assert (outcome.code, outcome.out) == (0, "whsec_x\n")
        assert "ci webhooks test wh_1" in outcome.err
        assert asked(script) == [("POST", "/api/v1/webhooks", {"url": "https://x.example/"})]

    def test_all_that_can_be_said(self, ci: Ci, script: Script) -> None:
        script.will(answer(WEBHOOK | {"secret": "whsec_x"}, 201))
        outcome = ci(
            "webhooks", "add", "https://x.example/", "--type", "job.queued", "--type", "job.ended",
            "--project", "p", "--reason", "failed", "--description", "d", "--json",
        )  # fmt: skip
        assert json.loads(outcome.out)["secret"] == "whsec_x"
        assert asked(script)[0][2] == {
            "url": "https://x.example/",
            "types": ["job.queued", "job.ended"],
            "projects": ["p"],
            "reasons": ["failed"],
            "description": "d",
        }

    def test_a_refusal_is_a_usage_error(self, ci: Ci, script: Script) -> None:
        script.will(problem(400, "invalid_request", "url: only https:// may be told"))
        outcome = ci("webhooks", "add", "http://x.example/")
        assert (outcome.code, outcome.out) == (2, "")
        assert "url: only https" in outcome.err


class TestTrying:
    @pytest.mark.parametrize(
        ("words", "path"),
        [
            (("test", "wh_1"), "/api/v1/webhooks/wh_1/test"),
            (("redeliver", "msg_1"), "/api/v1/webhooks/deliveries/msg_1/redeliver"),
        ],
    )
    def test_it_waits_for_the_first_try(
        self, ci: Ci, script: Script, words: tuple[str, ...], path: str
    ) -> None:
        script.will(answer(DELIVERY, 202), answer(DELIVERY), answer(ARRIVED))
        outcome = ci("webhooks", *words)
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err == "job.ended msg_1 has arrived: 204\n"
        looks = ("GET", "/api/v1/webhooks/deliveries/msg_1", None)
        assert asked(script) == [("POST", path, None), looks, looks]

    def test_what_did_not_arrive(self, ci: Ci, script: Script) -> None:
        script.will(answer(DELIVERY, 202), answer(REFUSED))
        outcome = ci("webhooks", "test", "wh_1", "--json")
        assert outcome.code == 3
        assert json.loads(outcome.out) == REFUSED
        assert "has not arrived: it answered 500" in outcome.err

    def test_without_waiting(self, ci: Ci, script: Script) -> None:
        script.will(answer(DELIVERY, 202))
        assert ci("webhooks", "test", "wh_1", "--no-wait").code == 0
        assert len(script.seen) == 1


class TestDeliveries:
    def test_pages_are_gone_through(self, ci: Ci, script: Script) -> None:
        path = "/api/v1/webhooks/wh_1/deliveries"
        link = f'<{path}?limit=100&cursor=9&state=dead>; rel="next"'
        script.will(answer([REFUSED], link=link), answer([ARRIVED]))
        outcome = ci("webhooks", "deliveries", "wh_1", "--state", "dead")
        header, first, second = outcome.out.splitlines()
        assert header.split()[:4] == ["DELIVERY", "STATE", "TYPE", "JOB"]
        assert "it answered 500" in first
        assert second.split()[:4] == ["msg_1", "delivered", "job.ended", "550e8400"]
        assert [line for _, line, _ in asked(script)] == [
            f"{path}?limit=20&state=dead",
            f"{path}?limit=100&cursor=9&state=dead",
        ]

    def test_the_dead(self, ci: Ci, script: Script) -> None:
        script.will(answer([REFUSED]), answer([]))
        outcome = ci("webhooks", "dead", "-n", "5")
        assert "ci webhooks redeliver msg_1" in outcome.err
        assert script.seen[0].path == "/api/v1/webhooks/dead?limit=5"
        assert ci("webhooks", "dead").err == "there are none\n"


class TestRotate:
    def test_the_new_secret(self, ci: Ci, script: Script) -> None:
        script.will(answer(WEBHOOK | {"secret": "whsec_y", "old_secret_until": "2026-…"}))
        assert ci("webhooks", "rotate", "wh_1", "--overlap", "1h").out == "whsec_y\n"
        assert asked(script) == [("POST", "/api/v1/webhooks/wh_1/rotate", {"overlap": 3600.0})]

    def test_a_time_that_is_none(self, ci: Ci, script: Script) -> None:
        outcome = ci("webhooks", "rotate", "wh_1", "--overlap", "soon")
        assert (outcome.code, script.seen) == (2, [])
        assert "--overlap" in outcome.err
