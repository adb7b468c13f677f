"""Streams and logs over plain HTTP, as curl would use them."""

import subprocess

import httpx2
import pytest

from tests import plain_http
from tests.e2e.harness import parse_events
from tests.waiting import eventually

pytestmark = pytest.mark.docker


@pytest.fixture
def zipped(project, tmp_path):
    """Make a zip of a project that runs a script."""
    from ci_client.client import create_project_zip

    def make(script: str):
        made = project(script)
        target = tmp_path / f"{made.path.name}.zip"
        with create_project_zip(made.path) as archive:
            target.write_bytes(archive.read())
        return target

    return make


def text_of(events) -> str:
    return "".join(event["data"] for _, event in events if event["type"] == "log")


def post(server, route, path):
    with path.open("rb") as file:
        files = {"file": ("project.zip", file, "application/zip")}
        return plain_http.post(f"{server.url}{route}", files=files, timeout=60)


@pytest.mark.parametrize("base", ["", "/api/v1"])
def test_submit_streams_log_and_verdict(server, zipped, base):
    response = post(server, f"{base}/submit", zipped("echo hello"))
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["cache-control"] == "no-store"
    events = list(parse_events(response.text.splitlines()))
    kinds = [event["type"] for _, event in events]
    assert "job_id" not in kinds
    assert kinds[-1] == "complete"
    assert events[-1][1]["success"] is True
    assert text_of(events).endswith("hello\n")


def test_submit_stream_names_the_job_first(server, zipped):
    response = post(server, "/submit-stream", zipped("exit 1"))
    events = [event for _, event in parse_events(response.text.splitlines())]
    assert events[0]["type"] == "job_id"
    assert events[-1]["success"] is False
    assert server.job(events[0]["job_id"])["reason"] == "failed"


def test_curl_as_in_the_original_document(server, zipped):
    archive = zipped("echo from curl")
    done = subprocess.run(
        ["curl", "-sN", "-X", "POST", f"{server.url}/submit-async", "-F", f"file=@{archive}"],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    job_id = httpx2.Response(200, content=done.stdout).json()["job_id"]
    url = f"{server.url}/jobs/{job_id}/stream?from_beginning=true"
    done = subprocess.run(["curl", "-sN", url], capture_output=True, check=True, timeout=60)
    events = list(parse_events(done.stdout.decode().splitlines()))
    assert "from curl\n" in text_of(events)
    assert events[-1][1]["type"] == "complete"


def test_reconnecting_by_last_event_id_repeats_and_loses_nothing(server, project):
    job_id = server.submit(project("seq 1 3000; sleep 0.2; seq 3001 6000"))
    whole = list(server.events(f"/jobs/{job_id}/stream?from_beginning=true"))
    text = text_of(whole)
    assert text.endswith("6000\n")
    ids = [event_id for event_id, event in whole if event["type"] == "log"]
    for position, event_id in enumerate(ids):
        rest = list(server.events(f"/jobs/{job_id}/stream", **{"Last-Event-ID": event_id}))
        assert (
            text_of(whole[: whole.index((event_id, whole_event(whole, event_id))) + 1])
            + text_of(rest)
            == text
        ), position


def whole_event(events, event_id):
    return next(e for i, e in events if i == event_id and e["type"] == "log")


def test_replay_after_the_container_is_gone(server, engine, project):
    job_id = server.submit(project("echo still here"))
    server.until(job_id, "completed")
    eventually(lambda: not engine.containers(), what="container removed")
    events = list(server.events(f"/jobs/{job_id}/stream?from_beginning=true"))
    assert "still here\n" in text_of(events)
    silent = list(server.events(f"/jobs/{job_id}/stream"))
    assert [event["type"] for _, event in silent if event["type"] != "status"] == ["complete"]


def test_a_queued_job_streams_its_position_and_then_its_log(servers, engine, namespace, waiting):
    server = servers(namespace, executor="docker", max_running="1").start()
    first, second, third = (server.submit(waiting()) for _ in range(3))
    server.until_log(first, "started")  # a server that has just begun looks at the engine first
    positions = []
    for _, event in server.events(f"/jobs/{third}/stream"):
        if event["type"] == "status" and event["status"] == "queued":
            positions.append(event["position"])
            running = {2: first, 1: second}[event["position"]]
            server.until_log(running, "started")
            engine.go(running)
        if event["type"] == "log" and "started" in event["data"]:
            engine.go(third)
    assert positions == [2, 1]
    assert event["type"] == "complete"


def test_bytes_are_kept_and_shown_sanely(server, project):
    """Fault 34: invalid UTF-8, NUL and progress bars."""
    job_id = server.submit(project(r"printf 'a\377b\000c\rd\n'"))
    server.until(job_id, "completed")
    assert server.get(f"/jobs/{job_id}/log").content.endswith(b"a\xffb\0c\rd\n")
    events = list(server.events(f"/jobs/{job_id}/stream?from_beginning=true"))
    assert text_of(events).endswith("a\ufffdb\0c\rd\n")


def test_ranges_of_a_log(server, project):
    job_id = server.submit(project("seq 1 1000"))
    server.until(job_id, "completed")
    whole = server.get(f"/jobs/{job_id}/log").content
    url = f"{server.url}/jobs/{job_id}/log"
    part = plain_http.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole)}"
    assert plain_http.get(url, headers={"Range": "bytes=-5"}).content == whole[-5:]
    assert plain_http.get(url, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416


def test_a_client_that_leaves_stops_nothing(server, engine, waiting):
    job_id = server.submit(waiting())
    for _, event in server.events(f"/jobs/{job_id}/stream?from_beginning=true"):
        if event["type"] == "log" and "started" in event["data"]:
            break
    engine.go(job_id)
    assert server.until(job_id, "completed")["success"] is True


def test_much_output_arrives_whole(server, project):
    script = "python3 -c \"for n in range(400000): print(n, 'x' * 40)\""
    job_id = server.submit(project(script))
    text = text_of(server.events(f"/jobs/{job_id}/stream?from_beginning=true"))
    expected = "".join(f"{n} {'x' * 40}\n" for n in range(400_000))
    assert text.endswith(expected)
    assert text.count("399999 ") == 1


def test_jobs_page_by_page(server, project):
    ids = [server.submit(project()) for _ in range(5)]
    page = server.get("/jobs?limit=2")
    seen = [job["job_id"] for job in page.json()]
    while link := page.links.get("next"):
        page = plain_http.get(str(httpx2.URL(page.url).join(link["url"])))
        seen += [job["job_id"] for job in page.json()]
    assert seen == ids[::-1]
