"""What happens to all jobs as Server-Sent Events, over real HTTP."""

import json
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from ci_common.errors import StorageBusy
from ci_common.jobs import EndReason
from ci_server import event_reader, live
from tests.contract.http_harness import running_server
from tests.waiting import eventually

EVENTS = "/api/v1/events"
HISTORY = "/api/v1/events/history"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for all tests that do not mind the jobs of the others."""
    with running_server(tmp_path_factory.mktemp("events"), ping_interval="0.1") as running:
        yield running


@pytest.fixture
def server(tmp_path):
    with running_server(tmp_path) as running:
        yield running


@dataclass
class Frames:
    """The frames of a stream as they come, each as its fields."""

    lines: object
    comments: list[str] = field(default_factory=list)

    def next(self) -> tuple[int | None, dict | None]:
        """Return id and data of the next frame; each None where it has none."""
        seq, data, any_field = None, None, False
        for line in self.lines:
            if line.startswith(":"):
                self.comments.append(line)
            elif line.startswith("id: "):
                seq, any_field = int(line[4:]), True
            elif line.startswith("data: "):
                data, any_field = json.loads(line[6:]), True
            elif not line and any_field:
                return seq, data
        raise EOFError

    def take(self, count: int) -> list[dict]:
        return [self.next()[1] for _ in range(count)]


@contextmanager
def following(server, query: str = "", **headers: str):
    with server.stream(EVENTS + query, **headers) as reader:
        yield Frames(reader.lines)


def types(events) -> list[str]:
    return [event["type"] for event in events]


def latest(server) -> int:
    return server.call(server.parts.repository.events.latest())


def test_a_stream_tells_what_happens_from_now_on(shared):
    shared.submit()
    before = latest(shared)
    with following(shared) as frames:
        assert frames.next() == (before, {"type": "subscribed", "version": 1, "after": before})
        job = shared.claim(shared.submit())
        shared.finish(job, EndReason.FAILED, exit_code=3, detail="why")
        seen = [frames.next() for _ in range(3)]
    assert [seq for seq, _ in seen] == [before + 1, before + 2, before + 3]
    events = [event for _, event in seen]
    assert types(events) == ["job.queued", "job.running", "job.ended"]
    assert events[-1].pop("time").endswith("Z")
    assert events[-1] == {
        "type": "job.ended", "version": 1, "seq": before + 3, "job_id": job.id, "project": "",
        "submitter": "127.0.0.1", "status": "completed", "attempt": 1, "reason": "failed",
        "exit_code": 3, "detail": "why",
    }  # fmt: skip


def test_proxies_are_told_not_to_hold_it_back_and_it_is_kept_alive(shared):
    with shared.stream(EVENTS) as reader:
        headers = reader.response.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert (headers["x-accel-buffering"], headers["cache-control"]) == ("no", "no-store")
        for line in reader.lines:
            if line == ": ping":
                break


def test_a_reader_goes_on_exactly_where_it_left_off(shared):
    start = latest(shared)
    job_id = shared.ended(b"")
    with following(shared, f"?after={start}") as frames:
        whole = [frames.next() for _ in range(4)][1:]
    assert {event["job_id"] for _, event in whole} == {job_id}
    for number, (seq, _) in enumerate(whole, 1):
        headers = {"Last-Event-ID": str(seq)}
        with following(shared, f"?after={start}", **headers) as frames:
            shared.ended(b"")  # so that there is always something to come
            frames.next()
            for expected in whole[number:]:
                assert frames.next() == expected


def test_all_that_is_kept_comes_after_0(shared):
    shared.submit()
    with following(shared, "?after=0") as frames:
        assert frames.next()[0] == 0
        assert frames.next()[1]["seq"] == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("job_id={id}", ["job.queued", "job.running", "job.ended"]),
        ("job_id={id}&type=job.ended", ["job.ended"]),
        ("job_id={id}&type=job.ended,job.running", ["job.running", "job.ended"]),
        ("job_id={id}&type=job.ended&type=job.running", ["job.running", "job.ended"]),
    ],
)
def test_only_what_is_asked_for_comes(shared, query, expected):
    start = latest(shared)
    shared.ended(b"")
    job_id = shared.ended(b"")
    with following(shared, f"?after={start}&" + query.format(id=job_id)) as frames:
        frames.next()
        events = frames.take(len(expected))
        assert types(events) == expected
        assert {event["job_id"] for event in events} == {job_id}
    answer = shared.get(f"{HISTORY}?after={start}&" + query.format(id=job_id)).json()
    assert answer["events"] == events
    assert answer["next"] == latest(shared)


def test_a_project_can_be_followed(shared):
    with following(shared, "?project=mine&type=job.queued") as frames:
        frames.next()
        shared.submit()
        mine = shared.submit(data={"project": "mine"})
        assert frames.next()[1]["job_id"] == mine


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("?after=-1", "after"),
        ("?after=x", "after"),
        ("?type=job.exploded", "job.exploded"),
        ("?job_id=" + "x" * 65, "job_id"),
    ],
)
@pytest.mark.parametrize("path", [EVENTS, HISTORY])
def test_what_makes_no_sense_is_refused_in_words(shared, path, query, word):
    answer = shared.get(path + query)
    assert answer.status_code == 400
    problem = answer.json()
    assert word in problem["detail"]
    assert problem["code"] == "invalid_request"


def test_an_id_that_is_none_is_refused(shared):
    answer = shared.get(EVENTS, headers={"Last-Event-ID": "abc"})
    assert (answer.status_code, "Last-Event-ID" in answer.json()["detail"]) == (400, True)
    answer = shared.get(f"{HISTORY}?type=queue.depth")
    assert (answer.status_code, "queue.depth" in answer.json()["detail"]) == (400, True)


def test_there_is_nothing_of_it_at_the_root(shared):
    assert shared.get("/events").status_code == 404


def test_how_deep_the_queue_is_comes_first_and_when_it_changes(server):
    job = server.claim(server.submit())
    server.submit()
    with following(server, "?type=queue.depth") as frames:
        assert frames.next()[1]["type"] == "subscribed"
        depth = {"type": "queue.depth", "version": 1, "queued": 1, "running": 1}
        assert frames.next() == (None, depth)
        server.finish(job)
        assert frames.next()[1] == depth | {"running": 0}


def test_depth_and_changes_come_over_one_stream(server):
    with following(server, "?type=queue.depth,job.queued") as frames:
        server.submit()
        seen = []
        while not {"queue.depth", "job.queued"} <= set(types(seen)):
            seen += frames.take(1)
        while seen[-1] != {"type": "queue.depth", "version": 1, "queued": 1, "running": 0}:
            seen += frames.take(1)
    assert types(seen).count("job.queued") == 1


def test_the_queue_is_counted_once_for_all(server, monkeypatch):
    counted = []
    count = server.parts.repository.count

    async def counting(within):
        counted.append(1)
        return await count(within)

    monkeypatch.setattr(server.parts.repository, "count", counting)
    with (
        following(server, "?type=queue.depth") as one,
        following(server, "?type=queue.depth") as other,
    ):
        for frames in (one, other):
            assert frames.take(2)[1]["queued"] == 0
        before = len(counted)
        for _ in range(20):
            server.submit()
        for frames in (one, other):
            while frames.next()[1]["queued"] != 20:
                pass
        # At once, and one for each pause in the meantime; never one for each of 40 news.
        assert len(counted) - before < 20


def test_a_lost_signal_costs_time_and_nothing_else(server, monkeypatch):
    with following(server, "?type=queue.depth,job.queued") as frames:
        assert types(frames.take(2)) == ["subscribed", "queue.depth"]
        monkeypatch.setattr(server.parts.signals, "notify", lambda _topic: None)
        server.submit()
        assert sorted(types(frames.take(2))) == ["job.queued", "queue.depth"]


def test_a_locked_database_costs_time_and_nothing_else(server, monkeypatch):
    store = server.parts.repository.events
    after, refused = store.after, []

    async def sometimes_locked(*arguments, **named):
        if len(refused) < 3:
            refused.append(1)
            raise StorageBusy
        return await after(*arguments, **named)

    monkeypatch.setattr(store, "after", sometimes_locked)
    server.submit()
    with following(server, "?after=0") as frames:
        assert frames.take(2)[1]["seq"] == 1
    assert len(refused) == 3


def test_what_is_not_kept_any_more_is_a_gap(server):
    for _ in range(5):
        server.submit()
    store = server.parts.repository.events
    assert server.call(store.prune(before=None, keep=2)) == 3
    with following(server, "?after=1") as frames:
        assert frames.next()[0] == 1
        assert frames.next() == (3, {"type": "gap", "version": 1, "after": 1, "resumed": 3})
        assert [event["seq"] for event in frames.take(2)] == [4, 5]
    answer = server.get(f"{HISTORY}?after=1&limit=1").json()
    assert answer["gap"] == {"type": "gap", "version": 1, "after": 1, "resumed": 3}
    assert ([event["seq"] for event in answer["events"]], answer["more"]) == ([4], True)
    for query in ("?after=0", "?after=3"):
        assert server.get(HISTORY + query).json()["gap"] is None


def test_a_number_from_the_future_is_a_gap_too(server):
    """As after a restore from a backup: it must not wait for that number to come again."""
    server.submit()
    with following(server, "?after=99") as frames:
        frames.next()
        assert frames.next() == (1, {"type": "gap", "version": 1, "after": 99, "resumed": 1})
        server.submit()
        assert frames.next()[0] == 2


def test_history_comes_in_pages(server):
    for _ in range(5):
        server.submit()
    seen, after, more = [], 0, True
    while more:
        page = server.get(f"{HISTORY}?after={after}&limit=2").json()
        seen += [event["seq"] for event in page["events"]]
        after, more = page["next"], page["more"]
    assert (seen, after) == ([1, 2, 3, 4, 5], 5)


def test_a_reader_that_is_shown_nothing_still_comes_on(server, monkeypatch):
    monkeypatch.setattr(event_reader, "STRIDE", 3)
    with following(server, "?type=job.removed") as frames:
        frames.next()
        for _ in range(4):
            server.submit()
        seq, data = frames.next()
        assert (seq >= 3, data) == (True, None)


def test_nobody_looks_when_nobody_listens(server):
    resting = server.listeners()
    with following(server, "?type=queue.depth,job.queued") as frames:
        frames.next()
        eventually(lambda: server.listeners() > resting, what="somebody looks")
    eventually(lambda: server.listeners() == resting, what="nobody looks any more")
    assert server.parts.live.tail._task is None
    assert server.parts.live.meter(None)._task is None


def test_a_server_that_goes_ends_its_streams(server):
    with following(server) as frames:
        frames.next()
        server.stop(within=20)
        with pytest.raises(EOFError):
            frames.next()


def test_ten_thousand_events_are_replayed_whole_and_in_order(server):
    fill(server, 10_000)
    with following(server, "?after=0") as frames:
        frames.next()
        seqs = [event["seq"] for event in frames.take(10_000)]
    assert seqs == list(range(1, 10_001))


def test_a_reader_further_back_than_memory_loses_nothing(server, monkeypatch):
    """And those that keep up are served from memory."""
    monkeypatch.setattr(live, "RECENT", 3)
    with following(server) as quick, following(server, "?after=0") as slow:
        quick.next()
        fill(server, 1000)
        seqs = [event["seq"] for event in quick.take(1000)]
        assert seqs == [event["seq"] for event in slow.take(1001)[1:]] == list(range(1, 1001))


def fill(server, count: int) -> None:
    """Have that many events at once, as another process would write them."""
    statement = (
        "INSERT INTO events (at, type, job_id, project, submitter, status, attempt)"
        " VALUES (1, 'job.queued', 'x', '', '', 'queued', 0)"
    )

    async def write():
        async with server.parts.repository._database.transaction() as transaction:
            await transaction.execute_many(statement, [()] * count)

    server.call(write())
