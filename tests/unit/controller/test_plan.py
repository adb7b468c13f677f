"""The planner, without Docker, asyncio or clocks: examples first, then what must never happen."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_common.executor import ContainerState, ObservedContainer
from ci_common.jobs import EndReason, Job, JobStatus
from ci_common.recipe import Recipe
from ci_common.results import ResultsState
from ci_controller.plan import (
    Action,
    Adopt,
    Claim,
    Collect,
    FillStandby,
    RemoveContainer,
    Snapshot,
    Start,
    Stop,
    Vanish,
    plan,
)
from ci_controller.standby import StandbyView
from tests.fakes.clock import FakeClock

NOW = FakeClock().now()


def a_job(job_id: str = "a", **changes) -> Job:
    base = Job(
        id=job_id,
        seq=1,
        status=JobStatus.RUNNING,
        recipe=Recipe(),
        created_at=NOW.wall,
        zip_path="z",
        zip_size=1,
        zip_sha256="0",
        attempt=1,
        started=NOW,
    )
    return replace(base, **changes)


def queued(job_id: str = "a", **changes) -> Job:
    return a_job(job_id, status=JobStatus.QUEUED, **{"attempt": 0, "started": None, **changes})


def fed(job_id: str = "a", **changes) -> Job:
    return a_job(job_id, **{"container": name_of(job_id, 1), "fed": True, **changes})


def name_of(job_id: str, attempt: int) -> str:
    return f"ci-{job_id}-{attempt}"


def container(job_id: str | None = "a", attempt: int | None = 1, **changes) -> ObservedContainer:
    base = ObservedContainer(
        name=f"ci-{job_id}-{attempt}",
        state=ContainerState.RUNNING,
        job_id=job_id,
        attempt=attempt,
        created_at=NOW.wall,
    )
    return replace(base, **changes)


def uncollected(job_id: str = "a", **changes) -> Job:
    ended = {"status": JobStatus.COMPLETED, "reason": EndReason.PASSED}
    return a_job(job_id, **{**ended, "results": ResultsState.PENDING, **changes})


def test_a_container_stays_until_its_jobs_results_are_collected():
    job, found = uncollected(), container(state=ContainerState.EXITED)
    snapshot = Snapshot(now=NOW, others={"a": job}, uncollected=(job,), containers=(found,))
    assert plan(snapshot) == [Collect("a", 1)]
    assert plan(replace(snapshot, busy=frozenset({"a"}))) == []
    done = replace(job, results=ResultsState.COLLECTED)
    after = replace(snapshot, others={"a": done}, uncollected=())
    assert plan(after) == [RemoveContainer(found.name)]


def test_of_an_uncollected_job_only_the_last_attempts_container_stays():
    job = uncollected(attempt=2)
    found = (container(attempt=1), container(attempt=2, state=ContainerState.EXITED))
    snapshot = Snapshot(now=NOW, others={"a": job}, uncollected=(job,), containers=found)
    assert plan(snapshot) == [RemoveContainer(name_of("a", 1)), Collect("a", 2)]


def test_a_job_whose_container_is_gone_is_dealt_with_too():
    snapshot = Snapshot(now=NOW, uncollected=(uncollected(),), containers=())
    assert plan(snapshot) == [Collect("a", 1)]
    assert plan(replace(snapshot, containers=None)) == []


def test_nothing_to_do():
    assert plan(Snapshot(now=NOW, containers=())) == []


def test_an_unseen_engine_is_not_an_empty_one():
    snapshot = Snapshot(now=NOW, running=(fed(),), startable=(queued("b"),), containers=None)
    assert plan(snapshot) == []


def test_queued_jobs_are_claimed_in_order_up_to_the_capacity():
    waiting = (queued("a"), queued("b", attempt=2), queued("c"))
    snapshot = Snapshot(now=NOW, startable=waiting, containers=(), capacity=2)
    assert plan(snapshot) == [Claim("a", 0), Claim("b", 2)]


def test_a_job_begins_again_when_its_last_container_is_gone_and_keeps_nobody_waiting():
    """That one may have been fed: it would run beside the next."""
    again = queued(attempt=1)
    snapshot = Snapshot(
        now=NOW,
        startable=(again, queued("b")),
        others={"a": again},
        containers=(container(),),
        capacity=1,
    )
    assert plan(snapshot) == [RemoveContainer(name_of("a", 1)), Claim("b", 0)]


def test_running_jobs_take_places():
    snapshot = Snapshot(
        now=NOW,
        running=(a_job("r"),),
        startable=(queued(),),
        containers=(),
        capacity=1,
        busy=frozenset({"r"}),
    )
    assert plan(snapshot) == []


def test_a_claimed_job_without_container_is_started_again():
    """Fault 4: killed after the claim, before the container was created."""
    assert plan(Snapshot(now=NOW, running=(a_job(),), containers=())) == [Start("a", 1)]


def test_a_container_created_but_not_noted_is_started_anew():
    """Fault 5: killed after create, before feed."""
    snapshot = Snapshot(now=NOW, running=(a_job(),), containers=(container(),))
    assert plan(snapshot) == [Start("a", 1)]


@pytest.mark.parametrize("was_fed", [True, False])
@pytest.mark.parametrize("state", [ContainerState.RUNNING, ContainerState.EXITED])
def test_a_noted_container_is_adopted(was_fed, state):
    """Faults 6, 7 and 8: killed around the feed, while running, after the exit."""
    snapshot = Snapshot(now=NOW, running=(fed(fed=was_fed),), containers=(container(state=state),))
    assert plan(snapshot) == [Adopt("a", 1)]


def test_a_missing_container_has_vanished():
    """Fault 16: removed by hand."""
    assert plan(Snapshot(now=NOW, running=(fed(),), containers=())) == [Vanish("a", 1)]


def test_what_a_task_works_at_is_left_to_it():
    for containers in ((), (container(),), (container(attempt=9),)):
        snapshot = Snapshot(now=NOW, running=(fed(),), containers=containers, busy=frozenset({"a"}))
        assert plan(snapshot) == []


@pytest.mark.parametrize(
    "row",
    [
        fed(status=JobStatus.COMPLETED, reason=EndReason.PASSED),
        fed(status=JobStatus.CANCELLED, reason=EndReason.CANCELLED),
        queued(attempt=1),
    ],
)
def test_containers_of_ended_and_requeued_jobs_are_removed(row):
    """Fault 9: killed between the result and the clean-up."""
    snapshot = Snapshot(now=NOW, others={"a": row}, containers=(container(),))
    assert plan(snapshot) == [RemoveContainer("ci-a-1")]


def test_a_container_of_an_older_attempt_is_removed():
    job = fed(attempt=2, container=name_of("a", 2))
    snapshot = Snapshot(
        now=NOW, running=(job,), containers=(container(attempt=1), container(attempt=2))
    )
    assert plan(snapshot) == [RemoveContainer("ci-a-1"), Adopt("a", 2)]


def test_orphans_are_swept_after_the_grace_period():
    young = container("x", created_at=NOW.wall - timedelta(seconds=59))
    old = container("y", created_at=NOW.wall - timedelta(seconds=60))
    snapshot = Snapshot(now=NOW, containers=(young, old), orphan_grace=60)
    assert plan(snapshot) == [RemoveContainer("ci-y-1")]


def standby(name: str, **changes) -> ObservedContainer:
    return container(None, None, name=name, key="k", **changes)


def test_missing_standbys_are_launched():
    view = StandbyView(wanted={"k": 2, "l": 1}, coming={"l": 1})
    snapshot = Snapshot(now=NOW, containers=(standby("s1"),), standbys=view)
    assert plan(snapshot) == [FillStandby("k")]


def test_standbys_are_not_launched_in_the_way_of_jobs():
    view = StandbyView(wanted={"k": 1})
    claiming = Snapshot(now=NOW, containers=(), standbys=view, startable=(queued(),))
    assert plan(claiming) == [Claim("a", 0)]
    assert plan(Snapshot(now=NOW, containers=(), standbys=view, arriving=True)) == []


def test_standbys_too_many_dead_or_of_no_use_are_removed():
    """What a dead controller left is used if it fits, and removed if not."""
    found = (
        standby("dead", state=ContainerState.EXITED),
        standby("kept"),
        standby("surplus"),
        container(None, None, name="foreign", key="other"),
    )
    snapshot = Snapshot(now=NOW, containers=found, standbys=StandbyView(wanted={"k": 1}))
    assert plan(snapshot) == [
        RemoveContainer("dead"),
        RemoveContainer("surplus"),
        RemoveContainer("foreign"),
    ]


def test_standbys_being_launched_or_handed_over_are_left_alone():
    found = (standby("coming", state=ContainerState.CREATED), standby("going"))
    view = StandbyView(wanted={"k": 1}, coming={"k": 1}, held=frozenset({"coming", "going"}))
    assert plan(Snapshot(now=NOW, containers=found, standbys=view)) == []


def test_time_out_stops_a_job_once():
    clock = FakeClock()
    clock.advance(100)
    snapshot = Snapshot(
        now=clock.now(),
        running=(fed(),),
        containers=(container(),),
        busy=frozenset({"a"}),
        timeouts={"a": 100.0},
    )
    assert plan(snapshot) == [Stop("a", 1, EndReason.TIMED_OUT)]
    assert plan(replace(snapshot, stopping=frozenset({"a"}))) == []


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_a_wall_clock_jump_times_nothing_out_and_keeps_nothing_alive(jump):
    """Fault 23."""
    clock = FakeClock()
    clock.advance(99)
    clock.jump_wall(jump)
    snapshot = Snapshot(
        now=clock.now(),
        running=(fed(),),
        containers=(container(),),
        busy=frozenset({"a"}),
        timeouts={"a": 100.0},
    )
    assert plan(snapshot) == []
    clock.advance(1)
    assert plan(replace(snapshot, now=clock.now())) == [Stop("a", 1, EndReason.TIMED_OUT)]


def test_a_stop_that_was_only_written_down_is_carried_out():
    job = fed(stop_reason=EndReason.TIMED_OUT)
    snapshot = Snapshot(now=NOW, running=(job,), containers=(container(),))
    assert plan(snapshot) == [Stop("a", 1, EndReason.TIMED_OUT), Adopt("a", 1)]


def test_a_job_that_is_being_stopped_on_its_way_is_called_off_once():
    """Fault 30. There may be no container yet that could be stopped."""
    job = a_job(stop_reason=EndReason.CANCELLED)
    on_its_way = Snapshot(
        now=NOW, running=(job,), containers=(), busy=frozenset({"a"}), starting=frozenset({"a"})
    )
    assert plan(on_its_way) == [Stop("a", 1, EndReason.CANCELLED)]
    assert plan(replace(on_its_way, stopping=frozenset({"a"}))) == []
    assert plan(replace(on_its_way, starting=frozenset())) == []


def test_a_job_that_is_being_stopped_is_not_started_again():
    """Fault 30. Its process died between the claim and the container."""
    job = a_job(stop_reason=EndReason.CANCELLED)
    assert plan(Snapshot(now=NOW, running=(job,), containers=())) == [Vanish("a", 1)]
    unfed = Snapshot(now=NOW, running=(job,), containers=(container(state=ContainerState.CREATED),))
    assert plan(unfed) == [Adopt("a", 1)]


IDS = st.sampled_from(["a", "b", "c", "d"])
CONTAINERS = st.builds(
    container,
    job_id=st.one_of(st.none(), IDS),
    attempt=st.integers(1, 3),
    state=st.sampled_from(ContainerState),
    key=st.sampled_from(["k", "other"]),
    created_at=st.one_of(
        st.none(), st.integers(-100, 100).map(lambda s: NOW.wall + timedelta(seconds=s))
    ),
)
ROWS = st.builds(
    a_job,
    job_id=IDS,
    status=st.sampled_from(JobStatus),
    attempt=st.integers(1, 3),
    container=st.one_of(st.none(), st.just("c")),
    fed=st.booleans(),
    stop_reason=st.one_of(st.none(), st.just(EndReason.TIMED_OUT)),
)


@st.composite
def snapshots(draw) -> Snapshot:
    rows = {row.id: row for row in draw(st.lists(ROWS, max_size=4))}.values()
    running = tuple(row for row in rows if row.status is JobStatus.RUNNING)
    startable = tuple(row for row in rows if row.status is JobStatus.QUEUED)
    others = {row.id: row for row in rows if row.status is not JobStatus.RUNNING}
    for row in [row for row in others.values() if row.status.ended]:
        state = draw(st.sampled_from([ResultsState.NONE, ResultsState.PENDING]))
        others[row.id] = replace(row, results=state)
    found = draw(st.lists(CONTAINERS, max_size=5, unique_by=lambda c: (c.job_id, c.attempt)))
    return Snapshot(
        now=NOW,
        running=running,
        startable=startable,
        others=others,
        uncollected=tuple(r for r in others.values() if r.results is ResultsState.PENDING),
        containers=draw(st.one_of(st.none(), st.just(tuple(found)))),
        busy=draw(st.frozensets(IDS)) & {row.id for row in running},
        capacity=draw(st.integers(0, 4)),
        timeouts={row.id: draw(st.sampled_from([0.0, 50.0])) for row in running},
        standbys=StandbyView(wanted={"k": draw(st.integers(0, 2))}),
        orphan_grace=60.0,
    )


@given(snapshots())
def test_ended_jobs_are_never_started_nor_touched_twice(snapshot):
    actions = plan(snapshot)
    ended = {job_id for job_id, row in snapshot.others.items() if row.status.ended}
    for action in actions:
        if not isinstance(action, RemoveContainer | FillStandby | Collect):
            assert action.job_id not in ended
    stopping = {job.id for job in snapshot.running if job.stop_reason}
    assert not stopping & {a.job_id for a in actions if isinstance(a, Start)}
    working = [a.job_id for a in actions if isinstance(a, Claim | Start | Adopt | Vanish)]
    assert len(working) == len(set(working))
    assert not set(working) & snapshot.busy


@given(snapshots())
def test_capacity_is_never_exceeded(snapshot):
    claims = [action for action in plan(snapshot) if isinstance(action, Claim)]
    if claims:
        assert len(claims) + len(snapshot.running) <= snapshot.capacity
    # What an earlier attempt left keeps its job from beginning again, but not the next ones.
    left_over = {each.job_id for each in snapshot.containers or () if each.attempt is not None}
    wanted = [job.id for job in snapshot.startable if job.id not in left_over]
    assert [claim.job_id for claim in claims] == wanted[: len(claims)]


@given(snapshots())
def test_a_live_container_of_the_present_attempt_is_never_removed(snapshot):
    needed = (*snapshot.running, *snapshot.uncollected)
    present = {(job.id, job.attempt) for job in needed}
    removed = {action.name for action in plan(snapshot) if isinstance(action, RemoveContainer)}
    for found in snapshot.containers or ():
        if (found.job_id, found.attempt) in present:
            assert found.name not in removed


@dataclass
class World:
    """A small model of rows and containers that carries actions out at once."""

    rows: dict[str, Job]
    containers: dict[str, ObservedContainer] = field(default_factory=dict)
    launched: int = 0

    def snapshot(self, like: Snapshot) -> Snapshot:
        running = tuple(r for r in self.rows.values() if r.status is JobStatus.RUNNING)
        free = max(0, like.capacity - len(running))
        waiting = [r for r in self.rows.values() if r.status is JobStatus.QUEUED]
        return replace(
            like,
            running=running,
            startable=tuple(waiting[:free]),
            others={r.id: r for r in self.rows.values() if r.status is not JobStatus.RUNNING},
            uncollected=tuple(
                row for row in self.rows.values() if row.results is ResultsState.PENDING
            ),
            containers=tuple(self.containers.values()),
            busy=frozenset(),
            timeouts={r.id: like.timeouts.get(r.id, 50.0) for r in running},
        )

    def apply(self, action: Action) -> None:  # noqa: C901 -- a case for each action
        match action:
            case RemoveContainer(name=name):
                self.containers.pop(name, None)
            case FillStandby(key=key):
                self.launched += 1
                name = f"standby-new-{self.launched}"
                self.containers[name] = container(None, None, name=name, key=key)
            case Claim(job_id=job_id, attempt=attempt):
                self._run(job_id, attempt + 1)
            case Start(job_id=job_id, attempt=attempt):
                self._run(job_id, attempt)
            case Adopt(job_id=job_id) | Vanish(job_id=job_id):
                self._end(job_id)
            case Collect(job_id=job_id):
                self._collect(job_id)
            case Stop(job_id=job_id, attempt=attempt):
                stopped = self.containers.get(name_of(job_id, attempt))
                if stopped:
                    self.containers[stopped.name] = replace(stopped, state=ContainerState.EXITED)

    def _collect(self, job_id: str) -> None:
        self.rows[job_id] = replace(self.rows[job_id], results=ResultsState.COLLECTED)

    def _run(self, job_id: str, attempt: int) -> None:
        assert self.rows[job_id].status in {JobStatus.QUEUED, JobStatus.RUNNING}
        name = name_of(job_id, attempt)
        live = container(job_id, attempt)
        self.containers[name] = live
        self.rows[job_id] = fed(job_id, attempt=attempt, container=name, seq=1)

    def _end(self, job_id: str) -> None:
        assert not self.rows[job_id].status.ended
        self.rows[job_id] = replace(
            self.rows[job_id], status=JobStatus.COMPLETED, reason=EndReason.PASSED
        )


@given(snapshots())
def test_applying_plans_comes_to_rest(snapshot):
    rows = {row.id: row for row in (*snapshot.running, *snapshot.startable)}
    rows |= snapshot.others
    world = World(rows, {c.name: c for c in snapshot.containers or ()})
    capacity = max(1, snapshot.capacity)
    far = replace(snapshot, capacity=capacity, orphan_grace=-1000.0)
    for _ in range(20):
        actions = plan(world.snapshot(far))
        if not actions:
            break
        for action in actions:
            world.apply(action)
    assert plan(world.snapshot(far)) == []
    assert all(each.job_id is None for each in world.containers.values())
    assert len(world.containers) == far.standbys.wanted["k"]
    assert all(row.status.ended for row in world.rows.values())
