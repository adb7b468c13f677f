"""Following a job, over real HTTP, with a log that the test writes."""

import threading

import pytest

from ci_common.jobs import EndReason
from tests import plain_http
from tests.contract.http_harness import Reader, running_server, text_of

LOG = "Größe: €5 😀\r progress\n".encode() * 3


@pytest.fixture
def server(tmp_path):
    with running_server(tmp_path, ping_interval="0.2") as running:
        yield running


def test_a_queued_jobs_stream_stays_open_and_tells_its_position(server):
    first, second = server.submit(), server.submit()
    with server.stream(f"/jobs/{second}/stream") as reader:
        assert next(reader)[1] == {"type": "status", "status": "queued", "position": 2}
        ahead = server.claim(first)
        assert next(reader)[1] == {"type": "status", "status": "queued", "position": 1}
        server.finish(ahead)
        job = server.claim(second)
        assert next(reader)[1] == {"type": "status", "status": "running"}
        server.write(job, b"hello\n")
        assert next(reader) == (6, {"type": "log", "data": "hello\n"})
        server.finish(job)
        assert next(reader)[1]["type"] == "complete"
        assert list(reader) == []


def test_a_lost_signal_costs_time_and_nothing_else(server, monkeypatch):
    job = server.claim(server.submit())
    with server.stream(f"/jobs/{job.id}/stream?from_beginning=true") as reader:
        assert next(reader)[1]["status"] == "running"
        monkeypatch.setattr(server.controller.signals, "notify", lambda _topic: None)
        server.write(job, b"unsignalled\n")
        assert next(reader)[1]["data"] == "unsignalled\n"
        server.finish(job)
        assert next(reader)[1]["type"] == "complete"


def test_two_readers_see_the_same(server):
    job = server.claim(server.submit())
    path = f"/jobs/{job.id}/stream?from_beginning=true"
    with server.stream(path) as one, server.stream(path) as other:
        server.write(job, LOG)
        server.finish(job, EndReason.FAILED, exit_code=1)
        seen, also = list(one), list(other)
    assert text_of(seen) == text_of(also) == LOG.decode()
    assert seen[-1] == also[-1]


def test_an_ended_job_is_replayed_or_completes_at_once(server):
    job_id = server.ended(LOG)
    replayed = server.events(f"/jobs/{job_id}/stream?from_beginning=true")
    assert text_of(replayed) == LOG.decode()
    at_once = server.events(f"/jobs/{job_id}/stream")
    assert [event["type"] for _, event in at_once] == ["complete"]
    assert at_once == replayed[-1:]


def test_without_from_beginning_only_what_is_new_comes(server):
    job = server.claim(server.submit())
    server.write(job, b"old\n")
    with server.stream(f"/jobs/{job.id}/stream") as reader:
        assert next(reader) == (4, {"type": "status", "status": "running"})
        server.write(job, b"new\n")
        server.finish(job)
        assert text_of(list(reader)) == "new\n"


def test_the_present_end_is_never_inside_of_a_character(server):
    job = server.claim(server.submit())
    server.write(job, "a€".encode()[:3])
    with server.stream(f"/jobs/{job.id}/stream") as reader:
        assert next(reader)[0] == 1
        server.write(job, "€".encode()[2:] + b"\n")
        server.finish(job)
        assert text_of(list(reader)) == "€\n"


def test_every_id_resumes_exactly(server):
    job = server.claim(server.submit())
    path = f"/jobs/{job.id}/stream?from_beginning=true"
    with server.stream(path) as reader:
        next(reader)
        seen = []
        for piece in (LOG, LOG[:7], LOG[7:]):
            server.write(job, piece)
            seen.append(next(reader))
        server.finish(job)
        seen += list(reader)
    for number, (offset, _) in enumerate(seen, 1):
        for resumed in (
            server.events(path, **{"Last-Event-ID": str(offset)}),
            server.events(f"/jobs/{job.id}/stream?offset={offset}"),
        ):
            assert text_of(resumed) == text_of(seen[number:])
            assert resumed[-1] == seen[-1]


