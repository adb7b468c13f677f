"""What every store of accounts does."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ci_common.access import Role, Scope
from ci_common.accounts import ApiKey, Organisation, User, new_user_id, require_name
from ci_common.errors import (
    InvalidRequest,
    KeyNotFound,
    LastAdmin,
    NameTaken,
    OrganisationInUse,
    OrganisationNotFound,
    UserNotFound,
)
from ci_common.jobs import EndReason, Result
from ci_common.webhooks import Webhook
from ci_persistence import accounts
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.clock import FakeClock
from tests.fakes.repository import new_job

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
DIGEST = hashlib.sha256(b"sci_secret").digest()


def user(name: str = "ada", **fields) -> User:
    return User(**({"id": f"usr_{name}", "name": name, "created_at": NOW} | fields))


def organisation(name: str = "acme", **fields) -> Organisation:
    return Organisation(**({"id": f"org_{name}", "name": name, "created_at": NOW} | fields))


def key(name: str = "laptop", **fields) -> ApiKey:
    values = {"id": f"key_{name}", "user_id": "usr_ada", "name": name, "hint": "sci_12"}
    return ApiKey(**(values | {"created_at": NOW} | fields))


@pytest.fixture
async def repositories(
    tmp_path: Path,
) -> AsyncIterator[tuple[SQLiteJobRepository, SQLiteJobRepository]]:
    """Two views of one store, as two processes have them."""
    first, second = (SQLiteJobRepository(tmp_path / "jobs.db") for _ in range(2))
    await first.initialize()
    await second.initialize()
    yield first, second
    await second.close()
    await first.close()


@pytest.fixture
def repository(repositories):
    return repositories[0]


@pytest.fixture
def store(repository):
    return repository.accounts


@pytest.fixture
async def admin(store) -> User:
    """The only server admin, who is a member of the organisation acme."""
    await store.add_organisation(organisation())
    ada = user(server_admin=True, roles={"org_acme": Role.MEMBER})
    await store.add_user(ada)
    return ada


async def end(repository, new) -> str:
    job, _ = await repository.add(new)
    clock = FakeClock()
    claimed = await repository.claim(job.id, attempt=0, now=clock.now())
    result = Result(reason=EndReason.PASSED, exit_code=0)
    await repository.finish(job.id, attempt=claimed.attempt, result=result, now=clock.now())
    return job.id


@pytest.mark.parametrize("name", ["a", "Ada.Lovelace-2_x", "7", "a" * 64])
def test_a_name_is_what_fits_into_an_address(name):
    assert require_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", ".", "a b", "a/b", "ä", "a\n", "a" * 65, "_x"])
def test_other_names_are_refused_with_what_they_may_look_like(name):
    with pytest.raises(InvalidRequest) as refused:
        require_name(name)
    assert "letters" in (refused.value.hint or "")


async def test_users_are_seen_by_every_process_as_soon_as_there_are_any(repositories):
    first, second = (each.accounts for each in repositories)
    assert not await first.any_users()
    assert not await second.any_users()
    await first.add_user(user(server_admin=True))
    assert await second.any_users()
    assert await first.any_users()


async def test_everything_of_a_user_is_kept(store, admin):
    whole = user(
        "bob", email="bob@x.example", disabled_at=LATER, password="$argon2id$x",
        issuer="https://id.example", subject="7", last_sign_in=LATER,
        roles={"org_acme": Role.VIEWER},
    )  # fmt: skip
    await store.add_user(whole)
    assert await store.user("usr_bob") == whole
    assert await store.user_named("BOB") == whole
    assert await store.user_known_as("https://id.example", "7") == whole
    assert await store.users() == [admin, whole]
    assert await store.users("org_acme") == [admin, whole]
    assert await store.users("org_other") == []
    assert "$argon2id$x" not in repr(whole)


async def test_who_is_not_there_is_not_found(store, admin):
    for asked in (
        store.user("usr_eve"),
        store.user_named("eve\ud800"),
        store.user_known_as("https://id.example", "7"),
        store.change_user("usr_eve", lambda user: user),
        store.remove_user("usr_eve"),
        store.set_role("org_acme", "usr_eve", Role.ADMIN),
        store.add_key(key(user_id="usr_eve"), DIGEST),
    ):
        with pytest.raises(UserNotFound):
            await asked


async def test_a_name_is_taken_whatever_its_case(store, admin):
    with pytest.raises(NameTaken):
        await store.add_user(user("ADA"))
    with pytest.raises(NameTaken):
        await store.add_organisation(organisation("Acme"))
    await store.add_user(user("bob"))
    await store.add_organisation(organisation("other"))
    with pytest.raises(NameTaken):
        await store.change_user("usr_bob", lambda bob: replace(bob, name="Ada"))
    with pytest.raises(NameTaken):
        await store.change_organisation("org_other", lambda other: replace(other, name="ACME"))
    await store.change_user("usr_bob", lambda bob: replace(bob, name="BOB"))
    await store.change_organisation("org_other", lambda other: replace(other, name="Other"))
    assert [each.name for each in await store.users()] == ["ada", "BOB"]


async def test_one_person_at_a_provider_is_one_user(store):
    await store.add_user(user(issuer="https://id.example", subject="7"))
    with pytest.raises(NameTaken):
        await store.add_user(user("bob", issuer="https://id.example", subject="7"))
    await store.add_user(user("bob", issuer="https://other.example", subject="7"))


async def test_a_change_is_made_of_what_is_stored_and_keeps_what_it_may_not_touch(store, admin):
    await store.add_user(user("bob", roles={"org_acme": Role.VIEWER}))

    def disable(bob: User) -> User:
        return replace(
            bob, id="usr_x", created_at=LATER, roles={}, disabled_at=LATER, email="b@x.example"
        )

    changed = await store.change_user("usr_bob", disable)
    expected = user("bob", roles={"org_acme": Role.VIEWER}, disabled_at=LATER, email="b@x.example")
    assert changed == await store.user("usr_bob") == expected


async def test_changes_at_once_all_arrive(repositories):
    first, second = (each.accounts for each in repositories)
    await first.add_user(user())
    await asyncio.gather(
        *(
            each.change_user("usr_ada", lambda ada: replace(ada, email=ada.email + "x"))
            for each in (first, second) * 5
        )
    )
    assert (await first.user("usr_ada")).email == "x" * 10


async def test_what_a_change_raises_leaves_all_as_it_was(store, admin):
    def refuse(user: User) -> User:
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        await store.change_user(admin.id, refuse)
    assert await store.user(admin.id) == admin


async def test_the_last_admin_stays_one(store, admin):
    await store.add_user(user("bob", server_admin=True, disabled_at=NOW))
    for change in ({"server_admin": False}, {"disabled_at": NOW}):
        with pytest.raises(LastAdmin):
            await store.change_user(admin.id, lambda ada, change=change: replace(ada, **change))
    with pytest.raises(LastAdmin):
        await store.remove_user(admin.id)
    assert await store.user(admin.id) == admin
    await store.change_user("usr_bob", lambda bob: replace(bob, disabled_at=None))
    await store.remove_user(admin.id)
    assert [each.name for each in await store.users()] == ["bob"]


async def test_two_admins_who_remove_each_other_at_once_do_not_both(repositories):
    first, second = (each.accounts for each in repositories)
    for name in ("ada", "bob"):
        await first.add_user(user(name, server_admin=True))
    outcomes = await asyncio.gather(
        first.remove_user("usr_ada"), second.remove_user("usr_bob"), return_exceptions=True
    )
    assert sorted(type(each) for each in outcomes if each) == [LastAdmin]
    assert len(await first.users()) == 1


async def test_a_removed_user_leaves_neither_keys_nor_memberships(store, admin):
    await store.add_user(user("bob", roles={"org_acme": Role.VIEWER}))
    await store.add_key(key(user_id="usr_bob"), DIGEST)
    await store.remove_user("usr_bob")
    assert await store.users("org_acme") == [admin]
    assert await store.keys() == []
    with pytest.raises(KeyNotFound):
        await store.key_of(DIGEST)


async def test_everything_of_an_organisation_is_kept(store):
    whole = organisation(
        max_running=2, max_queued=0, max_project_bytes=10**12, max_artifact_bytes=1
    )
    await store.add_organisation(whole)
    assert await store.organisation("org_acme") == whole
    assert await store.organisation_named("ACME") == whole
    await store.add_organisation(organisation("Able"))
    assert [each.name for each in await store.organisations()] == ["Able", "acme"]
    changed = await store.change_organisation(
        "org_acme", lambda acme: replace(acme, id="x", max_running=None, max_queued=3)
    )
    assert changed == replace(whole, max_running=None, max_queued=3)
    assert await store.organisation("org_acme") == changed


async def test_an_organisation_that_is_not_there_is_not_found(store, admin):
    for asked in (
        store.organisation("org_x"),
        store.organisation_named("x"),
        store.change_organisation("org_x", lambda it: it),
        store.remove_organisation("org_x"),
        store.adopt("org_x"),
        store.set_role("org_x", admin.id, Role.ADMIN),
        store.add_key(key(organisation="org_x"), DIGEST),
        store.add_user(user("bob", roles={"org_x": Role.ADMIN})),
    ):
        with pytest.raises(OrganisationNotFound):
            await asked
    assert await store.users() == [admin]


async def test_a_role_is_given_changed_and_taken(store, admin):
    await store.set_role("org_acme", admin.id, Role.ADMIN)
    assert (await store.user(admin.id)).roles == {"org_acme": Role.ADMIN}
    for _ in range(2):
        await store.set_role("org_acme", admin.id, None)
        assert (await store.user(admin.id)).roles == {}


async def test_a_removed_organisation_takes_along_what_is_its_own(repository, store, admin):
    await store.add_key(key(organisation="org_acme"), DIGEST)
    await store.add_key(key("other"), hashlib.sha256(b"other").digest())
    hook = Webhook(id="wh_1", url="https://x.example/", secret="s", created_at=NOW)
    await repository.webhooks.add(hook)
    await store.adopt("org_acme")
    await repository.webhooks.add(replace(hook, id="wh_2"))
    await store.remove_organisation("org_acme")
    assert (await store.user(admin.id)).roles == {}
    assert [each.name for each in await store.keys()] == ["other"]
    assert [each.id for each in await repository.webhooks.all()] == ["wh_2"]


async def test_an_organisation_with_jobs_stays(repository, store, admin):
    await repository.add(new_job(id="a" * 32, organisation="org_acme"))
    with pytest.raises(OrganisationInUse):
        await store.remove_organisation("org_acme")
    assert (await store.user(admin.id)).roles


async def test_what_is_nobodys_and_over_is_adopted_with_its_events(
    repository, store, admin, monkeypatch
):
    monkeypatch.setattr(accounts, "_ADOPTED_AT_ONCE", 2)
    over = [await end(repository, new_job(id=letter * 32)) for letter in "abc"]
    (waiting, _) = await repository.add(new_job(id="d" * 32))
    (other, _) = await repository.add(new_job(id="e" * 32, organisation="org_other"))
    assert await store.adopt("org_acme") == 3
    owners = {each: (await repository.get(each)).organisation for each in over}
    assert set(owners.values()) == {"org_acme"}
    assert (await repository.get(waiting.id)).organisation == ""
    assert (await repository.get(other.id)).organisation == "org_other"
    rows = await repository._database.fetch_all("SELECT DISTINCT job_id, organisation FROM events")
    assert {row["job_id"]: row["organisation"] for row in rows} == {
        **owners, waiting.id: "", other.id: "org_other"
    }  # fmt: skip
    assert await store.adopt("org_acme") == 0


async def test_an_adopted_job_gives_way_to_the_key_of_another(repository, store, admin):
    await end(repository, new_job(id="a" * 32, idempotency_key="k1"))
    await end(repository, new_job(id="b" * 32, idempotency_key="k2"))
    theirs = new_job(id="c" * 32, idempotency_key="k1", organisation="org_acme")
    await repository.add(theirs)
    assert await store.adopt("org_acme") == 2
    again, new = await repository.add(replace(theirs, id="d" * 32))
    assert (again.id, new) == ("c" * 32, False)
    again, new = await repository.add(
        new_job(id="e" * 32, idempotency_key="k2", organisation="org_acme")
    )
    assert (again.id, new) == ("b" * 32, False)


async def test_everything_of_a_key_is_kept_and_it_is_known_by_its_digest(store, admin):
    whole = key(
        scopes=frozenset({Scope.READ, Scope.SUBMIT}), organisation="org_acme",
        expires_at=LATER, last_used_at=NOW, revoked_at=LATER, replaced_by="key_next",
    )  # fmt: skip
    await store.add_key(whole, DIGEST)
    assert await store.key_of(DIGEST) == (whole, admin)
    assert await store.key(whole.id) == whole
    with pytest.raises(KeyNotFound):
        await store.key_of(hashlib.sha256(b"x").digest())
    with pytest.raises(KeyNotFound):
        await store.key("key_x")
    with pytest.raises(KeyNotFound):
        await store.change_key("key_x", lambda it: it)


async def test_keys_are_listed_newest_first(store, admin):
    await store.add_user(user("bob"))
    for index, owner in enumerate(("usr_ada", "usr_bob", "usr_ada")):
        created = NOW + timedelta(minutes=index)
        each = key(str(index), user_id=owner, created_at=created)
        await store.add_key(each, hashlib.sha256(bytes([index])).digest())
    assert [each.name for each in await store.keys()] == ["2", "1", "0"]
    assert [each.name for each in await store.keys("usr_ada")] == ["2", "0"]


async def test_a_revocation_stays(store, admin):
    await store.add_key(key(), DIGEST)
    await store.change_key("key_laptop", lambda it: replace(it, revoked_at=NOW, name="old"))
    changed = await store.change_key(
        "key_laptop", lambda it: replace(it, revoked_at=None, replaced_by="key_next")
    )
    assert changed == key(name="old", id="key_laptop", revoked_at=NOW, replaced_by="key_next")


async def test_the_last_use_of_a_key_is_noted_and_never_goes_back(repositories, admin):
    store, other = (each.accounts for each in repositories)
    await store.add_key(key(), DIGEST)
    await store.note_key_use("key_laptop", LATER)
    assert (await store.key("key_laptop")).last_used_at == LATER
    await other.note_key_use("key_laptop", NOW)
    assert (await store.key("key_laptop")).last_used_at == LATER
    await store.note_key_use("key_laptop", LATER + timedelta(minutes=5))
    assert (await other.key("key_laptop")).last_used_at == LATER + timedelta(minutes=5)


async def test_ids_are_not_given_twice():
    assert len({new_user_id() for _ in range(100)}) == 100
