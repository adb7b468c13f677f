"""An engine that can do wrong, call by call."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ci_common.errors import ContainerFailed, EngineUnavailable
from ci_common.executor import ContainerSpec
from ci_controller.container_names import ContainerNames
from ci_controller.job_script import PREPARED
from tests.fakes.clock import FakeClock
from tests.fakes.executor import FakeContainer, FakeEngine
from tests.simulation.containers import Cause, SimulatedContainer
from tests.simulation.submission import SECRET, SECRET_NAME

CALL_DEADLINE = 30.0
"""Seconds after which a call of the engine gives up."""


_OF_NO_JOB = frozenset({"open", "observe", "ping", "all", "snapshots"})
"""Calls whose failure is no fault of any attempt."""


class Fault(StrEnum):
    """What befalls one call: before or after it has its effect, or instead of it."""

    WAITS = "waits"
    """Has no effect yet. Released later, it has, even if nobody waits for it any more."""
    ANSWERS_LATE = "answers late"
    FAILS = "fails"
    FAILS_AFTERWARDS = "fails afterwards"
    IS_REFUSED = "is refused"
    """Answered with an error that trying again would not mend."""


@dataclass(eq=False)
class Request:
    """A call on its way. ``effect`` runs once at most, in the ``context`` of whoever asked."""

    call: str
    name: str
    effect: Callable[[], Any]
    answer: asyncio.Future[Any]
    fault: Fault | None
    context: Context = field(default_factory=copy_context)
    done: bool = False
    outcome: Callable[[], Any] | None = None

    def perform(self) -> None:
        """Have the effect."""
        if self.done:
            return
        self.done = True
        try:
            result = self.context.run(self.effect)
        except Exception as error:  # noqa: BLE001 -- it is the answer
            failure = error

            def fail() -> Any:
                raise failure

            self.outcome = fail
        else:
            self.outcome = lambda: result

    def reply(self) -> None:
        """Answer with what came of the effect, if anybody still waits."""
        if not self.answer.done() and self.outcome is not None:
            try:
                self.answer.set_result(self.outcome())
            except Exception as error:  # noqa: BLE001 -- it is the answer
                self.answer.set_exception(error)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class SimulatedEngine(FakeEngine):
    """The engine, which outlives the processes that call it.

    ``armed``: faults that the next calls of a name will meet; ``disturbed``: the
    fault that all of them meet for now. ``pending``: calls
    that wait to be released. ``stalled``: streams carry nothing for now.
    ``mute``: containers say nothing when they have been fed, until ``begin_all``.
    ``begun``: the containers whose scripts ran, in the order they did.
    ``blame``: faults of the engine that touched a job, by its id; under ``""``
    those that touched all. ``wrong``: what must never be was seen.
    """

    def __init__(
        self, clock: FakeClock, time: Callable[[], float], trace: Callable[[str], None]
    ) -> None:
        super().__init__(on_fed=self._fed)
        self.images.clock = lambda: clock.wall
        self._clock = clock
        self._time = time
        self.trace = trace
        self.armed: dict[str, list[Fault]] = {}
        self.disturbed: dict[str, Fault] = {}
        self.pending: list[Request] = []
        self.stalled = False
        self.mute = False
        self.blame: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.history: list[SimulatedContainer] = []
        self.begun: list[SimulatedContainer] = []
        self._names = ContainerNames("")

    # what the world does to it

    @property
    def living(self) -> list[SimulatedContainer]:
        return [each for each in self.history if each.lives and each.name in self.containers]

    def begin(self, container: SimulatedContainer) -> None:
        """Have the script of a fed container run, and say its first line."""
        assert container.fed_for is not None
        container.begun = True
        self.begun.append(container)
        if not container.installs:
            self._check_alone(container)
        container.say_a_line()

    def begin_all(self) -> None:
        """Be mute no more."""
        self.mute = False
        for container in self.living:
            if container.fed and not container.begun:
                self.begin(container)

    def kill_all(self, code: int) -> None:
        """End all containers as an engine does that goes down."""
        for container in self.living:
            self._blame(container.name)
            container.end(Cause.ENGINE, code)

    def lose(self, container: SimulatedContainer) -> None:
        """Have a container vanish."""
        self._blame(container.name)
        container.end(Cause.REMOVED, 137)
        self.containers.pop(container.name, None)

    def break_streams_of_all(self) -> None:
        for container in self.history:
            container.break_streams()
            container.unwatched = True

    def drop_calls(self) -> None:
        """Fail all calls that wait, as an engine does that goes down."""
        pending, self.pending = self.pending, []
        for request in pending:
            self._blame(request.name, request.call)
            request.fail(EngineUnavailable("The engine went away."))

    def release(self, request: Request) -> None:
        """Let a call that waits go on."""
        self.pending.remove(request)
        if request.answer.done() and not request.done:
            self._blame(request.name, request.call)  # nobody counts with it any more
        request.perform()
        request.reply()

    # what its clients do

    async def serve(self, call: str, name: str, effect: Callable[[], Any]) -> Any:
        """Take a call through its faults; raises as the contract of executors says."""
        loop = asyncio.get_running_loop()
        faults = self.armed.get(call)
        fault = faults.pop(0) if faults else self.disturbed.get(call)
        request = Request(call, name, effect, loop.create_future(), fault)
        loop.call_soon(self._handle, request)
        try:
            async with asyncio.timeout(CALL_DEADLINE):
                return await request.answer
        except TimeoutError:
            self._blame(name, call)
            raise EngineUnavailable(f"{call} took more than {CALL_DEADLINE:g} s") from None

    def _handle(self, request: Request) -> None:
        if request.fault is not None:
            self.trace(f"{request.call} {request.name} {request.fault}")
        match request.fault:
            case None:
                request.perform()
                request.reply()
            case Fault.WAITS:
                self.pending.append(request)
            case Fault.ANSWERS_LATE:
                request.perform()
                self.pending.append(request)
            case Fault.FAILS:
                self._blame(request.name, request.call)
                request.fail(EngineUnavailable("The engine does not answer."))
            case Fault.FAILS_AFTERWARDS:
                self._blame(request.name, request.call)
                request.perform()
                request.fail(EngineUnavailable("The engine's answer was lost."))
            case Fault.IS_REFUSED:
                self._blame(request.name, request.call)
                request.fail(ContainerFailed("The engine refuses."))

    async def enter(self, call: str, name: str = "") -> None:
        """Be there, or not. Never waits: that is what ``serve`` is for."""
        if not self.available:
            self._blame(name, call)
            raise EngineUnavailable("The engine does not answer.")

    def make(self, name: str, namespace: str, spec: ContainerSpec) -> SimulatedContainer:
        container = SimulatedContainer(len(self.history), name, namespace, spec, self._time)
        container.created_at = self._clock.wall
        self.history.append(container)
        return container

    # what it sees

    def _fed(self, container: FakeContainer) -> None:
        assert isinstance(container, SimulatedContainer)
        owner = self._names.parse(container.name)
        assert owner is not None, "standbys are fed under a job's name"
        container.fed_for = owner
        container.installs = f">{PREPARED}".encode() in container.files["job.sh"]
        if f"{SECRET_NAME}={SECRET}\n".encode() in container.files["env"]:
            container.secret = SECRET.encode()
        if not self.mute:
            self.begin(container)

    def _check_alone(self, container: SimulatedContainer) -> None:
        assert container.fed_for is not None
        job_id, attempt = container.fed_for
        for other in self.history:
            if other is container or not other.begun or other.installs or other.fed_for is None:
                continue
            if other.fed_for == container.fed_for:
                self.wrong.append(f"attempt {attempt} of {job_id} ran twice")
            elif other.fed_for[0] == job_id and other in self.living:
                self.wrong.append(f"{container.name} began beside {other.name}")

    def _blame(self, name: str, call: str = "") -> None:
        if call in _OF_NO_JOB:
            return
        owner = self._names.parse(name)
        self.blame[owner[0] if owner else ""] += 1
