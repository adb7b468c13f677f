"""Lists of jobs as HTTP gives them: filters, order, pages."""

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import httpx2
import pytest

from ci_common.clock import SystemClock, format_utc
from ci_common.jobs import GroupPolicy
from ci_server import job_query
from tests.contract.http_harness import RunningServer, running_server
from tests.contract.listed_jobs import JOBS, NOW, make, make_all


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("listing")) as running:
        make_all(running)
        yield running


def names(answer: httpx2.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [job["job_id"].partition("-")[0] for job in answer.json()]


def hours_ago(hours: float) -> str:
    return format_utc(NOW.wall - timedelta(hours=hours))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "next busy sick bad old"),
        ("status=queued", "next"),
        ("status=queued&status=running", "next busy"),
        ("status=completed", "sick bad old"),
        ("success=true", "old"),
        ("success=false", "sick bad"),
        ("reason=failed", "bad"),
        ("reason=failed&reason=passed", "bad old"),
        ("project=shop", "bad old"),
        ("project=shop&project=web", "busy sick bad old"),
        ("project=shop&success=false", "bad"),
        ("submitter=ann", "bad"),
        ("submitter=", "next sick old"),
        ("label=branch", "next sick old"),
        ("label=branch%3Dmain", "next old"),
        ("label=branch&label=cron", "sick"),
        ("label=cron%3D", "sick"),
        ("label=branch%3Dmain&label=cron", ""),
        ("group=g", "bad"),
        ("since=25h", "next busy sick"),
        ("until=1d", "bad old"),
        ("since=2d&until=25h", "bad"),
        ("since=AT30&until=AT20", "bad"),
        ("since=1999-12-31", "next busy sick bad old"),
        ("text=SHOP", "next bad old"),
        ("text=%25_", "next"),
        ("text=it+was", "sick bad old"),
        ("text=branch%3Dfix", "sick"),
        ("text=old", "old"),
        ("text=ld", "old"),
        ("text=-50", ""),
        ("text=pytest", "next busy sick bad old"),
        ("text=pytest&text=bob", "busy"),
        ("sort=created", "old bad sick busy next"),
        ("sort=-ended", "sick bad old"),
        ("sort=ended", "old bad sick"),
        ("sort=-duration", "old sick bad"),
        ("sort=duration&project=shop", "bad old"),
    ],
)
def test_a_list_is_what_is_asked_for(server, query, expected):
    # Every process that runs these tests has to call them by the same names.
    query = re.sub(r"AT(\d+)", lambda found: hours_ago(int(found[1])), query)
    for mount in ("/jobs", "/api/v1/jobs"):
        assert names(server.get(f"{mount}?{query}")) == expected.split(), mount


def links(answer: httpx2.Response) -> dict[str, str]:
    found = re.findall(r'<([^>]+)>; rel="(\w+)"', answer.headers.get("link", ""))
    return {relation: address for address, relation in found}


@pytest.mark.parametrize(
    "query", ["", "project=shop&project=web", "sort=-duration", "label=branch", "since=3d&text=e"]
)
def test_pages_join_to_the_whole_list(server, query):
    whole, path, seen = names(server.get(f"/jobs?{query}")), f"/jobs?limit=1&{query}", []
    while path:
        answer = server.get(path)
        assert "prev" not in links(answer)
        seen += names(answer)
        assert len(seen) <= len(whole)
        path = links(answer).get("next")
    assert seen == whole
    assert names(server.get(links(answer)["first"])) == whole[:1]


def test_a_relative_time_is_that_of_the_first_page(server, monkeypatch):
    """Who turns pages slowly must not lose jobs at the end of the list."""
    path, seen = "/jobs?limit=1&since=25h", []

    class Tomorrow:
        def now(self):
            return NOW.earlier(-24 * 3600)

    while path:
        answer = server.get(path)
        seen += names(answer)
        path = links(answer).get("next")
        monkeypatch.setattr(job_query, "SystemClock", Tomorrow)
    assert seen == ["next", "busy", "sick"]


def test_a_cursor_of_the_first_version_still_leads_on(server):
    seqs = {name: server.job(f"{name}-{JOBS[name][0]:02}").seq for name in JOBS}
    assert names(server.get(f"/jobs?limit=2&cursor={seqs['sick']}")) == ["bad", "old"]
    assert names(server.get("/jobs?cursor=1")) == []
    assert names(server.get("/jobs?cursor=99999")) == ["next", "busy", "sick", "bad", "old"]


