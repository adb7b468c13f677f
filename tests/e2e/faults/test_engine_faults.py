"""The engine restarts, crashes and hangs under running jobs."""

import os
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.harness import WAIT_FOR_GO, children
from tests.waiting import eventually

MEGABYTE = 1024 * 1024

soak = pytest.mark.soak

ENDINGS = ["terminate", "kill", "lose_power"]


def end(engine, how: str) -> None:
    getattr(engine, how)()


def bring_back(engine, how: str, **options: bool) -> None:
    if how == "lose_power":
        engine.boot()
    engine.start(**options)


@pytest.fixture
def stubborn(project):
    """Make a project that waits to be let go, and ends in its own way when it is asked to end."""

    def make(exit_code: int):
        wait = WAIT_FOR_GO.format(go="/tmp/go")
        made = project(f"trap 'exit {exit_code}' TERM\necho started\n{wait}\necho done")
        # As a list, so that no other shell is there to take the signal.
        return made.write({"ci.toml": "install = []\ncommand = ['sh', 'run.sh']\n"})

    return make


def ran_twice(server, engine, job_id: str) -> None:
    """Wait for a job's second attempt, let that go, and see that the first left no verdict."""
    eventually(lambda: server.job(job_id)["attempt"] == 2, what="a second attempt")
    eventually(lambda: server.text(job_id).count("started\n") == 2, what="it runs again")
    engine.go(job_id)
    job = server.until(job_id, "completed")
    assert (job["reason"], job["attempt"]) == ("passed", 2)
    assert "[ci] Attempt 1 of 3 was lost: " in server.text(job_id)


def each_way_of_ending(*quick: tuple[str, int]):
    """Parametrize a test with how the engine ends, and how the job answers its signal."""
    ways = [(how, exit_code) for how in ENDINGS for exit_code in (0, 3, 143)]
    marked = [pytest.param(*way, marks=() if way in quick else soak) for way in ways]
    return pytest.mark.parametrize(("how", "exit_code"), marked)


@each_way_of_ending(("terminate", 0), ("terminate", 3), ("kill", 3))
def test_the_engine_restarts(own_engine, server_on, stubborn, how, exit_code):
    """Fault 12: however a job answers the engine's signal, that is not its verdict."""
    server = server_on().start()
    job_id = server.submit(stubborn(exit_code))
    server.until_log(job_id, "started")
    end(own_engine, how)
    bring_back(own_engine, how)
    ran_twice(server, own_engine, job_id)


@each_way_of_ending(("terminate", 3), ("kill", 143), ("lose_power", 0))
def test_engine_and_server_restart(own_engine, server_on, stubborn, how, exit_code):
    """Fault 12: nobody was there to see why the container ended."""
    server = server_on().start()
    job_id = server.submit(stubborn(exit_code))
    server.until_log(job_id, "started")
    server.kill()
    end(own_engine, how)
    bring_back(own_engine, how)
    server.restart()
    ran_twice(server, own_engine, job_id)


def test_an_engine_that_never_keeps_a_job(own_engine, server_on, stubborn):
    """Fault 12: when the attempts are used up, it is the infrastructure's fault."""
    server = server_on(max_attempts="1").start()
    job_id = server.submit(stubborn(3))
    server.until_log(job_id, "started")
    own_engine.terminate()
    own_engine.start()
    job = server.until(job_id, "completed")
    assert (job["reason"], job["exit_code"]) == ("infra_error", None)
    assert server.ci("wait", job_id).returncode == 3


