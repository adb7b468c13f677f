"""What may happen, in any order: hypothesis chooses, and what fails is made short by it."""

from collections import Counter
from typing import ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.simulation.containers import SimulatedContainer
from tests.simulation.engine import Fault
from tests.simulation.mishaps import Mishaps
from tests.simulation.server import Server
from tests.simulation.submission import Kind, Pace
from tests.simulation.world import World

T = TypeVar("T")

_REFUSABLE = ("launch", "feed", "keep")
_PATH = ("feed", "follow", "has_output", "exit_of", "stop", "remove")
_CALLS = (
    "observe",
    "launch",
    "take_standby",
    "attach",
    "feed",
    "follow",
    "has_output",
    "exit_of",
    "stop",
    "remove",
    "open",
    "image_id",
    "made_at",
    "run",
    "has_file",
    "keep",
    "all",
    "startup_error",
)

which = st.integers(0, 5)
STARTING = range(25, 90)
"""Points from a submission to a running job, a little before that and a little after."""
lost_feeds = st.sampled_from([None, None, Fault.FAILS_AFTERWARDS])
words = st.sampled_from([0, 1, 3, 8, 30])
moments = st.sampled_from([0.0, 0.5, 2.0])
faults = st.one_of(
    st.tuples(
        st.sampled_from([*_CALLS, *_PATH, *_PATH]),
        st.sampled_from([each for each in Fault if each is not Fault.IS_REFUSED]),
    ),
    st.tuples(st.sampled_from(_REFUSABLE), st.just(Fault.IS_REFUSED)),
)
kinds = st.sampled_from(Kind)
keys = st.sampled_from([None, None, None, "k"])
paces = st.sampled_from([Pace.AT_ONCE, Pace.AT_ONCE, Pace.AT_ONCE, Pace.SLOWLY, Pace.HALF])
own_codes = st.sampled_from([0, 0, 1, 5, 137, 137])
engine_codes = st.sampled_from([137, 143, 0, 255])
troubled = st.sampled_from([0.0, 1.0, 5.0, 40.0])
"""Seconds for which something goes wrong."""


