"""Over HTTP: what belongs to another organisation is not there, wherever it is asked for."""

import json
import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta

import pytest
from websockets.sync.client import connect

from ci_common.job_events import StoredEvent
from ci_common.snapshots import owned_key
from tests.contract.http_harness import Reader, running_server
from tests.contract.two_organisations import API, KEY, NODE, TwoOrganisations
from tests.fakes.manifests import SCOPE, manifest_of, pack
from tests.waiting import LONGEST

SEEN = {
    "ann": {"ours"},
    "tom": {"theirs"},
    "both": {"ours", "theirs"},
    "root": {"ours", "theirs"},
}
"""Whose things somebody sees."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("scoping"), ping_interval="0.2") as running:
        yield TwoOrganisations(running)


def job_ids(rows: Iterable[dict]) -> set[str]:
    return {row["job_id"] for row in rows}


def ids(rows: Iterable[dict]) -> set[str]:
    return {row["id"] for row in rows}


Found = Callable[[object], set[str]]

LISTS: dict[str, tuple[str, Found, Callable[[object], set[str]]]] = {
    # path: what it shows, and what of an organisation that is
    "/jobs": (job_ids, lambda of: of.jobs),
    f"{API}/jobs?sort=-ended": (job_ids, lambda of: set(of.ended)),
    f"{API}/jobs?sort=duration": (job_ids, lambda of: set(of.ended)),
    f"{API}/jobs?status=queued": (job_ids, lambda of: {of.queued}),
    f"{API}/jobs?project=same&status=completed": (job_ids, lambda of: set(of.ended)),
    f"{API}/jobs?label=branch=main": (job_ids, lambda of: set(of.ended)),
    f"{API}/jobs?group=g": (job_ids, lambda of: set(of.ended)),
    f"{API}/jobs?text=branch%3Dma": (job_ids, lambda of: set(of.ended)),
    f"{API}/jobs?success=false": (job_ids, lambda of: {of.ended[1]}),
    f"{API}/queue": (lambda view: job_ids([*view["queued"], *view["running"]]),
                     lambda of: {of.queued, of.running}),
    f"{API}/events/history?limit=1000": (lambda view: job_ids(view["events"]), lambda of: of.jobs),
    f"{API}/tests/history?test={NODE}": (lambda view: job_ids(view["runs"]),
                                         lambda of: set(of.ended)),
    f"{API}/tests/flaky": (lambda view: {test["last_failed_job"] for test in view["tests"]},
                           lambda of: {of.ended[1]}),
    "/cache": (lambda rows: {row["key"] for row in rows} - {"nobodys"}, lambda of: {of.cached}),
    f"{API}/webhooks": (ids, lambda of: {of.webhook}),
    f"{API}/webhooks/dead": (ids, lambda of: {of.delivery}),
}  # fmt: skip


def limited(path: str, organisation: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}organisation={organisation}"


@pytest.mark.parametrize("path", LISTS)
def test_a_list_shows_what_is_of_ones_organisations(world, path):
    shown, expected = LISTS[path]
    for who, organisations in SEEN.items():
        answer = world.get(who, path)
        assert answer.status_code == 200, answer.text
        whole = set().union(*(expected(world.of[name]) for name in organisations))
        assert shown(answer.json()) == whole, who
        for name in organisations:
            answer = world.get(who, limited(path, name))
            assert shown(answer.json()) == expected(world.of[name]), who


@pytest.mark.parametrize("path", LISTS)
def test_to_ask_for_another_organisation_is_to_ask_for_none_there_is(world, path):
    other, nothing = (world.get("ann", limited(path, name)) for name in ("theirs", "nothing"))
    for answer in (other, nothing):
        assert (answer.status_code, answer.json()["code"]) == (404, "organisation_not_found")
    assert other.json()["detail"].replace("theirs", "nothing") == nothing.json()["detail"]


def test_pages_of_two_organisations_are_one_list(world):
    found, path = [], f"{API}/jobs?limit=3"
    while path:
        answer = world.get("both", path)
        found += [job["job_id"] for job in answer.json()]
        following = answer.links.get("next")
        path = following and following["url"]
    assert sorted(found) == sorted(world.of["ours"].jobs | world.of["theirs"].jobs)
    whole = world.get("both", f"{API}/jobs").json()
    assert found == [job["job_id"] for job in whole]
    assert {job["organisation"] for job in whole} == {"ours", "theirs"}


def test_a_cursor_is_of_a_list_of_the_same_organisation(world):
    answer = world.get("both", f"{API}/jobs?limit=1&organisation=ours")
    following = answer.links["next"]["url"]
    assert "organisation=ours" in following
    assert world.get("both", following).status_code == 200
    moved = following.replace("organisation=ours", "organisation=theirs")
    assert world.get("both", moved).status_code == 400
    # And in the hands of another it shows what is there for that one: nothing.
    assert world.get("tom", following).status_code == 404


OF_A_JOB = (
    ("GET", "/jobs/{}"), ("GET", "/jobs/{}/log"), ("GET", "/jobs/{}/stream"),
    ("GET", f"{API}/jobs/{{}}/tests"), ("GET", f"{API}/jobs/{{}}/coverage"),
    ("GET", f"{API}/jobs/{{}}/artifacts"), ("DELETE", f"{API}/jobs/{{}}"),
    ("POST", f"{API}/jobs/{{}}/retry"),
)  # fmt: skip
OF_A_WEBHOOK = (
    ("GET", "/webhooks/{}"), ("PATCH", "/webhooks/{}"), ("DELETE", "/webhooks/{}"),
    ("POST", "/webhooks/{}/test"), ("POST", "/webhooks/{}/rotate"),
    ("GET", "/webhooks/{}/deliveries"),
)  # fmt: skip
OF_A_DELIVERY = (
    ("GET", "/webhooks/deliveries/{}"), ("POST", "/webhooks/deliveries/{}/redeliver"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), OF_A_JOB)
def test_a_job_of_others_is_no_job(world, method, path):
    for theirs in (world.of["theirs"].ended[0], world.of["theirs"].ended[0][:13]):
        not_there(world, method, path, theirs, "0" * len(theirs), "job_not_found")


@pytest.mark.parametrize(("method", "path"), OF_A_WEBHOOK)
def test_a_webhook_of_others_is_no_webhook(world, method, path):
    theirs = world.of["theirs"].webhook
    not_there(world, method, API + path, theirs, "wh_0", "webhook_not_found")


@pytest.mark.parametrize(("method", "path"), OF_A_DELIVERY)
def test_a_delivery_of_others_is_no_delivery(world, method, path):
    theirs = world.of["theirs"].delivery
    not_there(world, method, API + path, theirs, "msg_0", "delivery_not_found")


def not_there(world, method: str, path: str, theirs: str, nothing: str, code: str) -> None:
    """What is others' is answered as what there is not; they themselves are answered."""
    body = {"json": {}} if method == "PATCH" else {}
    other, none = (world.ask("ann", method, path.format(x), **body) for x in (theirs, nothing))
    for answer in (other, none):
        assert (answer.status_code, answer.json()["code"]) == (404, code), answer.text
    assert other.json()["detail"].replace(theirs, nothing) == none.json()["detail"]
    if method == "GET":
        assert world.get("tom", path.format(theirs)).status_code == 200