@pytest.mark.parametrize("alive", [True, False])
def test_a_job_that_kills_itself_has_failed(own_engine, server_on, project, alive):
    """Fault 12: what looks like the engine's doing and is not stays the job's own."""
    server = server_on().start()
    job_id = server.submit(
        project(f"echo started\n{WAIT_FOR_GO.format(go='/tmp/go')}\nkill -9 $PPID $$")
    )
    server.until_log(job_id, "started")
    if not alive:
        server.kill()
    own_engine.go(job_id)
    container = own_engine.seen.of(job_id)
    if not alive:
        eventually(lambda: own_engine.seen.of(job_id).status == "exited", what="it has ended")
        server.restart()
    job = server.until(job_id, "completed")
    assert (job["reason"], job["exit_code"], job["attempt"]) == ("failed", 137, 1), container.name


@pytest.fixture
def live_engine(own_engine):
    """The engine, such that its containers outlive it."""
    own_engine.terminate()
    own_engine.start(live_restore=True)
    return own_engine


def output_from(server, job_id: str, first: str) -> str:
    text = server.text(job_id)
    return text[text.index(first) :]


@pytest.mark.parametrize("how", ["terminate", pytest.param("kill", marks=soak)])
def test_the_engine_restarts_under_a_writing_job(live_engine, server_on, project, how):
    """Fault 13: the log is taken up where it was, with no gap and nothing twice."""
    server = server_on().start()
    job_id = server.submit(
        project("i=0; until [ -e /tmp/go ]; do i=$((i+1)); echo line $i; sleep 0.01; done")
    )
    server.until_log(job_id, "line 50\n")
    for _ in range(2):
        end(live_engine, how)
        live_engine.start(live_restore=True)
    live_engine.go(job_id)
    job = server.until(job_id, "completed")
    assert (job["reason"], job["attempt"]) == ("passed", 1)
    lines = output_from(server, job_id, "line 1\n").splitlines()
    assert lines == [f"line {n}" for n in range(1, len(lines) + 1)]


def test_a_job_ends_while_the_engine_is_away(live_engine, server_on, project):
    """Fault 13: under live-restore the engine does not end containers, so it is their own end."""
    server = server_on().start()
    job_id = server.submit(project(f"echo started; {WAIT_FOR_GO.format(go='/tmp/go')}; exit 7"))
    server.until_log(job_id, "started")
    process = Path(f"/proc/{children(live_engine.shim_of(live_engine.seen.of(job_id)))[0]}")
    live_engine.terminate()
    (process / "root" / "tmp" / "go").touch()
    eventually(lambda: not process.exists(), what="the job has ended")
    live_engine.start(live_restore=True)
    job = server.until(job_id, "completed")
    assert (job["reason"], job["exit_code"], job["attempt"]) == ("failed", 7, 1)


@pytest.mark.parametrize(
    ("how", "alive"),
    [
        ("terminate", True),
        ("kill", False),
        pytest.param("terminate", False, marks=soak),
        pytest.param("kill", True, marks=soak),
    ],
)
def test_the_engine_restarts_in_the_middle_of_a_line(live_engine, server_on, project, how, alive):
    """Fault 13: a line that was not complete when the engine went away."""
    wait = WAIT_FOR_GO.format(go="/tmp/go")
    server = server_on().start()
    job_id = server.submit(project(f"printf 'begun, '\n{wait}\necho ended; echo next; exit 7"))
    server.until_log(job_id, "begun, ")
    if not alive:
        server.kill()
    end(live_engine, how)
    live_engine.start(live_restore=True)
    if not alive:
        server.restart()
    live_engine.go(job_id)
    job = server.until(job_id, "completed")
    assert (job["reason"], job["exit_code"], job["attempt"]) == ("failed", 7, 1)
    assert output_from(server, job_id, "begun") == "begun, ended\nnext\n"


@soak
def test_a_reader_of_the_engines_record_that_lags(own_engine, server_on, project):
    """Fault 7: the engine breaks its stream off when the container ends; none of it is lost."""
    server = server_on().start()
    count = 2_000_000
    job_id = server.submit(project(f"echo started; seq 1 {count}"))
    server.until_log(job_id, "started")
    server.kill()
    server.restart()
    assert server.until(job_id, "completed")["success"] is True
    lines = output_from(server, job_id, "started\n").split("\n")[1:-1]
    assert lines == [str(n) for n in range(1, count + 1)]