@pytest.mark.parametrize("other", ["project=web", "sort=created", "label=branch%3Dmain"])
def test_a_cursor_is_refused_in_another_list(server, other):
    cursor = links(server.get("/jobs?limit=1&project=shop"))["next"].partition("cursor=")[2]
    answer = server.get(f"/jobs?{other}&cursor={cursor}")
    assert answer.status_code == 400
    assert "other filters" in answer.json()["detail"]
    assert "Link" in answer.json()["hint"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("statuss=queued", "statuss"),
        ("status=waiting", "status"),
        ("reason=bored", "reason"),
        ("success=maybe", "success"),
        ("sort=size", "sort"),
        ("since=yesterday", "since"),
        ("since=2026-01-01T00:00:00", "since"),
        ("since=999999999999d", "since"),
        ("until=12", "until"),
        ("label=%3Dx", "label"),
        ("text=", "text"),
        ("project=" + "x" * 201, "project"),
        ("&".join(["text=a"] * 21), "text"),
        ("cursor=MTIz", "cursor"),
        ("cursor=WyJhIiwxLDk5OTk5OTk5OTk5OTk5OTk5OTk5OV0", "cursor"),
        ("cursor=99999999999999999999", "cursor"),
        ("cursor=%F0%9F%98%80", "cursor"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(server, query, said):
    answer = server.get(f"/jobs?{query}")
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["detail"]
    assert answer.json()["code"] == "invalid_request"


def test_a_mistyped_filter_gets_the_right_one_for_a_hint(server):
    assert server.get("/jobs?statuss=queued").json()["hint"] == "Did you mean status?"


@pytest.mark.parametrize("text", ["%00", "%ED%A0%80", "%22", "%27", "a%0Ab"])
def test_odd_text_finds_nothing(server, text):
    for name in ("text", "project", "submitter", "group", "label"):
        assert names(server.get(f"/jobs?{name}={text}")) == []


class TestQueue:
    @pytest.fixture
    def server(self, tmp_path) -> Iterator[RunningServer]:
        with running_server(tmp_path, max_running="1") as running:
            yield running

    def test_it_shows_who_is_next_and_when(self, server):
        for seconds in (4.0, 6.0, 8.0):
            server.call(make(server, f"past{seconds}", 5, seconds, "passed", {"project": "shop"}))
        server.call(make(server, "busy", 0, None, "running", {"project": "shop"}))
        for name in ("first", "second"):
            server.call(
                make(server, name, 0, None, "queued", {"project": "shop", "labels": {"a": "b"}})
            )
        server.call(make(server, "urgent", 0, None, "queued", {"project": "new", "priority": 5}))
        queue = server.get("/api/v1/queue").json()
        assert queue["counts"] == {"queued": 3, "running": 1, "capacity": 1}
        assert [job["job_id"] for job in queue["queued"]] == ["urgent-00", "first-00", "second-00"]
        assert [job["position"] for job in queue["queued"]] == [1, 2, 3]
        assert {job["waits_for"] for job in queue["queued"]} == {"turn"}
        # Nothing is known of the project of the first one: it takes what all take.
        assert [job["expected_duration"] for job in queue["queued"]] == [6, 6, 6]
        (busy,) = queue["running"]
        assert busy["expected_duration"] == 6
        assert busy["running_for"] >= 0
        starts = [moment(job["expected_start"]) for job in queue["queued"]]
        gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(starts)]
        assert gaps == [pytest.approx(6, abs=0.01)] * 2
        job = server.get("/jobs/second-00").json()
        assert job["position"] == 3
        assert moment(job["expected_start"]) >= starts[1]

    def test_nobody_can_tell_when_nothing_has_run_yet(self, server):
        server.call(make(server, "busy", 0, None, "running", {}))
        waits = server.submit()
        (job,) = server.get("/api/v1/queue").json()["queued"]
        assert (job["expected_start"], job["expected_duration"]) == (None, None)
        assert server.get(f"/jobs/{waits}").json()["expected_start"] is None

    def test_it_says_what_each_one_waits_for(self, server):
        held = server.claim(server.submit())
        hold = SystemClock().now().wall + timedelta(minutes=5)
        repository = server.parts.repository
        assert server.call(
            repository.requeue(held.id, attempt=1, charged=True, detail="gone", hold_until=hold)
        )
        for name in ("one", "two"):
            tags = {"group": "g", "group_policy": GroupPolicy.QUEUE}
            server.call(make(server, name, 0, None, "queued", tags))
        one, two = server.get("/api/v1/queue?skip=1").json()["queued"]
        (first,) = server.get("/api/v1/queue?limit=1").json()["queued"]
        assert (first["waits_for"], first["waiting"][-6:]) == ("hold", ": gone")
        assert one["waits_for"] == "turn"
        assert (two["waits_for"], two["waiting"]) == ("group", "waiting for others of the group g")
        server.parts.outage.declare("pulled the plug")
        queue = server.get("/api/v1/queue").json()
        assert queue["waiting"] == "waiting for the engine: pulled the plug"
        assert {job["waits_for"] for job in queue["queued"]} == {"engine"}
        assert {job["expected_start"] for job in queue["queued"]} == {None}

    def test_it_comes_in_pages_and_refuses_what_it_does_not_know(self, server):
        for n in range(3):
            server.call(make(server, f"job{n}", 0, None, "queued", {}))
        first = server.get("/api/v1/queue?limit=2")
        assert links(first)["next"] == "/api/v1/queue?limit=2&skip=2"
        rest = server.get(links(first)["next"])
        assert [job["position"] for job in rest.json()["queued"]] == [3]
        assert "link" not in rest.headers
        for query in ("skip=-1", "limit=0", "skip=x", "page=2"):
            answer = server.get(f"/api/v1/queue?{query}")
            assert answer.status_code == 400
            assert query.partition("=")[0] in answer.json()["detail"]
        assert server.get("/queue").status_code == 404


def moment(text: str):
    from ci_common.clock import parse_utc

    return parse_utc(text)
