"""What goes wrong in a world: with its machine, its engine, its disk, its clock."""

import sqlite3

from tests.simulation.containers import SimulatedContainer
from tests.simulation.engine import Fault
from tests.simulation.world import World

_DOWN = 0.5
"""Seconds that an engine takes to restart, at least."""


class Mishaps:
    """Each method is something that goes wrong, for a while; ``heal`` ends all of it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._outside: sqlite3.Connection | None = None
        self._latest = world.clock.wall
        self._clock_was_set = False

    # the engine

    def restart_engine(self, *, live_restore: bool, code: int, down: float = 0.0) -> None:
        """Have the engine go down and come up again, its containers with it or not."""
        self._stop_engine(live_restore=live_restore, code=code)
        self._world.later(_DOWN + down, self._start_engine)

    def _stop_engine(self, *, live_restore: bool, code: int) -> None:
        engine = self._world.engine
        engine.available = False
        engine.drop_calls()
        if live_restore:
            for container in engine.living:
                told = self._world.invariants.kept(container) if container.begun else 0
                container.forget_unrecorded(told)
        else:
            engine.kill_all(code)
        engine.break_streams_of_all()

    def _start_engine(self) -> None:
        self._world.engine.available = True

    def disturb(self, call: str, fault: Fault, seconds: float) -> None:
        """Have something befall every call of a name, for a while."""
        self._world.engine.disturbed[call] = fault
        self._world.later(seconds, lambda: self._world.engine.disturbed.pop(call, None))

    def stall(self, seconds: float) -> None:
        """Have streams carry nothing for a while."""
        self._world.engine.stalled = True
        self._world.later(seconds, self._flow)

    def _flow(self) -> None:
        self._world.engine.stalled = False
        for container in self._world.engine.history:
            container.announce()

    def mute(self, seconds: float) -> None:
        """Have no container begin for a while, once it is fed."""
        self._world.engine.mute = True
        self._world.later(seconds, self._world.engine.begin_all)

    def deny_end(self, container: SimulatedContainer, seconds: float) -> None:
        """Have the engine say for a while that a container has not ended."""
        container.hides_its_end = True

        def admit() -> None:
            container.hides_its_end = False

        self._world.later(seconds, admit)

    # the machine

    def reboot(self, code: int, *, down: float = 0.0) -> None:
        """Have the machine go down and come up again, and then a server."""
        world = self._world
        for server in world.servers:
            server.process.die()
        self._stop_engine(live_restore=False, code=code)
        world.engine.available = True
        world.clock.reboot()
        world.promises.only_wall |= self._clock_was_set
        world.later(down, world.have_a_server)

    def set_clock(self, seconds: float) -> None:
        """Have somebody set the clock, so many seconds from where it was."""
        self._latest = max(self._latest, self._world.clock.wall)
        self._world.clock.jump_wall(seconds)
        self._clock_was_set = True
        self._world.promises.only_wall |= self._world.clock.boot_id != "boot-1"

    def lock_database(self, seconds: float) -> None:
        """Have another program write to the database for a while."""
        self._world.later(seconds, self._unlock_database)
        if self._outside is None:
            outside = sqlite3.connect(
                self._world.folder / "ci_jobs.db", timeout=0, isolation_level=None
            )
            try:
                outside.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                outside.close()
            else:
                self._outside = outside

    def _unlock_database(self) -> None:
        if self._outside is not None:
            self._outside.close()
            self._outside = None

    def fill_disk(self, room: int, seconds: float, *, noticed: bool) -> None:
        """Have somebody else take the disk for a while, all but ``room`` bytes."""
        self._world.disk.fill(room, noticed=noticed)
        self._world.later(seconds, self._world.disk.clear)

    # the end of it

    def heal(self) -> None:
        """Have nothing go wrong any more, and a server."""
        world, engine = self._world, self._world.engine
        engine.armed.clear()
        engine.disturbed.clear()
        engine.available = True
        engine.begin_all()
        self._flow()
        self._unlock_database()
        world.disk.clear()
        for request in list(engine.pending):
            engine.release(request)
        for container in engine.history:
            container.hides_its_end = False
        for server in world.servers:
            server.process.fuse = None
        world.clock.wall = max(world.clock.wall, self._latest)
        world.have_a_server()

    def close(self) -> None:
        """Let go of what is held."""
        self._unlock_database()
