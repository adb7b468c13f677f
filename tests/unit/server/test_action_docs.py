"""docs/http-api.md says of every route which role and which scope it takes."""

import re
from pathlib import Path

from ci_common.access import Action, Actor, OfOrganisation, OfUser, Role, can, scope_for
from ci_server.guard import action_of
from ci_server.routes import API_PREFIX
from tests.contract.routes import SOCKET, Route, all_routes

PAGE = (Path(__file__).parents[3] / "docs/http-api.md").read_text(encoding="utf-8")
NOT_THERE = {"GET /schema", "GET /schema/openapi.json", "GET /schema/{path}"}
"""Told of in words."""


def table() -> dict[str, str]:
    """Return by route, as ``METHOD /path`` below the prefix, what the page says it takes."""
    rows = PAGE.partition("| Route | Answer | Takes |")[2].partition("\n\n")[0]
    said = {}
    for row in rows.splitlines()[2:]:
        cells = row.strip("| ").split(" | ")
        names = re.findall(r"`([^`]+)`", cells[0])
        path = names[-1].partition(" ")[2].removeprefix(API_PREFIX)
        said |= {f"{name.partition(' ')[0]} {path}": cells[-1] for name in names}
    return said


def takes(action: Action) -> str:
    scope, here = scope_for(action), OfOrganisation("org_here")
    if action is Action.BE_THERE:
        return "anybody"
    me = OfUser("usr_me")
    if can(Actor(user_id=me.user_id), action, me):
        return "any user" + (f" · `{scope}`" if scope else "")
    for role in Role:
        if can(Actor(user_id="usr_me", roles={here.organisation: role}), action, here):
            return f"{role} · `{scope}`"
    return f"server admin · `{scope}`"


def shown(route: Route) -> str:
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", route.operation).replace("{reference}", "{job}")


def test_every_route_that_is_told_of_is_there():
    assert set(table()) - {shown(route) for route in all_routes()} == set()


def test_what_every_route_takes_is_told():
    said, wrong = table(), {}
    for route in all_routes():
        if route.method in {"OPTIONS", "HEAD", SOCKET}:
            continue
        path = shown(route)
        if path in NOT_THERE:
            continue
        expected = takes(action_of(route.handler))
        if expected not in said.get(path, "").split("; "):
            wrong[path] = (expected, said.get(path))
    assert wrong == {}