@soak
@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_the_engine_restarts_under_a_flood(live_engine, server_on, project, how):
    """Fault 13: what the engine forgets is gone; nothing else is, and nothing comes twice."""
    server = server_on().start()
    count = 2_000_000
    job_id = server.submit(project(f"echo started; seq 1 {count}"))
    eventually(lambda: len(server.text(job_id)) > MEGABYTE, what="much is written")
    end(live_engine, how)
    live_engine.start(live_restore=True)
    assert server.until(job_id, "completed")["success"] is True
    lines = output_from(server, job_id, "started\n").split("\n")[1:-1]
    numbers = [int(line) for line in lines]
    seams = [at for at, (one, other) in enumerate(pairwise(numbers)) if other != one + 1]
    # A crash can cut a line short, and the next one is then added to it.
    assert len(seams) <= (1 if how == "terminate" else 3)
    assert (numbers[0], numbers[-1]) == (1, count)
    assert count - len(numbers) < 4 * MEGABYTE / len(str(count))
    if how == "terminate":
        assert numbers == sorted(set(numbers))


def test_the_engine_hangs(own_engine, server_on, waiting):
    """Fault 14: deadlines fire, everything that needs no engine goes on, and then the rest."""
    server = server_on(engine_timeout="3", max_running="2").start()
    running, late = server.submit(waiting()), server.submit(waiting(timeout="5s"))
    for job_id in (running, late):
        server.until_log(job_id, "started")
    own_engine.suspend()
    eventually(lambda: server.get("/ready").status_code == 503, what="the server is degraded")
    assert "engine" in server.get("/ready").json()["problems"]
    assert server.get("/health").status_code == 200
    assert server.text(running).endswith("started\n")
    waits = server.submit(waiting())
    assert server.job(waits)["status"] == "queued"
    own_engine.resume()
    eventually(lambda: server.get("/ready").status_code == 200, what="the server is well")
    assert server.until(late, "completed")["reason"] == "timed_out"
    for job_id in (running, waits):
        server.until_log(job_id, "started")
        own_engine.go(job_id)
        job = server.until(job_id, "completed")
        assert (job["reason"], job["attempt"]) == ("passed", 1)


def test_a_server_stops_while_the_engine_hangs(own_engine, server_on, waiting):
    """Fault 14: nobody waits for the engine longer than the grace, and the job is taken up."""
    server = server_on(engine_timeout="2").start()
    job_id = server.submit(waiting())
    server.until_log(job_id, "started")
    own_engine.suspend()
    server.terminate()
    own_engine.resume()
    server.restart()
    own_engine.go(job_id)
    job = server.until(job_id, "completed")
    assert (job["reason"], job["attempt"]) == ("passed", 1)


def test_a_wedged_container(own_engine, server_on, waiting):
    """Fault 15: it cannot be stopped; other jobs do not notice."""
    server = server_on(engine_timeout="2", stop_grace="0", max_running="2").start()
    wedged = server.submit(waiting(timeout="2s"))
    server.until_log(wedged, "started")
    shim = own_engine.shim_of(own_engine.seen.of(wedged))
    os.kill(shim, signal.SIGSTOP)
    server.until_log(wedged, "started")
    for _ in range(2):
        other = server.submit(waiting())
        server.until_log(other, "started")
        own_engine.go(other)
        assert server.until(other, "completed")["success"] is True
    eventually(lambda: f"stop-{wedged}" in server.log.read_text(), what="it could not be stopped")
    assert server.job(wedged)["status"] == "running"
    assert server.get("/ready").status_code == 200
    os.kill(shim, signal.SIGCONT)
    assert server.until(wedged, "completed")["reason"] == "timed_out"
    eventually(lambda: not own_engine.seen.containers(), what="containers removed")
