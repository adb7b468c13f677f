"""When queued jobs are going to start."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_common.forecast import (
    UNKNOWN,
    Occupant,
    Waiter,
    expected_starts,
    typical_duration,
)

seconds = st.integers(0, 20).map(float)
groups = st.sampled_from([None, None, "a", "b"])
plain = st.builds(Waiter, seconds)
waiters = st.builds(Waiter, seconds, seconds, groups, st.just(True))
occupants = st.builds(Occupant, seconds, groups)
places = st.integers(1, 4)


def test_a_free_place_is_taken_at_once():
    assert expected_starts([Waiter(5), Waiter(5), Waiter(5)], [], 2) == [0, 0, 5]


def test_the_first_waits_for_the_first_that_ends():
    running = [Occupant(30), Occupant(10)]
    assert expected_starts([Waiter(5), Waiter(5), Waiter(99)], running, 2) == [10, 15, 20]


def test_a_job_on_hold_keeps_its_turn_and_nobody_waits_for_it():
    waiting = [Waiter(5, not_before=7), Waiter(10), Waiter(10)]
    assert expected_starts(waiting, [], 1) == [10, 0, 15]


def test_a_group_runs_one_after_another_beside_others():
    waiting = [Waiter(5, group="g", yields=True) for _ in range(2)] + [Waiter(1)]
    assert expected_starts(waiting, [Occupant(3, "g")], 2) == [3, 8, 0]


def test_one_that_does_not_yield_starts_beside_its_group():
    assert expected_starts([Waiter(5, group="g")], [Occupant(3, "g")], 2) == [0]


def test_nobody_can_tell_when_a_place_is_free_that_nobody_knows_of():
    waiting = [Waiter(UNKNOWN), Waiter(UNKNOWN), Waiter(UNKNOWN)]
    assert expected_starts(waiting, [Occupant(UNKNOWN)], 2) == [0, UNKNOWN, UNKNOWN]


def test_more_that_run_than_there_are_places_have_to_end_first():
    running = [Occupant(1), Occupant(2), Occupant(3)]
    assert expected_starts([Waiter(1)], running, 2) == [2]


@given(st.lists(waiters, max_size=12), st.lists(occupants, max_size=4), places)
def test_no_more_run_at_once_than_there_are_places(waiting, running, count):
    running = running[:count]
    starts = expected_starts(waiting, running, count)
    spans = [(0.0, job.remaining) for job in running]
    spans += [(start, start + job.duration) for start, job in zip(starts, waiting, strict=True)]
    assert at_once(spans) <= count
    for group in ("a", "b"):
        own = [
            span
            for span, job in zip(spans[len(running) :], waiting, strict=True)
            if job.group == group
        ]
        assert at_once(own) <= 1
        ended = max((job.remaining for job in running if job.group == group), default=0)
        assert all(begin >= ended for begin, _ in own)


def at_once(spans: Sequence[tuple[float, float]]) -> int:
    return max((sum(begin <= start < end for begin, end in spans) for start, _ in spans), default=0)


@given(st.lists(waiters, max_size=12), st.lists(occupants, max_size=4), places)
def test_every_job_starts_when_it_may_and_never_idly_late(waiting, running, count):
    starts = expected_starts(waiting, running, count)
    ends = {job.remaining for job in running}
    ends |= {start + job.duration for start, job in zip(starts, waiting, strict=True)}
    for start, job in zip(starts, waiting, strict=True):
        assert not math.isinf(start)
        assert start >= job.not_before
        assert start == 0 or start in ends or start in {each.not_before for each in waiting}


@given(st.lists(plain, max_size=12), st.lists(occupants, max_size=4), places)
def test_without_holds_and_groups_it_is_first_come_first_served(waiting, running, count):
    starts = expected_starts(waiting, running, count)
    assert starts == sorted(starts)


@given(st.lists(plain, max_size=12), st.lists(occupants, max_size=4), places, plain)
def test_who_comes_last_delays_nobody(waiting, running, count, newcomer):
    before = expected_starts(waiting, running, count)
    assert expected_starts([*waiting, newcomer], running, count)[:-1] == before


@given(st.lists(plain, max_size=12))
def test_one_place_is_the_sum_of_what_comes_before(waiting):
    starts = expected_starts(waiting, [], 1)
    assert starts == [sum(job.duration for job in waiting[:n]) for n in range(len(waiting))]


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        ({("o", "p"): [1, 9, 2], ("o", None): [50]}, 2),
        ({("o", "q"): [1], ("x", "p"): [2], ("o", None): [4, 6], ("x", None): [7]}, 5),
        ({}, None),
    ],
)
def test_a_job_takes_what_its_projects_jobs_took_or_else_its_organisations(durations, expected):
    assert typical_duration(durations, "o", "p") == expected


def test_an_owner_runs_no_more_than_it_may_and_blocks_nobody():
    waiting = [Waiter(10.0, owner="a"), Waiter(10.0, owner="a"), Waiter(10.0, owner="b")]
    assert expected_starts(waiting, [], 3, {"a": 1}) == [0.0, 10.0, 0.0]
    assert expected_starts(waiting, [Occupant(4.0, owner="a")], 3, {"a": 1}) == [4.0, 14.0, 0.0]
    assert expected_starts(waiting, [Occupant(4.0, owner="a")], 3, {"a": 2}) == [0.0, 4.0, 0.0]
    assert expected_starts(waiting, [], 3, {}) == [0.0, 0.0, 0.0]


def test_nobody_can_tell_when_an_owner_has_a_place_whose_jobs_end_at_no_known_time():
    waiting = [Waiter(10.0, owner="a"), Waiter(10.0)]
    running = [Occupant(UNKNOWN, owner="a")]
    assert expected_starts(waiting, running, 2, {"a": 1}) == [UNKNOWN, 0.0]
