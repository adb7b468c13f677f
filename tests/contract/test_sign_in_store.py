"""What is kept of sessions, links and failures: one suite, in two views of one store."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ci_common.accounts import User
from ci_common.clock import SystemClock
from ci_common.errors import UserNotFound
from ci_common.sign_in import PasswordLink, Session, SignInMethod, Throttle, digest_of
from ci_persistence.backup import back_up
from ci_persistence.data_directory import DataDirectory
from ci_persistence.jobs import SQLiteJobRepository

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLACE = b"here"
A, B = Throttle(b"a", free=2, longest=60), Throttle(b"b", free=100, longest=60)


@pytest.fixture
async def stores(tmp_path):
    """Two processes' views."""
    first, second = (SQLiteJobRepository(tmp_path / "jobs.db") for _ in range(2))
    await first.initialize()
    await second.initialize()
    user = User(id="usr_ada", name="ada", created_at=NOW, password="old")
    await first.accounts.add_user(user)
    admin = User(id="usr_root", name="root", created_at=NOW, server_admin=True)
    await first.accounts.add_user(admin)
    yield first, second
    await second.close()
    await first.close()


def session(name: str, user: str = "usr_ada", **fields) -> Session:
    given = {
        "method": SignInMethod.PASSWORD,
        "created_at": NOW,
        "last_seen_at": NOW,
        "expires_at": NOW + HOUR,
        "address": "192.0.2.1",
        "agent": "curl",
    }
    return Session(id=name, user_id=user, **given | fields)


async def open_sessions(repository, *names: str) -> None:
    for name in names:
        await repository.sign_in.add_session(session(name), digest_of(name), place=PLACE)


async def test_a_session_is_there_for_every_process_until_it_is_ended(stores) -> None:
    one, other = stores
    await open_sessions(one, "s1", "s2")
    assert await other.sign_in.session_of(digest_of("s1")) == session("s1")
    assert await other.sign_in.session("s2") == session("s2")
    await other.sign_in.note_session_use("s2", NOW + HOUR)
    await one.sign_in.note_session_use("s2", NOW)  # late: it does not go back
    assert [each.id for each in await one.sign_in.sessions("usr_ada")] == ["s2", "s1"]
    assert (await one.sign_in.session("s2")).last_seen_at == NOW + HOUR
    assert not await one.sign_in.end_session("usr_root", "s1")
    assert await one.sign_in.end_session("usr_ada", "s1")
    assert await other.sign_in.session_of(digest_of("s1")) is None
    await open_sessions(one, "s3")
    assert await one.sign_in.end_sessions("usr_ada", but="s3") == 1
    assert await one.sign_in.end_sessions("usr_ada") == 1


async def test_what_has_expired_goes_with_the_next_session(stores) -> None:
    one, _ = stores
    await open_sessions(one, "s1")
    late = session("s2", created_at=NOW + HOUR, expires_at=NOW + 2 * HOUR)
    await one.sign_in.add_session(late, digest_of("s2"), place=PLACE)
    assert await one.sign_in.session("s1") is None


@pytest.mark.parametrize(
    "change",
    [{"password": "new"}, {"password": None}, {"disabled_at": NOW}],
)
async def test_another_password_or_disabling_ends_everything(stores, change) -> None:
    one, other = stores
    await open_sessions(one, "s1")
    link = PasswordLink(user_id="usr_ada", created_at=NOW, expires_at=NOW + HOUR)
    await one.sign_in.add_link(link, b"l")
    await other.accounts.change_user("usr_ada", lambda user: replace(user, email="a@b.example"))
    assert await one.sign_in.session("s1") is not None
    await other.accounts.change_user("usr_ada", lambda user: replace(user, **change))
    assert await one.sign_in.session("s1") is None
    assert await one.sign_in.link_of(b"l") is None


async def test_nobody_who_is_disabled_or_gone_gets_a_session_or_a_link(stores) -> None:
    one, _ = stores
    await open_sessions(one, "s1")
    await one.accounts.change_user("usr_ada", lambda user: replace(user, disabled_at=NOW))
    link = PasswordLink(user_id="usr_ada", created_at=NOW, expires_at=NOW + HOUR)
    with pytest.raises(UserNotFound):
        await open_sessions(one, "s2")
    with pytest.raises(UserNotFound):
        await one.sign_in.add_link(link, b"l")
    await one.accounts.remove_user("usr_ada")
    with pytest.raises(UserNotFound):
        await open_sessions(one, "s2")


async def test_a_password_that_is_kept_anew_ends_nothing(stores) -> None:
    one, _ = stores
    await open_sessions(one, "s1", "s2")
    await one.sign_in.rehash("usr_ada", old="old", new="newer")
    assert (await one.accounts.user("usr_ada")).password == "newer"
    assert await one.sign_in.session_of(digest_of("s1")) == session("s1")
    assert len(await one.sign_in.sessions("usr_ada")) == 2
    await one.sign_in.rehash("usr_ada", old="old", new="lost")
    assert (await one.accounts.user("usr_ada")).password == "newer"


