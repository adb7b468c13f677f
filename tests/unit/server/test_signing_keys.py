from datetime import UTC, datetime, timedelta

import pytest

from ci_persistence.signing_keys import FileSigningKeys
from ci_server.sign_in.signing_keys import LEAD, ROTATED_AFTER, SigningKeys, new_name, plan
from tests.fakes.clock import FakeClock

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def made(age: timedelta) -> str:
    return new_name(NOW - age)


def test_without_a_key_one_is_wanted() -> None:
    assert plan([], NOW).wanted
    assert plan([], NOW).signs is None
    assert plan(["note", "20261399T000000Z-00000000"], NOW).wanted


def test_the_first_key_signs_at_once() -> None:
    only = made(timedelta())
    assert plan([only], NOW).signs == only
    assert not plan([only], NOW).wanted


def test_a_successor_is_published_before_it_signs_and_the_old_one_outlives_its_tokens() -> None:
    old, new = made(ROTATED_AFTER), made(LEAD - timedelta(seconds=1))
    assert plan([old], NOW).wanted
    assert plan([old, new], NOW).signs == old
    assert not plan([old, new], NOW).wanted
    ready = plan([old, new], NOW + timedelta(seconds=1))
    assert (ready.signs, ready.spent) == (new, [])
    assert plan([old, new], NOW + LEAD + timedelta(seconds=1)).spent == [old]


def test_two_that_were_made_at_once_are_both_good() -> None:
    twins = sorted([made(timedelta()), made(timedelta())])
    assert plan(twins, NOW).signs == twins[0]
    assert plan(twins, NOW + LEAD).signs == twins[1]
    assert plan(twins, NOW + 10 * LEAD).spent == []


async def test_processes_share_keys_and_rotate_them_by_themselves(tmp_path) -> None:
    clock = FakeClock()
    one, other = (SigningKeys(FileSigningKeys(tmp_path / "keys"), clock) for _ in range(2))
    first, _ = await one.signing()
    assert (await other.signing())[0] == first
    clock.advance(ROTATED_AFTER.total_seconds())
    assert (await one.signing())[0] == first
    clock.advance(LEAD.total_seconds())
    second, key = await one.signing()
    assert second != first
    assert (await other.verifying(second)) == key.public_key()
    assert await other.verifying(first) is not None
    clock.advance(2 * LEAD.total_seconds())
    assert await other.verifying(first) is None
    assert [each["kid"] for each in await other.published()] == [second]
    assert len(list((tmp_path / "keys").iterdir())) == 1


async def test_an_unknown_key_has_the_folder_looked_at_but_not_each_time(tmp_path) -> None:
    looked = []

    class Counting(FileSigningKeys):
        def all(self):
            looked.append(1)
            return super().all()

    clock = FakeClock()
    keys = SigningKeys(Counting(tmp_path), clock)
    await keys.signing()
    clock.advance(2)
    for _ in range(50):
        assert await keys.verifying("nobody") is None
    assert len(looked) == 2


def test_what_a_crash_left_is_no_key(tmp_path) -> None:
    files = FileSigningKeys(tmp_path)
    assert files.all() == {}
    (tmp_path / "20261121T093000Z-00000000.part").write_bytes(b"half")
    (tmp_path / "..pem").write_bytes(b"not ours")
    files.add("a", b"pem")
    assert files.all() == {"a": b"pem"}
    (tmp_path / "b.part").touch()
    with pytest.raises(FileExistsError):
        files.add("b", b"pem")
    files.remove("a")
    files.remove("a")
    assert files.all() == {}