def test_the_header_of_a_returning_reader_wins_over_its_first_url(server):
    job_id = server.ended(b"0123456789")
    events = server.events(f"/jobs/{job_id}/stream?offset=2", **{"Last-Event-ID": "7"})
    assert text_of(events) == "789"


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("?offset=11", {}, 416),
        ("?offset=-1", {}, 400),
        ("?offset=x", {}, 400),
        ("", {"Last-Event-ID": "11"}, 416),
        ("", {"Last-Event-ID": "-1"}, 400),
        ("", {"Last-Event-ID": "1e3"}, 400),
        ("", {"Last-Event-ID": "9" * 30}, 400),
        ("?from_beginning=perhaps", {}, 400),
    ],
)
def test_an_offset_that_cannot_be_is_refused(server, query, headers, status):
    job_id = server.ended(b"0123456789")
    answer = server.get(f"/jobs/{job_id}/stream{query}", headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_unknown_job_has_no_stream(server):
    answer = server.get("/jobs/no-such/stream")
    assert answer.status_code == 404
    assert answer.json()["code"] == "job_not_found"


def test_bytes_that_are_no_text_are_shown_sanely(server):
    job_id = server.ended(b"\xff\x00ok\r\xe2\x82")
    events = server.events(f"/jobs/{job_id}/stream?from_beginning=true")
    assert text_of(events) == "\ufffd\0ok\r\ufffd"
    assert server.get(f"/jobs/{job_id}/log").content == b"\xff\x00ok\r\xe2\x82"


def test_a_large_log_comes_in_large_pieces_and_whole(server):
    log = ("ü" * 50 + "\n").encode() * 20_000
    job_id = server.ended(b"x" + log)
    events = server.events(f"/jobs/{job_id}/stream?from_beginning=true")
    assert text_of(events) == "x" + log.decode()
    assert len(events) <= len(log) // 65536 + 3


def test_a_requeued_job_tells_why_and_goes_on(server):
    job = server.claim(server.submit())
    with server.stream(f"/jobs/{job.id}/stream?from_beginning=true") as reader:
        assert next(reader)[1]["status"] == "running"
        server.write(job, b"lost\n")
        assert next(reader)[1]["data"] == "lost\n"
        server.requeue(job, "the engine went away")
        again = next(reader)[1]
        assert (again["status"], again["position"]) == ("queued", 1)
        assert again["detail"] == "the engine went away"
        second = server.claim(job.id)
        server.write(second, b"again\n")
        server.finish(second)
        assert text_of(list(reader)) == "again\n"


def test_a_busy_database_does_not_end_a_stream(server, monkeypatch):
    from ci_common.errors import StorageBusy

    job = server.claim(server.submit())
    refused = threading.Event()
    with server.stream(f"/jobs/{job.id}/stream") as reader:
        next(reader)

        async def busy(_job_id):
            refused.set()
            raise StorageBusy

        with monkeypatch.context() as patch:
            patch.setattr(server.parts.repository, "get", busy)
            assert refused.wait(30)
        server.finish(job)
        assert next(reader)[1]["type"] == "complete"


def test_headers_and_pings_keep_proxies_from_holding_a_stream_back(server):
    job = server.claim(server.submit())
    with server.stream(f"/jobs/{job.id}/stream") as reader:
        assert reader.response.headers["x-accel-buffering"] == "no"
        assert reader.response.headers["cache-control"] == "no-store"
        next(reader)
        raw = next(line for line in reader.lines if line.startswith(":"))
        assert raw == ": ping"


def test_a_reader_that_leaves_is_forgotten(server):
    from tests.waiting import eventually

    job_id = server.submit()
    with server.stream(f"/jobs/{job_id}/stream") as reader:
        next(reader)
        assert server.listeners() > 0
    eventually(lambda: server.listeners() == 0, what="no subscription is left")


def test_open_streams_end_when_the_server_goes_and_jobs_do_not(tmp_path):
    with running_server(tmp_path, shutdown_grace="120") as server:
        job = server.claim(server.submit())
        with plain_http.stream("GET", f"{server.url}/jobs/{job.id}/stream") as response:
            reader = Reader(response)
            next(reader)
            server.server.should_exit = True
            assert list(reader) == []
    with running_server(tmp_path) as server:
        assert server.job(job.id).status == "running"


def test_a_reader_that_has_stopped_reading_does_not_hold_up_the_end(tmp_path):
    with running_server(tmp_path, shutdown_grace="120") as server:
        job = server.claim(server.submit())
        server.write(job, b"x" * 20_000_000)
        path = f"{server.url}/jobs/{job.id}/stream?from_beginning=true"
        with plain_http.stream("GET", path) as response:
            next(Reader(response))
            server.stop(within=60)
