import asyncio

import pytest
from litestar import get, post, websocket
from litestar.openapi.datastructures import ResponseSpec

from ci_common.errors import RequestTimedOut, UploadTooLarge
from ci_server.request_limits import RequestLimits
from ci_server.route_kinds import RouteKind, kind_of
from ci_server.routes import HANDLERS, MANAGEMENT
from ci_server.settings import load_settings

LIMITS = RequestLimits(load_settings({"max_request_bytes": "10"}))


async def read(*pieces: bytes, **headers: str) -> bytes:
    left = list(pieces)

    async def receive() -> dict:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    scope = {"headers": [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]}
    bounded, body = LIMITS.bounded(scope, receive), b""
    while left:
        body += (await bounded())["body"]
    return body


async def test_a_body_is_read_up_to_its_limit():
    assert await read(b"12345", b"67890", content_length="10") == b"1234567890"
    with pytest.raises(UploadTooLarge):
        await read(b"", content_length="11")


async def test_one_that_does_not_say_how_long_it_is_is_counted():
    with pytest.raises(UploadTooLarge, match="10 bytes"):
        await read(b"12345", b"67890", b"1", transfer_encoding="chunked")


HASTY = RequestLimits(load_settings({"request_timeout": "10ms"}))


async def sent(_message: object) -> None: ...


async def test_an_answer_that_has_begun_may_take_its_time():
    async def serve(send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.05)

    await HASTY.in_time(serve, sent)


async def test_one_that_does_not_begin_is_given_up():
    with pytest.raises(RequestTimedOut, match=r"0\.01 s"):
        await HASTY.in_time(lambda _send: asyncio.Event().wait(), sent)


async def test_a_time_limit_of_others_is_not_taken_for_ours():
    async def serve(_send) -> None:
        raise TimeoutError("another's")

    with pytest.raises(TimeoutError, match="another's"):
        await LIMITS.in_time(serve, sent)


def test_the_kind_of_a_route_shows_in_the_route():
    kinds = {
        getattr(handler, "operation_id", handler.handler_name): kind_of(handler)
        for handler in (*HANDLERS, *MANAGEMENT)
    }
    of_kind = {kind: {name for name, found in kinds.items() if found is kind} for kind in RouteKind}
    assert of_kind[RouteKind.SUBMISSIONS] >= {"submit", "submit_stream", "submit_async"}
    assert of_kind[RouteKind.STREAMS] >= {"stream_job", "stream_events"}
    assert of_kind[RouteKind.READS] >= {
        "list_jobs",
        "cancel_job",
        "get_log",
        "get_version",
        "retry_job",
    }


def test_routes_that_come_have_a_kind_of_their_own_doing():
    events = ResponseSpec(None, media_type="text/event-stream")

    @get("/events", responses={200: events})
    async def watch() -> None: ...

    @websocket("/socket")
    async def listen(socket: object) -> None: ...

    @post("/hooks")
    async def add() -> None: ...

    assert [kind_of(each) for each in (watch, listen, add)] == [
        RouteKind.STREAMS, RouteKind.STREAMS, RouteKind.READS,
    ]  # fmt: skip