def test_the_last_job_is_the_last_of_ones_own(world):
    assert world.get("ann", "/jobs/last").json()["job_id"] == world.of["ours"].queued
    assert world.get("tom", "/jobs/last").json()["job_id"] == world.of["theirs"].queued


def test_the_queue_tells_of_others_only_how_many_are_before_ones_own(world):
    view = world.get("tom", f"{API}/queue").json()
    assert (view["counts"]["queued"], view["counts"]["running"]) == (1, 1)
    assert [job["position"] for job in view["queued"]] == [2]
    assert world.of["ours"].queued not in json.dumps(view)
    assert world.get("root", f"{API}/queue").json()["counts"]["queued"] == 2


def test_a_stream_of_events_tells_of_ones_own(world):
    theirs, ours = world.of["theirs"].jobs, world.of["ours"].jobs
    for who, visible in (("ann", ours), ("both", ours | theirs)):
        with world.server.stream(f"{API}/events?after=0", **world.keys[who]) as reader:
            seen = take(reader, lambda found, wanted=visible: job_ids(found) >= wanted)
        assert job_ids(each for each in seen if "job_id" in each) == visible
        assert seen == sorted(seen, key=lambda each: each.get("seq", 0))


def take(reader: Reader, enough: Callable[[list[dict]], bool]) -> list[dict]:
    """Read until what came of jobs is enough; then what has already come besides."""
    found: list[dict] = []
    while not enough([each for each in found if "job_id" in each]):
        found.append(next(reader)[1])
    return found


def test_the_depth_of_the_queue_is_that_of_visible_jobs(world):
    for who, queued in (("ann", 1), ("tom", 1), ("both", 2), ("root", 2)):
        path = f"{API}/events?type=queue.depth"
        with world.server.stream(path, **world.keys[who]) as reader:
            depth = next(each for _, each in reader if each["type"] == "queue.depth")
        assert depth["queued"] == depth["running"] == queued


