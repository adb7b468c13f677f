"""What every store of secrets does, whatever it keeps them in."""

from datetime import timedelta

import pytest

from ci_common.errors import SecretNotFound
from ci_common.job_secrets import SecretPlace
from tests.contract.job_states import NOW, queued, running

WHEN = NOW.wall
LATER = WHEN + timedelta(hours=1)


def place(name="TOKEN", project="", organisation=""):
    return SecretPlace(organisation=organisation, project=project, name=name)


@pytest.fixture
def store(repository):
    return repository.secrets


async def test_a_secret_is_kept_and_replaced_and_removed(store):
    secret, new = await store.set(place(), "first value", now=WHEN)
    assert (secret.place, secret.created_at, new) == (place(), WHEN, True)
    again, new = await store.set(place(), "second value", now=LATER)
    assert (again.created_at, again.updated_at, new) == (WHEN, LATER, False)
    assert await store.all(within=None) == [again]
    await store.remove(place())
    assert await store.all(within=None) == []
    with pytest.raises(SecretNotFound):
        await store.remove(place())


async def test_a_list_has_those_of_organisations_and_of_a_project(store):
    for at in (place("B"), place("A", "shop"), place("A"), place("A", organisation="org")):
        await store.set(at, "some value", now=WHEN)
    everything = [each.place for each in await store.all(within=None)]
    assert everything == [place("A"), place("B"), place("A", "shop"), place("A", "", "org")]
    assert [each.place.name for each in await store.all(within=None, project="shop")] == ["A"]
    own = await store.all(within=frozenset({"org"}))
    assert [each.place.organisation for each in own] == ["org"]
    assert await store.all(within=frozenset()) == []


async def test_a_job_is_given_its_projects_own_before_those_of_all(repository, store):
    await store.set(place(), "of all projects", now=WHEN)
    await store.set(place(project="shop"), "of the shop", now=WHEN)
    await store.set(place("OTHER"), "another one", now=WHEN)
    await store.set(place("FOREIGN", organisation="org"), "not for you", now=WHEN)
    shop = await running(repository, project="shop")
    names = ["TOKEN", "OTHER"]
    assert await store.missing("", "shop", [*names, "FOREIGN"]) == ["FOREIGN"]
    given = {"TOKEN": "of the shop", "OTHER": "another one"}
    assert await store.give(shop.id, 1, names) == given
    assert await store.given(shop.id) == given
    plain = await running(repository)
    assert await store.give(plain.id, 1, ["TOKEN"]) == {"TOKEN": "of all projects"}
    with pytest.raises(SecretNotFound, match="FOREIGN"):
        await store.give(plain.id, 1, ["TOKEN", "FOREIGN"])


async def test_what_was_given_stays_known_whatever_becomes_of_the_secret(repository, store):
    await store.set(place(), "first value", now=WHEN)
    job = await running(repository)
    await store.give(job.id, 1, ["TOKEN"])
    await store.set(place(), "second value", now=WHEN)
    assert await store.given(job.id) == {"TOKEN": "first value"}
    await store.remove(place())
    assert await store.given(job.id) == {"TOKEN": "first value"}
    await store.take_back(job.id, 2)  # another attempt's
    assert await store.given(job.id) == {"TOKEN": "first value"}
    await store.take_back(job.id, 1)
    await store.take_back(job.id, 1)
    assert await store.given(job.id) == {}


async def test_the_next_attempt_is_given_what_there_is_then(repository, store):
    await store.set(place(), "first value", now=WHEN)
    job = await running(repository)
    await store.give(job.id, 1, ["TOKEN"])
    await store.set(place(), "second value", now=WHEN)
    assert await store.give(job.id, 2, ["TOKEN"]) == {"TOKEN": "second value"}
    assert await store.given(job.id) == {"TOKEN": "second value"}


async def test_a_job_that_was_given_nothing_has_nothing(repository, store):
    job = await queued(repository)
    assert await store.given(job.id) == {}
