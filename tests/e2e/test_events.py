"""What happens to jobs, told by real servers to the `ci` command and to WebSockets."""

import json
import signal
from contextlib import ExitStack

import pytest
from websockets.sync.client import connect

from tests.e2e.harness import Server
from tests.waiting import LONGEST, eventually

LIFE = ["job.queued", "job.running", "job.ended"]


@pytest.fixture
def start(servers, namespace):
    def make(**settings) -> Server:
        return servers(namespace, executor="local", **settings).start()

    return make


def stored(server) -> list[tuple[int, str]]:
    return server.rows("SELECT seq, type FROM events ORDER BY seq")


def ws_url(server) -> str:
    return server.url.replace("http", "ws", 1) + "/api/v1/events"


def ask(ws, **command) -> dict:
    ws.send(json.dumps(command))
    return hear(ws)


def hear(ws) -> dict:
    return json.loads(ws.recv(timeout=LONGEST))


def test_nothing_is_missed_or_told_twice_when_the_server_is_killed(start, project):
    """`ci events` comes back by itself, and a WebSocket with the last number it has seen."""
    server = start()
    watching = server.ci_process("events", "--after", "0", "--json")
    try:
        seen = [json.loads(watching.stdout.readline()) for _ in read_life(server, project)]
        with connect(ws_url(server)) as ws:
            ask(ws, id="a", subscribe="jobs", after=1)
            heard = [hear(ws)["event"] for _ in range(2)]
            server.kill()
        server.restart()
        seen += [json.loads(watching.stdout.readline()) for _ in read_life(server, project)]
        with connect(ws_url(server)) as ws:
            ask(ws, id="a", subscribe="jobs", after=heard[-1]["seq"])
            heard += [hear(ws)["event"] for _ in range(3)]
        assert [(event["seq"], event["type"]) for event in seen] == stored(server)
        assert heard == seen[1:]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(LONGEST) == 130
        err = watching.stderr.read().decode()
        assert "ci --server" not in err
        assert "--after 6" in err
    finally:
        watching.kill()
        watching.communicate()


def read_life(server, project) -> list[str]:
    """Have a job pass; return what is to be told of it."""
    job_id = server.submit(project("echo hello"))
    server.until(job_id, "completed")
    return LIFE


def test_every_process_of_a_database_tells_the_same(start, project):
    """Also the log of a job that another process runs, live."""
    server = start()
    other = Server(server.folder, server.namespace, server.settings)
    with ExitStack() as stack:
        stack.callback(other.stop)
        other.start()
        sockets = [stack.enter_context(connect(ws_url(each))) for each in (server, other)]
        for ws in sockets:
            ask(ws, id="jobs", subscribe="jobs", after=0)
        go = server.folder / "go"
        script = f"echo first; until [ -e {go} ]; do sleep 0.05; done; echo last"
        job_id = other.submit(project(script))
        for ws in sockets:
            assert [hear(ws)["event"]["type"] for _ in range(2)] == LIFE[:2]
            assert ask(ws, unsubscribe="jobs")["type"] == "unsubscribed"
            assert ask(ws, id="log", subscribe="log", job_id=job_id)["type"] == "subscribed"
        texts = [read_until(ws, "first\n") for ws in sockets]
        go.touch()
        texts = [text + read_until(ws, None) for ws, text in zip(sockets, texts, strict=True)]
    assert texts == [server.text(job_id)] * 2
    assert texts[0].endswith("last\n")


def read_until(ws, end: str | None) -> str:
    """Return the text of the log that comes until it ends so, or is complete."""
    text = ""
    while True:
        message = hear(ws)
        if message["type"] == "complete":
            return text
        if message["type"] == "log":
            text += message["data"]
            if end is not None and text.endswith(end):
                return text


def test_what_happened_can_be_listed(start, project):
    server = start()
    first, second = (server.submit(project(f"exit {code}")) for code in (0, 3))
    for job_id in (first, second):
        server.until(job_id, "completed")
    listed = server.ci("events", "--no-follow", "--json")
    events = [json.loads(line) for line in listed.stdout.decode().splitlines()]
    assert [(event["seq"], event["type"]) for event in events] == stored(server)
    shown = server.ci("events", "--no-follow", "--job", second[:9], "--type", "job.ended")
    assert (shown.returncode, shown.stderr) == (0, b"")
    (line,) = shown.stdout.decode().splitlines()
    assert all(word in line for word in ("job.ended", second[:8], "failed"))
    refused = server.ci("events", "--no-follow", "--type", "job.exploded")
    assert refused.returncode == 2
    assert "job.ended" in refused.stderr.decode()
    assert server.ci("events", "--no-follow", "--job", "nothing").returncode == 2


def test_old_events_are_removed_and_the_gap_is_told(start, project):
    server = start(keep_events_for="1ms")
    job_id = server.submit(project("echo hello"))
    server.until(job_id, "completed")
    server.terminate()
    server.restart()  # which clears up at once
    eventually(lambda: not stored(server), what="the events are removed")
    shown = server.ci("events", "--no-follow", "--after", "1")
    assert shown.stdout == b""
    assert "not kept any more" in shown.stderr.decode()