class Simulation(RuleBasedStateMachine):
    """A world to which things happen. Every rule ends when nobody has anything to do at once."""

    reached: ClassVar[Counter[str]] = Counter()
    """How often what happened, in all runs."""

    world: World
    mishaps: Mishaps

    def __init__(self) -> None:
        super().__init__()
        self._fine = False

    @initialize(
        keep_for=st.sampled_from([0.0, 0.0, 60.0]),
        cuts_followers=st.booleans(),
        kinds=st.lists(kinds, min_size=1, max_size=4),
    )
    def begin(self, keep_for: float, cuts_followers: bool, kinds: list[Kind]) -> None:
        self.world = World(keep_for=keep_for)
        self.mishaps = Mishaps(self.world)
        self.world.engine.cuts_followers = cuts_followers
        server = self.world.start()
        self._settle(1.0)
        for kind in kinds:
            self.world.submit(server, kind)
        self._settle()

    def teardown(self) -> None:
        try:
            # A run that failed has said what there is to say.
            if self._fine:
                self.mishaps.heal()
                self.world.rest()
                self.reached.update(self.world.invariants.reached)
        finally:
            self.mishaps.close()
            self.world.close()

    # what is meant to happen

    @rule(seconds=st.sampled_from([0.1, 0.4, 1.0, 2.0, 2.0, 5.0, 11.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self._settle(seconds)

    @precondition(lambda self: self.world.servers)
    @rule(kind=kinds, which=which)
    def have_a_job_run(self, kind: Kind, which: int) -> None:
        self.world.submit(self._server(which), kind)
        self._settle(1.0)

    @precondition(lambda self: self.world.servers)
    @rule(
        kind=kinds, which=which, points=st.sampled_from(STARTING), down=troubled, fault=lost_feeds
    )
    def kill_server_on_a_jobs_way(
        self, kind: Kind, which: int, points: int, down: float, fault: Fault | None
    ) -> None:
        server = self._server(which)
        if fault is not None:
            self.world.engine.armed.setdefault("feed", []).append(fault)
        self.world.kill(server, points=points, down=down)
        self.world.submit(server, kind)
        self._settle(1.0)

    @precondition(lambda self: self.world.servers)
    @rule(kind=kinds, which=which, key=keys, pace=paces)
    def submit(self, kind: Kind, which: int, key: str | None, pace: Pace) -> None:
        self.world.submit(self._server(which), kind, key, pace)
        self._settle()

    @precondition(lambda self: self._scripts())
    @rule(which=which, length=st.sampled_from([1, 7, 40, 5000]), seconds=moments)
    def write(self, which: int, length: int, seconds: float) -> None:
        self._pick(self._scripts(), which).say(length)
        self._settle(seconds)

    @precondition(lambda self: self._scripts())
    @rule(which=which, words=words, code=own_codes, uses_up_the_memory=st.booleans())
    def finish(self, which: int, words: int, code: int, uses_up_the_memory: bool) -> None:
        container = self._pick(self._scripts(), which)
        container.say(words)
        self.world.finish(container, code, oom_killed=uses_up_the_memory and code > 5)
        self._settle()

    @precondition(lambda self: self.world.servers and self.world.invariants.rows())
    @rule(which=which, job=which)
    def cancel(self, which: int, job: int) -> None:
        job_ids = list(self.world.invariants.rows())
        self.world.cancel(self._server(which), self._pick(job_ids[::-1], job))
        self._settle()

    @precondition(lambda self: self.world.servers and self.world.invariants.rows())
    @rule(which=which, job=which)
    def retry(self, which: int, job: int) -> None:
        job_ids = list(self.world.invariants.rows())
        self.world.retry(self._server(which), self._pick(job_ids[::-1], job))
        self._settle()

    @precondition(lambda self: self.world.servers)
    @rule(which=which)
    def prune(self, which: int) -> None:
        self.world.prune(self._server(which))
        self._settle()

    # servers

    @precondition(lambda self: len(self.world.servers) < 2)
    @rule()
    def start_server(self) -> None:
        self.world.start()
        self._settle()

    @precondition(lambda self: self.world.servers)
    @rule(which=which, points=st.integers(0, 100), down=troubled)
    def kill_server(self, which: int, points: int, down: float) -> None:
        self.world.kill(self._server(which), points=points, down=down)
        self._settle()

    @precondition(lambda self: self.world.servers)
    @rule(which=which, down=troubled)
    def shut_server_down(self, which: int, down: float) -> None:
        self.world.shut_down(self._server(which), down=down)
        self._settle()

    @rule(code=engine_codes, down=troubled)
    def reboot(self, code: int, down: float) -> None:
        self.mishaps.reboot(code, down=down)
        self._settle()

    # the engine and its containers

    @rule(call_and_fault=faults, times=st.sampled_from([1, 1, 1, 2, 10]))
    def next_calls(self, call_and_fault: tuple[str, Fault], times: int) -> None:
        call, fault = call_and_fault
        self.world.engine.armed.setdefault(call, []).extend([fault] * times)

    @rule(call_and_fault=faults, seconds=troubled)
    def calls_for_a_while(self, call_and_fault: tuple[str, Fault], seconds: float) -> None:
        self.mishaps.disturb(*call_and_fault, seconds)

    @precondition(lambda self: self.world.engine.pending)
    @rule(which=which)
    def let_go_on(self, which: int) -> None:
        self.world.engine.release(self._pick(self.world.engine.pending, which))
        self._settle()

    @rule(code=engine_codes, down=troubled)
    def engine_restarts(self, code: int, down: float) -> None:
        self.mishaps.restart_engine(live_restore=False, code=code, down=down)
        self._settle()

    @precondition(lambda self: self.world.servers)
    @rule(kind=kinds, which=which, down=troubled, before=words, after=words)
    def engine_restarts_under_containers(
        self, kind: Kind, which: int, down: float, before: int, after: int
    ) -> None:
        self.world.submit(self._server(which), kind)
        self._settle(1.0)
        for container in self._scripts():
            container.say(before)
        self._settle()
        self.mishaps.restart_engine(live_restore=True, code=0, down=down)
        for container in self._scripts():
            container.say(after)
        self._settle(2.0)

    @rule(seconds=troubled)
    def streams_stall(self, seconds: float) -> None:
        self.mishaps.stall(seconds)
        self._settle()

    @rule(seconds=troubled)
    def containers_begin_late(self, seconds: float) -> None:
        self.mishaps.mute(seconds)
        self._settle()

    @precondition(lambda self: self.world.engine.living)
    @rule(which=which)
    def container_vanishes(self, which: int) -> None:
        self.world.engine.lose(self._pick(self.world.engine.living, which))
        self._settle()

    @precondition(lambda self: self.world.engine.living)
    @rule(which=which)
    def stream_breaks(self, which: int) -> None:
        self._pick(self.world.engine.living, which).break_streams()
        self._settle()

    @precondition(lambda self: self.world.engine.history)
    @rule(which=which, seconds=troubled)
    def end_is_denied(self, which: int, seconds: float) -> None:
        self.mishaps.deny_end(self._pick(self.world.engine.history[::-1], which), seconds)
        self._settle()

    # the machine

    @rule(seconds=st.sampled_from([-3600, -30, 30, 3600]))
    def clock_is_set(self, seconds: int) -> None:
        self.mishaps.set_clock(seconds)
        self._settle()

    @rule(seconds=troubled)
    def database_is_locked(self, seconds: float) -> None:
        self.mishaps.lock_database(seconds)
        self._settle()

    @rule(
        room=st.sampled_from([0, 3, 100, 2000]),
        seconds=troubled,
        noticed=st.booleans(),
        said=words,
    )
    def disk_fills(self, room: int, seconds: float, noticed: bool, said: int) -> None:
        self.mishaps.fill_disk(room, seconds, noticed=noticed)
        for container in self._scripts():
            container.say(said)
        self._settle()

    def _settle(self, seconds: float = 0.0) -> None:
        self._fine = False
        self.world.settle(seconds)
        self._fine = True
        self.reached["step"] += 1

    def _server(self, which: int) -> Server:
        return self._pick(self.world.servers, which)

    def _scripts(self) -> list[SimulatedContainer]:
        return [each for each in self.world.engine.living if each.begun]

    @staticmethod
    def _pick(things: list[T], which: int) -> T:
        return things[which % len(things)]
