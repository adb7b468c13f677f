"""The order of the queue: whatever is submitted by whomever, nobody is forgotten."""

from dataclasses import dataclass
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ci_common.queue_rules import HIGHEST_PRIORITY, LOWEST_PRIORITY, Latest, QueueRules, Turn
from tests.fakes.clock import FakeClock

RULES = QueueRules(ageing=600.0, share=600.0)

priorities = st.integers(LOWEST_PRIORITY, HIGHEST_PRIORITY)
submitters = st.sampled_from(["ann", "bob", "cy"])


@dataclass(frozen=True)
class Waiting:
    number: int
    submitter: str
    priority: int
    turn: Turn


class Queue:
    """A queue of which nothing is remembered but what the rules are told."""

    def __init__(self, rules: QueueRules = RULES) -> None:
        self.rules = rules
        self.clock = FakeClock()
        self.jobs: list[Waiting] = []
        self.running: list[Waiting] = []
        self.count = 0
        self.created = {}

    def submit(self, submitter: str = "ann", priority: int = 0) -> Waiting:
        now = self.clock.now()
        last = self.jobs[-1] if self.jobs else None
        turn = self.rules.turn(
            priority=priority,
            created=now,
            latest=Latest(last.turn.arrived, self.created[last.number]) if last else None,
            own=[
                job.turn.base
                for job in (*self.jobs, *self.running)
                if job.submitter == submitter and job.priority >= priority
            ],
        )
        self.count += 1
        job = Waiting(self.count, submitter, priority, turn)
        self.created[job.number] = now
        self.jobs.append(job)
        return job

    def order(self) -> list[Waiting]:
        return sorted(self.jobs, key=lambda job: (job.turn.rank, job.number))

    def start(self) -> Waiting:
        job = self.order()[0]
        self.jobs.remove(job)
        return job


actions = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), submitters, priorities),
        st.tuples(st.just("start"), st.none(), st.none()),
        st.tuples(st.just("wait"), st.none(), st.sampled_from([0, 1, 60, 5000])),
        st.tuples(st.just("jump"), st.none(), st.sampled_from([-86_400, -3, 3, 86_400])),
        st.tuples(st.just("reboot"), st.none(), st.none()),
    ),
    max_size=40,
)


def play(queue: Queue, plan) -> None:
    for what, submitter, number in plan:
        if what == "submit":
            queue.submit(submitter, number)
        elif what == "start" and queue.jobs:
            queue.start()
        elif what == "wait":
            queue.clock.advance(number)
        elif what == "jump":
            queue.clock.jump_wall(number)
        elif what == "reboot":
            queue.clock.reboot()


@given(actions, st.sampled_from([0.0, 600.0]))
def test_a_submitters_jobs_of_one_priority_start_in_order_whatever_the_clock_does(plan, share):
    queue = Queue(QueueRules(share=share))
    play(queue, plan)
    by_kind: dict[tuple[str, int], list[int]] = {}
    for job in queue.order():
        by_kind.setdefault((job.submitter, job.priority), []).append(job.number)
    assert all(numbers == sorted(numbers) for numbers in by_kind.values())


@given(actions)
def test_without_shares_all_jobs_of_one_priority_start_in_order(plan):
    queue = Queue(QueueRules(share=0.0))
    play(queue, [(what, who, 0 if what == "submit" else n) for what, who, n in plan])
    assert [job.number for job in queue.order()] == [job.number for job in queue.jobs]


@settings(deadline=None)
@given(actions, st.data())
def test_every_job_starts_after_a_bounded_number_of_others(plan, data):
    """However many come after it, as fast as one a second, and by whatever priority."""
    queue = Queue()
    play(queue, plan)
    waiting = queue.submit(priority=data.draw(priorities))
    left = (waiting.turn.rank - waiting.turn.arrived) / 1e6 + HIGHEST_PRIORITY * RULES.ageing
    bound = len(queue.jobs) + max(0, left) + 1
    starts = 0
    while waiting in queue.jobs:
        queue.clock.advance(200)
        queue.submit(f"newcomer {starts}", data.draw(st.just(HIGHEST_PRIORITY)))
        queue.start()
        starts += 1
        assert starts <= bound


@given(st.integers(1, 50), st.integers(1, 5))
def test_one_job_is_not_behind_anothers_many(many, few):
    queue = Queue()
    for _ in range(many):
        queue.submit("ann")
    queue.clock.advance(1)
    others = [queue.submit("bob") for _ in range(few)]
    places = [queue.order().index(job) for job in others]
    # Turn by turn: before the nth of the one who came later, at most n of the other.
    assert all(place <= 2 * n + 1 for n, place in enumerate(places))


def test_who_has_one_running_comes_after_who_has_none():
    queue = Queue()
    queue.running = [queue.submit("ann")]
    queue.jobs.clear()
    second = queue.submit("ann")
    queue.clock.advance(1)
    other = queue.submit("bob")
    assert queue.order() == [other, second]


@given(st.integers(LOWEST_PRIORITY, HIGHEST_PRIORITY - 1), submitters)
def test_a_higher_priority_goes_first(priority, submitter):
    queue = Queue()
    for _ in range(5):
        queue.submit("ann", priority)
    higher = queue.submit(submitter, priority + 1)
    assert queue.order()[0] == higher


def test_who_has_waited_long_is_not_overtaken_any_more():
    queue = Queue()
    patient = queue.submit("ann", 0)
    queue.clock.advance(599)
    overtakes = queue.submit("bob", 1)
    queue.clock.advance(2)
    late = queue.submit("cy", 1)
    assert queue.order() == [overtakes, patient, late]


def test_ones_own_jobs_of_low_priority_do_not_put_an_urgent_one_back():
    queue = Queue()
    for _ in range(20):
        queue.submit("ann", 0)
    urgent = queue.submit("ann", 1)
    assert queue.order()[0] == urgent


def test_a_clock_that_is_set_reorders_nothing():
    queue = Queue(QueueRules(share=0.0))
    first = queue.submit("ann")
    queue.clock.jump_wall(-86_400)
    queue.clock.advance(1)
    second = queue.submit("bob")
    queue.clock.jump_wall(timedelta(days=2).total_seconds())
    queue.clock.advance(1)
    urgent = queue.submit("cy", 1)
    assert queue.order() == [urgent, first, second]
