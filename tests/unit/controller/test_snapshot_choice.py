"""Which snapshots are unneeded: a pure choice, so its properties are tried on anything."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ci_common.snapshots import Snapshot, SnapshotNote
from ci_controller.snapshots import unneeded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@st.composite
def worlds(draw):
    count = draw(st.integers(0, 8))
    snapshots, notes = [], {}
    for number in range(count):
        made_at = NOW - draw(st.integers(0, 10)) * DAY
        key = f"key-{number}"
        snapshots.append(
            Snapshot(
                key=key,
                id=f"sha256:{number}",
                size=draw(st.integers(0, 100)),
                made_at=made_at,
                current=draw(st.booleans()),
                in_use=draw(st.booleans()),
            )
        )
        if draw(st.booleans()):
            used_at = NOW - draw(st.integers(0, 10)) * DAY
            retired = draw(st.booleans())
            notes[key] = SnapshotNote(key=key, used_at=used_at, retired=retired)
    return snapshots, notes


def used_at(snapshot, notes):
    note = notes.get(snapshot.key)
    return note.used_at if note else snapshot.made_at


def is_worthless(snapshot, notes, oldest):
    note = notes.get(snapshot.key)
    return bool(note and note.retired) or not snapshot.current or snapshot.made_at < oldest


@given(worlds(), st.integers(0, 400), st.integers(0, 10))
def test_what_goes_and_what_stays(world, budget, days):
    snapshots, notes = world
    oldest = NOW - days * DAY
    gone = unneeded(snapshots, notes, budget=budget, oldest=oldest)
    left = [each for each in snapshots if each not in gone]
    worthless = [each for each in snapshots if is_worthless(each, notes, oldest)]
    evicted = [each for each in gone if each not in worthless]
    assert len(gone) == len(set(gone))
    assert all(each in gone for each in worthless)
    assert not any(each.in_use for each in evicted)
    over = sum(each.size for each in left) > budget
    assert not over or all(each.in_use for each in left)
    removable = [each for each in left if not each.in_use]
    if evicted and removable:
        latest_gone = max(used_at(each, notes) for each in evicted)
        assert latest_gone <= min(used_at(each, notes) for each in removable)


@given(worlds(), st.integers(0, 400))
def test_no_more_goes_than_must(world, budget):
    snapshots, notes = world
    oldest = NOW - 100 * DAY
    gone = unneeded(snapshots, notes, budget=budget, oldest=oldest)
    evicted = [each for each in gone if not is_worthless(each, notes, oldest)]
    left = sum(each.size for each in snapshots) - sum(each.size for each in gone)
    assert not evicted or left + max(each.size for each in evicted) > budget