def test_a_socket_tells_of_ones_own(world):
    ours, theirs = world.of["ours"], world.of["theirs"]
    url = world.server.url.replace("http", "ws", 1) + f"{API}/events"
    with connect(url, additional_headers=world.keys["ann"], compression=None) as socket:

        def ask(**command) -> dict:
            socket.send(json.dumps(command))
            return hear()

        def hear() -> dict:
            return json.loads(socket.recv(timeout=LONGEST))

        for reference in (theirs.ended[0], str(uuid.uuid4())):
            told = ask(id="log", subscribe="log", job_id=reference)
            assert (told["type"], told["problem"]["code"]) == ("error", "job_not_found")
        told = ask(id="x", subscribe="jobs", organisation="theirs")
        assert told["problem"]["code"] == "organisation_not_found"
        assert ask(id="log", subscribe="log", job_id=ours.ended[0])["type"] == "subscribed"
        assert [hear()["type"] for _ in range(2)] == ["log", "complete"]
        assert ask(id="q", subscribe="queue")["type"] == "subscribed"
        depth = hear()["event"]
        assert (depth["queued"], depth["running"]) == (1, 1)
        socket.send(json.dumps({"id": "q", "unsubscribe": "q"}))
        while hear()["type"] != "unsubscribed":
            pass
        ask(id="j", subscribe="jobs", after=0)
        seen = set()
        while seen < ours.jobs:
            seen.add(hear()["event"]["job_id"])
        assert seen == ours.jobs


def test_one_key_of_two_organisations_is_two_submissions(world):
    ours, theirs = (world.submit(who, headers=KEY) for who in ("ann", "tom"))
    assert (ours, theirs) == (world.of["ours"].running, world.of["theirs"].running)


def test_a_newer_job_cancels_none_of_another_organisation(world):
    form = {"project": "alone", "group": "newest", "group_policy": "cancel_older"}
    before = world.submit("tom", data=form)
    after = world.submit("ann", data=form)
    try:
        assert world.get("tom", f"/jobs/{before}").json()["status"] == "queued"
        newer = world.submit("tom", data=form)
        assert world.get("tom", f"/jobs/{before}").json()["status"] == "cancelled"
        assert world.get("ann", f"/jobs/{after}").json()["status"] == "queued"
    finally:
        for job_id in (before, after, newer):
            world.server.call(remove(world, job_id))


async def remove(world, job_id: str) -> None:
    """Have no later test see a job that this one made."""
    repository = world.server.parts.repository
    await repository.cancel(job_id, now=world.server.controller.clock.now())
    await repository.forget([job_id])


def whose(event: StoredEvent) -> str:
    return f"{event.organisation} {event.job_id}"


def test_a_webhook_is_told_of_its_organisation(world):
    store, now = world.server.parts.repository.webhooks, world.server.controller.clock.now().wall

    async def told() -> dict[str, set[str]]:
        while await store.collect(lambda event, _: whose(event), now=now, limit=100):
            pass
        return {
            name: {
                each.body
                for each in await store.deliveries(webhook_id=of.webhook, limit=100)
                if each.type != "ping"
            }
            for name, of in world.of.items()
        }

    found = world.server.call(told())
    for name, of in world.of.items():
        assert {each.partition(" ")[0] for each in found[name]} == {f"org_{name}"}
        assert {each.partition(" ")[2] for each in found[name]} >= set(of.ended)
        path = f"{API}/webhooks/{world.of[name].webhook}"
        assert world.get("root", path).json()["organisation"] == name


def test_what_is_pruned_is_ones_own(world):
    path = f"{API}/cache?older_than={timedelta(days=1).total_seconds():g}"
    answer = world.ask("ann", "DELETE", path)
    assert [each["key"] for each in answer.json()] == [world.of["ours"].cached]
    store = world.server.parts.repository.snapshots
    try:
        left = {each["key"] for each in world.get("root", "/cache").json()}
        assert left == {world.of["theirs"].cached, "nobodys"}
    finally:
        world.server.call(store.forget(world.of["ours"].cached))


def test_nobodys_cache_is_the_server_admins(world):
    keys = {each["key"] for each in world.get("root", "/cache").json()}
    assert "nobodys" in keys
    assert owned_key("d", "") == "d"
    assert owned_key("d", "org_ours") != owned_key("d", "org_theirs")


def test_another_learns_nothing_of_uploads_even_with_their_scope(world):
    files = {"a.py": b"a secret", "test_it.py": b"def test(): pass\n"}
    made = []

    def send(who: str, *contents: bytes, organisation: str = "ours"):
        parts = {"manifest": (None, manifest_of(files))}
        if contents:
            parts["file"] = ("project.zip", pack(*contents), "application/zip")
        headers = {"CI-Scope": SCOPE, "CI-Organisation": organisation}
        answer = world.ask(who, "POST", "/submit-async", files=parts, headers=headers)
        made.extend([answer.json()["job_id"]] if answer.status_code == 200 else [])
        return answer

    try:
        assert send("ann", *files.values()).status_code == 200
        assert send("ann").status_code == 200
        for who, organisation in (("both", "ours"), ("both", "theirs"), ("tom", "theirs")):
            answer = send(who, organisation=organisation)
            assert answer.status_code == 409
            assert answer.json()["missing"] == [[0, 1]]
    finally:
        for job_id in made:
            world.server.call(remove(world, job_id))
