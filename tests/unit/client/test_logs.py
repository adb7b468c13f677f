"""Reading logs as bytes, against a server that answers ranges as RFC 9110 says."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci_client import logs
from ci_client.api import CIClient
from tests.unit.client.scripted_server import Handler, Reply, Script, answer


def serving(log: bytes) -> Reply:
    def reply(handler: Handler) -> None:
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", handler.headers.get("Range", ""))
        if not wanted:
            return answer(log, content_type="text/plain")(handler)
        first, last = wanted.groups()
        start = int(first) if first else max(0, len(log) - int(last))
        end = min(int(last) + 1, len(log)) if first and last else len(log)
        if start >= end:
            return answer(b"", 416)(handler)
        place = f"bytes {start}-{end - 1}/{len(log)}"
        return answer(log[start:end], 206, Content_Range=place)(handler)

    return reply


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.binary(max_size=6), max_size=12).map(b"\n".join),
    st.integers(1, 14),
    st.integers(1, 9),
)
async def test_the_tail_is_the_last_lines(
    script: Script, log: bytes, lines: int, block: int
) -> None:
    script.will(serving(log))
    kept, logs._BLOCK = logs._BLOCK, block
    try:
        async with CIClient(script.url) as client:
            start = await client.log_tail_offset("x", lines)
    finally:
        logs._BLOCK = kept
    assert log[start:] == b"".join(re.findall(rb"[^\n]*\n|[^\n]+", log)[-lines:])


@pytest.mark.parametrize(("offset", "expected"), [(0, b"a\xff\0b"), (2, b"\0b"), (4, b"")])
async def test_the_log_from_an_offset(script: Script, offset: int, expected: bytes) -> None:
    script.will(serving(b"a\xff\0b"))
    async with CIClient(script.url) as client:
        assert b"".join([data async for data in client.log("x", offset)]) == expected


async def test_the_tail_from_a_server_without_ranges(script: Script) -> None:
    script.will(answer(b"one\ntwo\n", content_type="text/plain"))
    async with CIClient(script.url) as client:
        assert await client.log_tail_offset("x", 1) == 4
