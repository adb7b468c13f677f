"""What is kept between jobs, over HTTP."""

from datetime import timedelta

import pytest

from ci_common.signals import CACHE
from ci_common.snapshots import Snapshot
from tests.contract.http_harness import running_server
from tests.fakes.executor import FakeEngine, FakeExecutor
from tests.fakes.snapshots import EPOCH

MB = 1_000_000


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def server(tmp_path, engine):
    with running_server(tmp_path) as running:
        object.__setattr__(running.parts, "executor", FakeExecutor(engine))
        yield running


@pytest.fixture
def store(server):
    return server.parts.repository.snapshots


def keep(engine, key: str, **values) -> None:
    fields = {"id": f"sha256:{key}", "size": 5 * MB, "made_at": EPOCH, "base": "python:3.12-slim"}
    snapshot = Snapshot(key=key, about="ci_pip install one", **(fields | values))
    engine.images.snapshots.append(("", snapshot))


def keys(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [entry["key"] for entry in answer.json()]


@pytest.mark.parametrize("mount", ["", "/api/v1"])
def test_what_is_kept_is_listed(server, engine, store, mount):
    keep(engine, "a")
    server.call(store.used("a", now=EPOCH + timedelta(hours=1)))
    assert server.get(f"{mount}/cache").json() == [
        {
            "kind": "dependencies",
            "key": "a",
            "size_bytes": 5 * MB,
            "created_at": "2026-01-01T00:00:00.000Z",
            "last_used_at": "2026-01-01T01:00:00.000Z",
            "image": "python:3.12-slim",
            "about": "ci_pip install one",
        }
    ]


def test_the_latest_used_comes_first_and_what_cannot_be_used_is_left_out(server, engine, store):
    for key in ("a", "b", "c"):
        keep(engine, key)
    keep(engine, "d", current=False)
    server.call(store.used("b", now=EPOCH + timedelta(hours=1)))
    server.call(store.retire(["c"], now=EPOCH))
    assert keys(server.get("/cache")) == ["b", "a"]


def test_all_can_be_given_up(server, engine, store):
    keep(engine, "a")
    server.call(store.made("nothing to install", now=EPOCH, empty=True))
    with server.parts.signals.subscribe(CACHE) as told:
        answer = server.delete("/cache")
        assert CACHE in server.call(told.wait(30))
    assert keys(answer) == ["a"]
    assert keys(server.get("/cache")) == []
    notes = {note.key: note.retired for note in server.call(store.all())}
    assert notes == {"a": True, "nothing to install": True}
    assert len(engine.images.snapshots) == 1, "only the controller removes"


def test_only_what_was_not_used_for_long(server, engine, store):
    now = server.controller.clock.now().wall
    for key, days in (("a", 8), ("b", 6)):
        keep(engine, key)
        server.call(store.used(key, now=now - timedelta(days=days)))
    assert keys(server.delete("/cache?older_than=7d")) == ["a"]
    assert keys(server.get("/cache")) == ["b"]


@pytest.mark.parametrize("text", ["soon", "-1", "7 days ago", "x" * 100])
def test_a_time_that_is_none_is_refused(server, text):
    answer = server.delete("/cache", params={"older_than": text})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == "invalid_request"


def test_a_very_long_time_is_one(server, engine):
    keep(engine, "a")
    assert keys(server.delete("/cache?older_than=999999999999999")) == []


def test_without_an_engine_it_is_said(server, engine):
    engine.available = False
    for answer in (server.get("/cache"), server.delete("/cache")):
        assert answer.status_code == 503
        assert answer.json()["code"] == "engine_unavailable"


def test_an_executor_that_keeps_nothing_has_nothing(tmp_path):
    with running_server(tmp_path) as plain:
        assert keys(plain.get("/cache")) == []
        assert keys(plain.delete("/cache")) == []


def test_pages_of_other_sites_may_not_give_up_anything(server, engine):
    keep(engine, "a")
    answer = server.delete("/cache", headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert keys(server.get("/cache")) == ["a"]
