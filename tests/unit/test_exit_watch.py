"""How a container ended, by the events of an engine that says what a test tells it to."""

import asyncio
import json
import queue
import socketserver
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest

from ci_common.executor import ContainerExit
from ci_controller.containers import ContainerManager
from ci_controller.docker_engine import exits
from tests.waiting import LONGEST

DEADLINE = LONGEST
NAME = "x_ci-job-1"
ID = "0123"
OUR_NETWORK = {
    "Name": "x_standby-ci",
    "Id": "n",
    "Created": "",
    "Labels": {"ci.namespace": "x_"},
}


class Engine(BaseHTTPRequestHandler):
    """Answers what a test has set, and counts who asked for what."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        verb = url.path.rpartition("/")[2]
        self.server.asked[verb] += 1
        match verb:
            case "version":
                self._answer({"Version": "1", "ApiVersion": "1.41"})
            case "events":
                self._tell(parse_qs(url.query)["filters"][0])
            case "networks":
                self._answer([OUR_NETWORK])
            case "bridge":
                self._answer({"Created": self.server.began})
            case "info":
                self._answer({"LiveRestoreEnabled": False})
            case "json":
                self._answer({"State": self.server.state})

    def do_DELETE(self) -> None:
        self.send_response(204)
        self.end_headers()

    def _tell(self, filters: str) -> None:
        self.server.filters = json.loads(filters)
        self._begin("application/json")
        self.wfile.flush()
        mine: queue.Queue[bytes] = queue.Queue()
        self.server.listeners.append(mine)
        while data := mine.get():
            self._chunk(data)
        self.close_connection = True

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _answer(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *args: object) -> None:
        pass


class EngineServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str) -> None:
        self.asked: Counter[str] = Counter()
        self.filters: dict[str, list[str]] = {}
        self.listeners: list[queue.Queue[bytes]] = []
        self.state: dict[str, object] = {"Status": "running"}
        self.began = "2026-01-01T12:00:00Z"
        super().__init__(path, Engine)

    def say(self, action: str, container_id: str = ID, **attributes: str) -> None:
        event = {"Action": action, "Actor": {"ID": container_id, "Attributes": attributes}}
        self.listeners[-1].put(json.dumps(event).encode() + b"\n")

    def break_off(self) -> None:
        """End the events, as an engine that restarts does."""
        self.listeners.pop().put(b"")

    def ended(self, exit_code: int, *, oom_killed: bool = False) -> ContainerExit:
        """Have an inspected container be one that ended so."""
        self.state = {
            "Status": "exited",
            "ExitCode": exit_code,
            "OOMKilled": oom_killed,
            "StartedAt": "2026-01-01T12:01:00Z",
            "FinishedAt": "2026-01-01T12:02:00Z",
        }
        return ContainerExit(exit_code=exit_code, oom_killed=oom_killed)


@pytest.fixture
def engine(tmp_path, monkeypatch) -> Iterator[EngineServer]:
    path = tmp_path / "d.sock"
    with EngineServer(str(path)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield server
        for listener in server.listeners:
            listener.put(b"")
        server.shutdown()
        thread.join()


@pytest.fixture
async def manager(engine) -> AsyncIterator[ContainerManager]:
    manager = ContainerManager("x_")
    yield manager
    await manager.close()


async def until(look: Callable[[], object]) -> None:
    """Let threads and tasks run until ``look`` finds what it wants."""
    async with asyncio.timeout(LONGEST):
        while not look():  # noqa: ASYNC110 -- what happens in a thread has no event
            await asyncio.sleep(0)


async def listening(manager: ContainerManager, engine: EngineServer) -> None:
    """Have a manager listen, and watch a container."""
    await manager.open()
    await until(lambda: engine.listeners and manager._exits._hears)
    manager._exits.watch(NAME, ID)


async def heard(manager: ContainerManager, container_id: str = ID) -> None:
    """Return once the end of a container has been taken note of."""
    await until(manager._exits._ends[container_id].done)


async def test_the_event_is_the_answer(manager, engine):
    await listening(manager, engine)
    engine.say("die", exitCode="5")
    await heard(manager)
    for _ in range(2):
        ended = await manager.wait_exit(NAME, timeout=DEADLINE)
        assert ended == ContainerExit(exit_code=5)
    assert not engine.asked["json"]


async def test_an_event_that_is_to_come_is_waited_for(manager, engine, monkeypatch):
    monkeypatch.setattr(exits, "_PATIENCE", DEADLINE)
    await listening(manager, engine)
    waiting = asyncio.create_task(manager.wait_exit(NAME, timeout=DEADLINE))
    await asyncio.sleep(0)
    engine.say("die", exitCode="0")
    assert await waiting == ContainerExit(exit_code=0)
    assert not engine.asked["json"]


async def test_others_events_are_neither_asked_for_nor_kept(manager, engine):
    await listening(manager, engine)
    assert engine.filters["label"] == ["ci.namespace=x_"]
    assert engine.filters["type"] == ["container"]
    engine.say("oom", "other")
    engine.say("die", "other", exitCode="1")
    engine.say("die", exitCode="0")
    await heard(manager)
    assert (list(manager._exits._ends), manager._exits._unsure) == ([ID], set())


async def test_a_name_may_be_anothers_next(manager, engine):
    await listening(manager, engine)
    engine.say("die", exitCode="1")
    await heard(manager)
    manager._exits.watch(NAME, "next")
    engine.say("die", exitCode="1")
    engine.say("die", "next", exitCode="0")
    await heard(manager, "next")
    assert await manager.wait_exit(NAME, timeout=DEADLINE) == ContainerExit(exit_code=0)


@pytest.mark.parametrize("exit_code", [128, 137, 143, 255])
async def test_what_may_be_a_signal_is_asked(manager, engine, exit_code):
    await listening(manager, engine)
    expected = engine.ended(exit_code, oom_killed=True)
    engine.say("die", exitCode=str(exit_code))
    await heard(manager)
    assert await manager.wait_exit(NAME, timeout=DEADLINE) == expected


async def test_a_full_memory_is_asked_about(manager, engine):
    await listening(manager, engine)
    expected = engine.ended(0, oom_killed=True)
    engine.say("oom")
    engine.say("die", exitCode="0")
    await heard(manager)
    assert await manager.wait_exit(NAME, timeout=DEADLINE) == expected


@pytest.mark.parametrize(("began", "by_itself"), [("12:00", True), ("12:03", False)])
async def test_who_was_sent_a_signal_is_asked_whose_doing_the_end_was(
    manager, engine, began, by_itself
):
    """Fault 12: an engine that stops ends its containers, which may answer with any status."""
    await listening(manager, engine)
    engine.ended(3)
    engine.began = f"2026-01-01T{began}:00Z"
    engine.say("kill", signal="15")
    engine.say("die", exitCode="3")
    await heard(manager)
    ended = await manager.wait_exit(NAME, timeout=DEADLINE)
    assert ended == ContainerExit(exit_code=3, by_itself=by_itself)


async def test_an_event_that_does_not_come_is_not_missed(manager, engine):
    await listening(manager, engine)
    expected = engine.ended(1)
    assert await manager.wait_exit(NAME, timeout=DEADLINE) == expected


def silence(engine: EngineServer) -> None:
    engine.break_off()


def garbage(engine: EngineServer) -> None:
    engine.listeners.pop().put(b"not JSON\n")


@pytest.mark.parametrize("broken", [silence, garbage])
async def test_while_nobody_listens_it_is_asked(manager, engine, broken: Callable):
    await listening(manager, engine)
    engine.say("die", exitCode="0")
    await heard(manager)
    broken(engine)
    await until(manager._exits._listening.done)
    manager._exits.watch("x_ci-next-1", "next")
    expected = replace(engine.ended(2), witnessed=False)
    for name in (NAME, "x_ci-next-1"):
        assert await manager.wait_exit(name, timeout=DEADLINE) == expected


async def test_who_was_not_listened_to_all_the_time_is_asked(manager, engine):
    """Its memory may have been full in between, and its reader been cut off."""
    await listening(manager, engine)
    engine.break_off()
    await until(manager._exits._listening.done)
    manager._exits.watch("x_ci-next-1", "next")
    await until(lambda: engine.listeners and manager._exits._hears)
    expected = replace(engine.ended(0, oom_killed=True), witnessed=False)
    for name, container_id in ((NAME, ID), ("x_ci-next-1", "next")):
        engine.say("die", container_id, exitCode="0")
        await heard(manager, container_id)
        assert await manager.wait_exit(name, timeout=DEADLINE) == expected


async def test_it_listens_again_after_the_engine_was_away(manager, engine):
    await listening(manager, engine)
    engine.break_off()
    await until(manager._exits._listening.done)
    await listening(manager, engine)
    engine.say("die", exitCode="4")
    await heard(manager)
    assert await manager.wait_exit(NAME, timeout=DEADLINE) == ContainerExit(exit_code=4)
    assert engine.asked["events"] == 2


async def test_jobs_share_one_connection(manager, engine):
    for _ in range(5):
        await listening(manager, engine)
    assert engine.asked["events"] == 1


async def test_a_removed_container_is_forgotten(manager, engine):
    await listening(manager, engine)
    engine.say("oom")
    waiting = asyncio.create_task(manager._exits.end_of(NAME, timeout=DEADLINE))
    await asyncio.sleep(0)
    await manager.remove(NAME)
    assert await waiting is None
    exits_ = manager._exits
    kept = (exits_._ids, exits_._ends, exits_._unsure, exits_._missed)
    assert kept == ({}, {}, set(), set())


async def test_closing_leaves_no_thread(manager, engine):
    await listening(manager, engine)
    waiting = asyncio.create_task(manager.wait_exit(NAME, timeout=DEADLINE))
    await asyncio.sleep(0)
    engine.ended(0)
    await manager.close()
    await manager.close()
    assert await waiting == ContainerExit(exit_code=0, witnessed=False)
    assert not any("engine events" in thread.name for thread in threading.enumerate())
