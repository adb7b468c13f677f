"""Over HTTP: every route and every kind of caller. What is refused has changed nothing."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import count

import httpx2
import pytest

from ci_common.access import ALL_SCOPES, Role, scope_for
from ci_server.guard import action_of
from tests.contract.http_harness import RunningServer, running_server
from tests.contract.people import People, key_id, now
from tests.contract.permissions import CALLERS, OWN_KEY, ROWS, SERVED, UPLOAD, Outcome, Row
from tests.contract.routes import SOCKET, Route, all_routes

ROUTES = all_routes()
UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip
CODES = {Outcome.REFUSED: {"permission_denied"}, Outcome.UNKNOWN: {"not_signed_in"}}
HIDDEN_AS = {
    "job_not_found", "key_not_found", "organisation_not_found", "webhook_not_found",
    "delivery_not_found",
}  # fmt: skip
NOTED = {("api_keys", "last_used")}
"""Columns that say who asked, and change with whatever is asked."""

WRITTEN_DOWN = {"audit"}
"""Tables that say what was refused."""


class World:
    """A server with two organisations, and things of ``acme`` to ask for."""

    def __init__(self, running: RunningServer) -> None:
        self.running = running
        self.people = people = People(running)
        self._numbers = count()
        for organisation in ("acme", "other"):
            people.organisation(organisation)
        people.user("viewer", {"acme": Role.VIEWER})
        people.user("member", {"acme": Role.MEMBER})
        people.user("admin", {"acme": Role.ADMIN})
        people.user("other", {"other": Role.ADMIN})
        people.user("root", server_admin=True)
        self._keys = {name: people.key(name) for name in CALLERS[:5]}
        self._keys["anonymous"] = {}
        self._keys["expired"] = people.key("admin", expires_at=now() - timedelta(seconds=1))
        self.client = httpx2.Client(base_url=running.url, timeout=30)
        self._job: str | None = None

    def headers(self, caller: str, route: Route) -> dict[str, str]:
        """Return what a caller sends to a route."""
        if route.operation == OWN_KEY and caller not in {"anonymous", "expired"}:
            return self.people.key("root" if caller == "scoped" else caller)
        if caller != "scoped":
            return self._keys[caller]
        scopes = ALL_SCOPES - {scope_for(action_of(route.handler))}
        key = f"scoped {sorted(scopes)}"
        if key not in self._keys:
            self._keys[key] = self.people.key("root", scopes=scopes)
        return self._keys[key]

    def path(self, route: Route, row: Row) -> str:
        """Return the path of a request, with things that are there."""

        def filled(match: re.Match[str]) -> str:
            make = getattr(self, "make_" + row.fill.get(match[1], match[1]))
            return str(make())

        return re.sub(r"\{(\w+):\w+\}", filled, route.path) + row.query

    def digest(self) -> list[object]:
        """Return all that is stored, but what is noted of each request."""
        path = self.running.settings.db_path
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = [
                name
                for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")
                if name not in WRITTEN_DOWN
            ]
            return [*map(tuple, (self._rows(database, table) for table in tables)), self._files()]

    def _files(self) -> list[str]:
        return sorted(self.running.left_on_disk())

    @staticmethod
    def _rows(database: sqlite3.Connection, table: str) -> list[object]:
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        kept = [f'"{name}"' for name in columns if (table, name) not in NOTED]
        return [table, *database.execute(f"SELECT {', '.join(kept)} FROM {table}").fetchall()]

    # What stands in paths.

    def make_reference(self) -> str:
        if self._job is None:
            job = self.running.claim(self.make_queued_job())
            self.running.write(job, b"output\n")
            self.running.finish(job)
            self._job = job.id
        return self._job

    def make_queued_job(self) -> str:
        answer = self.running.post("/submit-async", headers=self._keys["member"])
        assert answer.status_code == 200, answer.text
        return answer.json()["job_id"]

    def make_path(self) -> str:
        return "report/index.html"

    def make_organisation(self) -> str:
        return "acme"

    def new_name(self) -> str:
        return f"new-{next(self._numbers)}"

    def make_new_organisation(self) -> str:
        name = self.new_name()
        self.people.organisation(name)
        return name

    def make_new_user(self) -> str:
        name = self.new_name()
        self.people.user(name)
        return name

    make_user_name = make_new_user

    def make_new_member(self) -> str:
        name = self.new_name()
        self.people.user(name, {"acme": Role.VIEWER})
        return name

    def make_webhook_id(self) -> str:
        made = self.client.post(
            "/api/v1/webhooks",
            json={"url": "https://hooks.example/ci"},
            headers=self._keys["admin"],
        )
        assert made.status_code == 201, made.text
        return made.json()["id"]

    def make_key_id(self) -> str:
        return key_id(self.people.key(self.make_new_user())["Authorization"])

    def make_delivery_id(self) -> str:
        path = f"/api/v1/webhooks/{self.make_webhook_id()}/test"
        made = self.client.post(path, headers=self._keys["admin"])
        assert made.status_code == 202, made.text
        return made.json()["id"]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    with running_server(tmp_path_factory.mktemp("matrix")) as running:
        world = World(running)
        with world.client:
            yield world


def ask(
    world: World, route: Route, row: Row, headers: dict[str, str], path: str
) -> tuple[int, str | None]:
    """Return the status and the code of the problem, if the answer is one."""
    method = "GET" if route.method == SOCKET else route.method
    if method == "POST":
        headers = headers | {"CI-Organisation": "acme"}
    if route.method == SOCKET:
        headers = headers | UPGRADE
    options = {"json": row.body(world)} if row.body else {}
    options |= {"files": UPLOAD} if row.upload else {}
    with world.client.stream(method, path, headers=headers, **options) as answer:
        if "problem+json" not in answer.headers.get("content-type", ""):
            return answer.status_code, None
        answer.read()
        return answer.status_code, answer.json()["code"] if method != "HEAD" else None


def test_every_route_has_a_row_and_every_row_a_route():
    operations = {each.operation for each in ROUTES if each.method != "OPTIONS"}
    assert operations == set(ROWS)


@pytest.mark.parametrize("route", [each for each in ROUTES if each.method != "OPTIONS"], ids=str)
def test_who_gets_what(world, route):
    row = ROWS[route.operation]
    for caller in CALLERS:
        outcome = row.outcome(caller)
        path, headers = world.path(route, row), world.headers(caller, route)
        before = world.digest() if outcome is not SERVED else None
        status, code = ask(world, route, row, headers, path)
        got = f"{caller} got {status} {code}"
        if outcome is SERVED:
            assert (status in row.served, code) == (True, row.code), got
            continue
        assert status == outcome.value, got
        if route.method != "HEAD":
            assert code in CODES.get(outcome, HIDDEN_AS), got
        assert world.digest() == before, f"{caller} changed something"


@pytest.mark.parametrize("route", [each for each in ROUTES if each.method == "OPTIONS"], ids=str)
def test_which_methods_there_are_is_told_to_anybody(world, route):
    path = re.sub(r"\{\w+:\w+\}", "x", route.path)
    assert world.client.options(path).status_code == 204


@pytest.mark.parametrize(
    "reference", ["{id}", "{beginning}", "last"], ids=["its id", "its beginning", "last"]
)
def test_a_job_of_others_looks_exactly_like_none(world, reference):
    job_id = world.make_reference()
    asked = reference.format(id=job_id, beginning=job_id[:8])
    nobodys = asked if asked == "last" else f"{'0' * 8}{asked[8:]}"
    headers = world.headers("other", ROUTES[0])
    answers = [world.client.get(f"/jobs/{name}", headers=headers) for name in (asked, nobodys)]
    assert [each.status_code for each in answers] == [404, 404]
    hidden, absent = (
        {name: text for name, text in each.json().items() if name != "request_id"}
        for each in answers
    )
    assert str(hidden).replace(asked, "…") == str(absent).replace(nobodys, "…")
    assert {*answers[0].headers} == {*answers[1].headers}