async def test_a_link_is_used_once_whoever_is_first(stores) -> None:
    one, other = stores
    await open_sessions(one, "s1")
    link = PasswordLink(user_id="usr_ada", created_at=NOW, expires_at=NOW + HOUR)
    await one.sign_in.add_link(link, b"first")
    await other.sign_in.add_link(link, b"second")
    assert await one.sign_in.link_of(b"first") is None
    assert await one.sign_in.link_of(b"second") == link
    assert not await one.sign_in.use_link(b"first", "x", now=NOW)
    assert not await one.sign_in.use_link(b"second", "x", now=NOW + HOUR)
    assert await one.sign_in.use_link(b"second", "new", now=NOW)
    assert not await other.sign_in.use_link(b"second", "newer", now=NOW)
    assert (await other.accounts.user("usr_ada")).password == "new"
    assert await one.sign_in.session("s1") is None


async def test_the_first_admin_is_made_once(tmp_path) -> None:
    repository = SQLiteJobRepository(tmp_path / "jobs.db")
    await repository.initialize()
    link = PasswordLink(user_id=None, created_at=NOW, expires_at=NOW + HOUR)
    await repository.sign_in.add_link(link, b"older")
    await repository.sign_in.add_link(link, b"link")
    one = User(id="usr_1", name="one", created_at=NOW, server_admin=True, password="p")
    two = User(id="usr_2", name="two", created_at=NOW, server_admin=True, password="p")
    use = repository.sign_in.use_first_link
    assert not await use(b"older", one, now=NOW)
    assert not await use(b"link", one, now=NOW + HOUR)
    assert await use(b"link", one, now=NOW)
    assert not await use(b"link", two, now=NOW)
    assert await repository.accounts.users() == [one]
    await repository.sign_in.add_link(link, b"again")
    assert not await use(b"again", two, now=NOW)
    await repository.close()


async def test_failures_slow_down_those_that_follow_in_every_process(stores) -> None:
    one, other = stores
    for repository in (one, other, one):
        assert await repository.sign_in.begin_attempt([A, B], now=NOW) is None
    assert await other.sign_in.begin_attempt([A, B], now=NOW) == NOW + timedelta(seconds=1)
    later = NOW + timedelta(seconds=1)
    assert await other.sign_in.begin_attempt([A], now=later) is None
    assert await one.sign_in.begin_attempt([A], now=later) == later + timedelta(seconds=2)
    # Who shares nothing with these is not slowed down.
    assert await one.sign_in.begin_attempt([B], now=later) is None


async def test_trying_while_nobody_may_does_not_make_it_longer(stores) -> None:
    one, _ = stores
    for _ in range(3):
        await one.sign_in.begin_attempt([A], now=NOW)
    for _ in range(50):
        assert await one.sign_in.begin_attempt([A, B], now=NOW) == NOW + timedelta(seconds=1)
    assert await one.sign_in.begin_attempt([A], now=NOW + timedelta(seconds=1)) is None


async def test_a_wait_has_an_end_and_failures_are_forgotten(stores) -> None:
    one, _ = stores
    now, waits = NOW, []
    for _ in range(30):
        until = await one.sign_in.begin_attempt([A], now=now)
        if until is not None:
            waits.append((until - now).total_seconds())
            now = until
    assert waits[:6] == [1, 2, 4, 8, 16, 32]
    assert set(waits[6:]) == {60}
    rested = now + HOUR + timedelta(seconds=1)
    for _ in range(2):
        assert await one.sign_in.begin_attempt([A], now=rested) is None


async def test_what_was_right_does_not_count(stores) -> None:
    one, _ = stores
    for _ in range(20):
        assert await one.sign_in.begin_attempt([A, B], now=NOW) is None
        await one.sign_in.forgive([A, B], forget=A)


async def test_a_place_is_known_once_somebody_has_signed_in_there(stores) -> None:
    one, other = stores
    assert not await one.sign_in.knows_place("usr_ada", PLACE)
    await open_sessions(one, "s1")
    assert await other.sign_in.knows_place("usr_ada", PLACE)
    assert not await other.sign_in.knows_place("usr_ada", b"there")
    assert not await other.sign_in.knows_place("usr_root", PLACE)
    late = NOW + timedelta(days=91)
    again = session("s2", created_at=late, expires_at=late + HOUR)
    await one.sign_in.add_session(again, digest_of("s2"), place=b"there")
    assert not await one.sign_in.knows_place("usr_ada", PLACE)


def test_a_wait_doubles_up_to_its_bound() -> None:
    throttle = Throttle(b"", free=3, longest=100)
    waits = [throttle.wait_after(failures) for failures in range(12)]
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 100]
    assert throttle.wait_after(10**9) == 100


async def test_a_backup_opens_nothing(stores, tmp_path) -> None:
    one, _ = stores
    await open_sessions(one, "s1")
    link = PasswordLink(user_id="usr_ada", created_at=NOW, expires_at=NOW + HOUR)
    await one.sign_in.add_link(link, b"l")
    data = DataDirectory(tmp_path / "jobs.db", one.data_dir)
    await asyncio.to_thread(back_up, data, tmp_path / "backup", SystemClock())
    assert not list((tmp_path / "backup").rglob("*.pem"))
    copy = SQLiteJobRepository(tmp_path / "backup" / "ci_jobs.db")
    await copy.initialize()
    assert await copy.accounts.user_named("ada")
    assert await copy.sign_in.sessions("usr_ada") == []
    assert await copy.sign_in.link_of(b"l") is None
    assert await one.sign_in.session("s1") is not None
    await copy.close()
