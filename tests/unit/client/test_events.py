"""Streams that break, and how they go on."""

import asyncio
import re
from contextlib import aclosing
from typing import Any

import pytest

from ci_client.api import CIClient
from ci_client.upload import Submission
from ci_common.backoff import Backoff
from ci_common.errors import (
    AuthenticationFailed,
    JobNotFound,
    ServerRefused,
    ServerUnreachable,
    StorageBusy,
)
from ci_common.events import CompleteEvent, JobIdEvent, LogEvent, StatusEvent
from tests.unit.client.scripted_server import (
    Handler,
    Script,
    answer,
    drop,
    message,
    problem,
    stream,
)

JOB = "550e8400-e29b-41d4-a716-446655440000"
FAST = Backoff(first=0.001, longest=0.001)
PASSED = message(CompleteEvent(success=True, exit_code=0, reason="passed"), 6)
IMPATIENT = 0.05


def client_of(script: Script, **options: Any) -> CIClient:
    return CIClient(script.url, **{"backoff": FAST, **options})


async def follow(script: Script, **options: Any) -> list[dict[str, Any]]:
    arguments = {
        name: options.pop(name) for name in ("from_beginning", "offset") if name in options
    }
    async with (
        client_of(script, **options) as client,
        aclosing(client.follow(JOB, **arguments)) as events,
    ):
        return [event async for event in events]


def texts(events: list[dict[str, Any]]) -> str:
    return "".join(event["data"] for event in events if event["type"] == "log")


async def test_a_whole_stream_is_yielded_as_it_is(script: Script) -> None:
    script.will(
        stream(
            message(StatusEvent(status="queued", position=2), 0),
            message(StatusEvent(status="running"), 0),
            message(LogEvent("abc\r\n\x00é"), 6),
            PASSED,
        )
    )
    assert await follow(script) == [
        {"type": "status", "status": "queued", "position": 2},
        {"type": "status", "status": "running"},
        {"type": "log", "data": "abc\r\n\x00é"},
        {"type": "complete", "success": True, "exit_code": 0, "reason": "passed", "detail": None},
    ]
    assert script.seen[0].path == f"/jobs/{JOB}/stream?from_beginning=false"
    assert script.seen[0].headers["accept"] == "text/event-stream"
    assert "last-event-id" not in script.seen[0].headers


@pytest.mark.parametrize("ending", ["cut", "whole"])
async def test_a_stream_without_complete_is_resumed_where_it_broke(
    script: Script, ending: str
) -> None:
    notices: list[str] = []
    script.will(
        stream(message(LogEvent("one "), 4), ending=ending),
        stream(message(LogEvent("two "), 8), ending=ending),
        stream(message(LogEvent("three"), 13), PASSED),
    )
    events = await follow(script, from_beginning=True, notify=notices.append)
    assert texts(events) == "one two three"
    assert [seen.headers.get("last-event-id") for seen in script.seen] == [None, "4", "8"]
    assert all("from_beginning=true" in seen.path for seen in script.seen)
    assert len(notices) == 4
    assert "connection lost" in notices[0]
    assert notices[1] == "reconnected"


async def test_events_cut_anywhere_are_put_together(script: Script) -> None:
    whole = message(LogEvent("größe €"), 4) + b": ping\n\n" + PASSED
    script.will(stream(*(bytes([byte]) for byte in whole)))
    assert texts(await follow(script)) == "größe €"


async def test_half_an_event_at_a_break_is_not_taken_for_one(script: Script) -> None:
    half = message(LogEvent("two"), 7)[:-1]
    script.will(
        stream(message(LogEvent("one "), 4), half, ending="cut"),
        stream(message(LogEvent("two"), 7), PASSED),
    )
    assert texts(await follow(script)) == "one two"
    assert script.seen[1].headers["last-event-id"] == "4"


async def test_types_we_do_not_know_are_ignored(script: Script) -> None:
    script.will(stream(message({"type": "artifact", "name": "x"}, 0), message({}), PASSED))
    assert [event["type"] for event in await follow(script)] == ["complete"]


