"""The table of the walk over all crash points has every step there is, and no other."""

import importlib
import inspect
import os
import pkgutil
import signal

import pytest

import ci_common
from ci_common.executor import (
    ContainerSpec,
    Executor,
    SizedTar,
    SnapshotExecutor,
    StandbyExecutor,
)
from ci_common.logs import LogStore
from ci_persistence.logs import FileLogStore
from ci_server import bootstrap
from tests.e2e.crash_points.scenarios import SCENARIOS
from tests.e2e.crash_points.server import BUILT
from tests.e2e.crash_points.stand_ins import (
    BEGUN,
    DURING,
    Point,
    Tripwire,
    members_of,
    stand_in,
)
from tests.e2e.crash_points.steps import NOT_STEPS, STEPS, walks
from tests.fakes.executor import FakeEngine, FakeExecutor

ALL = tuple(walks())
NEVER = Tripwire(Point("nowhere"))


def protocols() -> set[type]:
    """Return every protocol that a module of ``ci_common`` declares."""
    modules = (
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(ci_common.__path__, "ci_common.")
    )
    return {
        each
        for module in modules
        for each in vars(module).values()
        if inspect.isclass(each)
        and getattr(each, "_is_protocol", False)
        and each.__module__.startswith("ci_common.")
    }


def test_every_protocol_is_on_the_path_or_said_not_to_be():
    assert protocols() == {*STEPS, *NOT_STEPS}


@pytest.mark.parametrize("protocol", STEPS, ids=lambda protocol: protocol.__name__)
def test_every_member_of_a_protocol_is_in_the_table(protocol):
    """A step that was added needs a crash point, or a reason why not."""
    assert members_of(protocol).keys() == STEPS[protocol].keys()


def test_a_member_that_is_added_is_seen():
    class More(Executor):
        async def more(self) -> None: ...

    assert members_of(More).keys() == {"more"}


def test_every_crash_is_a_case_of_its_own_in_a_scenario_there_is():
    assert len({str(walk) for walk in ALL}) == len(ALL)
    assert {walk.crash.scenario for walk in ALL} == SCENARIOS.keys()


def test_every_first_crash_is_one_that_is_walked_too():
    firsts = {walk.crash.first for walk in ALL} - {None}
    assert firsts <= {walk.point for walk in ALL}


def test_every_point_in_the_middle_can_be_found():
    middles = {walk.point.step for walk in ALL if walk.point.moment == DURING}
    assert middles == {*BEGUN, "SizedTar.__iter__"}


def test_all_that_bootstrap_builds_is_behind_stand_ins():
    """Of the rest each is built from these, and calls them."""
    builders = {name for name in vars(bootstrap) if name.startswith("build_")}
    others = {"build_space", "build_controller", "build_submissions", "build_telemetry"}
    beside = {"build_deliverer", "build_queue", "build_retries", "build_webhooks"}
    beside |= {"build_api_keys", "build_authentication", "build_sign_in", "build_firewall"}
    assert builders == {*BUILT, *others, *beside}


@pytest.mark.parametrize("text", ["after JobRepository.add", "before LogWriter.write:3"])
def test_a_point_reads_as_it_is_written(text):
    assert str(Point.parse(text)) == text


@pytest.fixture
def kills(monkeypatch):
    """The signals that would have been sent."""
    sent = []
    monkeypatch.setattr(os, "kill", lambda *arguments: sent.append(arguments))
    return sent


def test_the_process_is_killed_at_the_point_and_nowhere_else(kills):
    wire = Tripwire(Point("JobRepository.add", nth=2))
    wire.reached("before", "JobRepository.add")
    wire.reached("after", "JobRepository.claim")
    wire.reached("after", "JobRepository.add")
    assert kills == []
    wire.reached("after", "JobRepository.add")
    assert kills == [(os.getpid(), signal.SIGKILL)]


def test_what_a_stand_in_gives_and_is_given_has_stand_ins_too(kills, tmp_path):
    wire = Tripwire(Point("LogWriter.write"))
    logs = stand_in(FileLogStore(tmp_path), LogStore, wire, frozenset(STEPS))
    writer = logs.open("550e8400-e29b-41d4-a716-446655440000")
    assert (kills, writer.size) == ([], 0)
    writer.write(b"line")
    assert (len(kills), writer.size) == (1, 4)
    writer.close()


async def test_a_point_in_the_middle_of_a_launch_comes_when_it_has_begun(kills):
    """And of a tar, when a part of it has been taken."""
    engine = FakeEngine()
    wire = Tripwire(Point("Executor.launch", "during"))
    executor = stand_in(FakeExecutor(engine), Executor, wire, frozenset(STEPS))
    spec = ContainerSpec(image="i", memory=1, cpus=1, pids=1, network="none", log_limit=1)
    await executor.launch("name", spec)
    assert len(kills) == 1
    wire = Tripwire(Point("SizedTar.__iter__", "during", 2))
    tar = iter(stand_in([b"1", b"2", b"3"], SizedTar, wire, frozenset(STEPS)))
    assert (next(tar), next(tar), len(kills)) == (b"1", b"2", 1)
    assert (next(tar), len(kills)) == (b"3", 2)


class Recorder:
    """Has every method and says which one was called with what."""

    def __getattr__(self, name):
        def call(*arguments, **named):
            return name, arguments, named

        return call


@pytest.mark.parametrize("protocol", [Executor, StandbyExecutor, SnapshotExecutor])
def test_a_stand_in_is_of_its_protocol_and_of_no_other(protocol):
    made = stand_in(Recorder(), protocol, NEVER, frozenset(STEPS))
    assert isinstance(made, StandbyExecutor) is (protocol is not Executor)
    assert isinstance(made, SnapshotExecutor) is (protocol is SnapshotExecutor)


def test_a_stand_in_passes_on_what_it_is_given():
    made = stand_in(Recorder(), Executor, NEVER, frozenset(STEPS))
    assert made.container_name("job", attempt=2) == ("container_name", ("job",), {"attempt": 2})
