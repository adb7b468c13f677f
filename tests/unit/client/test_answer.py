"""Answers as servers frame them, and as they must not be."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_client.answer import Answer, EndedTooSoon, NotHttp


def received(raw: bytes) -> tuple[Answer, bytes]:
    """The answer in ``raw``, whose sender has nothing more to say, and its body."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(raw)
        answer = Answer(ours)
        try:
            return answer, b"".join(answer.pieces())
        finally:
            answer.close()


def chunked(pieces: list[bytes]) -> bytes:
    body = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n" + body + b"0\r\nTrailer: x\r\n\r\n"
    )


def measured(pieces: list[bytes]) -> bytes:
    body = b"".join(pieces)
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


bodies = st.lists(st.binary(min_size=1, max_size=50), max_size=5)
framings = st.sampled_from([chunked, measured])


@given(bodies)
def test_a_body_comes_out_as_it_went_in_however_it_is_framed(pieces: list[bytes]) -> None:
    unframed = b"HTTP/1.0 200 OK\r\n\r\n" + b"".join(pieces)
    for raw in (chunked(pieces), measured(pieces), unframed):
        assert received(raw)[1] == b"".join(pieces)


@given(bodies, framings, st.data())
def test_one_that_is_cut_anywhere_is_no_answer(pieces, framing, data) -> None:
    whole = framing(pieces)
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(EndedTooSoon):
        received(whole[:end])


def test_status_reason_and_headers() -> None:
    raw = b"HTTP/1.1 404 Not Found\r\nLINK: a\r\nX-Empty:\r\nLink:  b \r\nContent-Length: 0\r\n\r\n"
    answer, body = received(raw)
    assert (answer.status, answer.reason, body) == (404, "Not Found", b"")
    assert answer.headers == {"link": "a, b", "x-empty": "", "content-length": "0"}
    assert received(b"HTTP/1.1 200\r\n\r\n")[0].reason == ""


def test_what_comes_before_the_answer_is_not_the_answer() -> None:
    raw = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    answer, body = received(raw + measured([b"the answer"]))
    assert (answer.status, body) == (200, b"the answer")
    assert "link" not in answer.headers


@pytest.mark.parametrize("status", [204, 304])
def test_some_have_no_body_whatever_they_say(status: int) -> None:
    raw = b"HTTP/1.1 %d x\r\nContent-Length: 5\r\n\r\n" % status
    assert received(raw)[1] == b""


@pytest.mark.parametrize(
    "raw",
    [
        b"220 mail.example ESMTP\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 " + b"x" * 70_000,
    ],
)
def test_what_is_no_http(raw: bytes) -> None:
    with pytest.raises(NotHttp):
        received(raw)


def test_pieces_are_there_as_soon_as_they_have_come() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n6\r\ntw")
        answer = Answer(ours)
        pieces = answer.pieces()
        assert [next(pieces), next(pieces)] == [b"one", b"tw"]
        answer.close()