async def test_a_repeated_status_is_told_once(script: Script) -> None:
    running = message(StatusEvent(status="running"), 0)
    script.will(stream(running, ending="cut"), stream(running, PASSED))
    assert [event["type"] for event in await follow(script)] == ["status", "complete"]


async def test_following_from_an_offset_asks_for_it(script: Script) -> None:
    script.will(stream(PASSED))
    await follow(script, offset=1234)
    assert script.seen[0].headers["last-event-id"] == "1234"


async def test_a_server_that_stays_away_is_given_up_with_the_way_back(script: Script) -> None:
    script.will(stream(message(LogEvent("x"), 1), ending="cut"), drop)
    with pytest.raises(ServerUnreachable) as caught:
        await follow(script, reconnect_timeout=IMPATIENT)
    assert f"ci wait {JOB} --all" in str(caught.value.hint)
    assert len(script.seen) > 2


async def test_a_server_that_accepts_and_says_nothing_new_is_given_up_too(script: Script) -> None:
    running = message(StatusEvent(status="running"), 0)
    script.will(stream(running))
    with pytest.raises(ServerUnreachable, match="closed from there"):
        await follow(script, reconnect_timeout=IMPATIENT)


async def test_nobody_there_is_said_at_once(unused_tcp_port: int) -> None:
    async with CIClient(f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(ServerUnreachable, match="connection refused") as caught:
            await anext(client.follow(JOB))
    assert "ci serve" in str(caught.value.hint)


async def test_a_refusal_after_a_break_ends_it(script: Script) -> None:
    script.will(
        stream(message(LogEvent("x"), 1), ending="cut"),
        problem(404, "job_not_found", "no such job"),
    )
    with pytest.raises(JobNotFound, match="no such job"):
        await follow(script)


async def test_a_busy_server_is_asked_again(script: Script) -> None:
    script.will(problem(503, "storage_busy", "locked", Retry_After="0"), stream(PASSED))
    assert len(await follow(script)) == 1


async def test_one_that_takes_no_more_requests_is_asked_again(script: Script) -> None:
    script.will(problem(429, "rate_limited", "too many", Retry_After="0"), stream(PASSED))
    assert len(await follow(script)) == 1


async def test_a_server_that_stays_busy_is_quoted(script: Script) -> None:
    script.will(problem(503, "storage_busy", "the database is locked"))
    with pytest.raises(StorageBusy, match="the database is locked"):
        await follow(script, reconnect_timeout=IMPATIENT)


async def test_retry_after_beyond_our_patience_is_not_waited_for(script: Script) -> None:
    script.will(problem(503, "storage_busy", "locked", Retry_After="3600"))
    with pytest.raises(StorageBusy):
        await follow(script)
    assert len(script.seen) == 1


async def test_a_refused_key_is_not_tried_twice(script: Script) -> None:
    script.will(problem(401, "authentication_failed", "who are you"))
    with pytest.raises(AuthenticationFailed, match="who are you"):
        await follow(script)
    assert len(script.seen) == 1


async def test_an_answer_that_is_no_stream_is_refused(script: Script) -> None:
    script.will(answer(b"<html>hello</html>", content_type="text/html"))
    with pytest.raises(ServerRefused, match="text/html"):
        await follow(script)


async def test_a_stream_of_something_else_is_refused(script: Script) -> None:
    script.will(stream(b"data: hello\n\n"))
    with pytest.raises(ServerRefused, match="no event"):
        await follow(script)


class TestSubmitting:
    async def submit(self, script: Script, submission: Submission) -> list[dict[str, Any]]:
        async with (
            client_of(script) as client,
            aclosing(client.submit_streaming(submission)) as events,
        ):
            return [event async for event in events]

    async def test_a_break_after_the_job_id_resumes_by_get(
        self, script: Script, submission: Submission
    ) -> None:
        script.will(
            stream(message(JobIdEvent(JOB), 0), message(LogEvent("one "), 4), ending="cut"),
            stream(message(LogEvent("two"), 7), PASSED),
        )
        events = await self.submit(script, submission)
        assert [event["type"] for event in events] == ["job_id", "log", "log", "complete"]
        assert [(seen.method, seen.path) for seen in script.seen] == [
            ("POST", "/submit-stream"),
            ("GET", f"/jobs/{JOB}/stream?from_beginning=true"),
        ]
        assert script.seen[1].headers["last-event-id"] == "4"

    async def test_a_break_before_the_job_id_repeats_the_submission_under_the_same_key(
        self, script: Script, submission: Submission
    ) -> None:
        script.will(drop, stream(ending="cut"), stream(message(JobIdEvent(JOB), 0), PASSED))
        await self.submit(script, submission)
        assert [seen.method for seen in script.seen] == ["POST"] * 3
        assert {seen.headers["idempotency-key"] for seen in script.seen} == {submission.key}
        assert len({_zip_in(seen.body) for seen in script.seen}) == 1

    async def test_the_form_has_its_fields_before_the_file(
        self, script: Script, submission: Submission
    ) -> None:
        script.will(stream(message(JobIdEvent(JOB), 0), PASSED))
        await self.submit(script, submission)
        names = re.findall(rb'name="(\w+)"', script.seen[0].body)
        assert names == [b"project", b"command", b"file"]
        assert b'filename="project.zip"' in script.seen[0].body
        assert b'["pytest", "-x", "a b"]' in script.seen[0].body
        assert _zip_in(script.seen[0].body) == b"zip bytes"

    async def test_progress_is_told(self, script: Script, submission: Submission) -> None:
        told: list[tuple[int, int]] = []
        submission.progress = lambda sent, total: told.append((sent, total))
        script.will(stream(message(JobIdEvent(JOB), 0), PASSED))
        await self.submit(script, submission)
        assert told[-1] == (9, 9)

    async def test_without_waiting_the_id_comes_back(
        self, script: Script, submission: Submission
    ) -> None:
        script.will(drop, answer({"job_id": JOB}, 201))
        async with client_of(script) as client:
            assert await client.submit(submission) == JOB
        assert {seen.headers["idempotency-key"] for seen in script.seen} == {submission.key}

    @pytest.mark.parametrize("content", [{}, [], b"<html>"])
    async def test_an_answer_without_an_id_is_refused(
        self, script: Script, submission: Submission, content: Any
    ) -> None:
        script.will(answer(content))
        async with client_of(script) as client:
            with pytest.raises(ServerRefused):
                await client.submit(submission)

    async def test_a_refused_upload_says_what_the_server_says(
        self, script: Script, submission: Submission
    ) -> None:
        script.will(problem(400, "invalid_archive", "two files named a"))
        with pytest.raises(Exception, match="two files named a") as caught:
            await self.submit(script, submission)
        assert getattr(caught.value, "code", "") == "invalid_archive"
        assert getattr(caught.value, "hint", "") == "do it better"


@pytest.fixture
def submission(tmp_path: Any) -> Any:
    path = tmp_path / "x.zip"
    path.write_bytes(b"zip bytes")
    with path.open("rb") as archive:
        yield Submission(archive, project="demo", command=("pytest", "-x", "a b"))


def _zip_in(body: bytes) -> bytes:
    return body.split(b"\r\n\r\n")[-1].split(b"\r\n--")[0]


async def test_a_connection_that_has_gone_silent_is_taken_for_dead(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ci_client.exchange.READ_TIMEOUT", 0.05)
    notices: list[str] = []
    script.will(stream(message(LogEvent("one "), 4), ending="open"), stream(PASSED))
    events = await follow(script, notify=notices.append)
    assert [event["type"] for event in events] == ["log", "complete"]
    assert "nothing came for too long" in notices[0]


async def test_a_cancelled_call_ends_in_its_thread_and_the_client_goes_on(script: Script) -> None:
    def silent(handler: Handler) -> None:
        handler.server.script.released.wait()

    script.will(silent)
    async with client_of(script) as client:
        call = asyncio.create_task(client.job(JOB))
        await asyncio.to_thread(script.wait_for_requests, 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        script.will(answer({"job_id": JOB}))
        assert (await client.job(JOB))["job_id"] == JOB
