"""Every route says which action it is."""

import pytest

from ci_common.access import Action
from ci_server.guard import ACTION_KEY, action_of
from tests.contract.routes import all_routes

PUBLIC = {
    "GET /health", "GET /ready", "GET /version",
    "GET /sign-in", "POST /sign-in", "GET /set-password", "POST /set-password",
    "GET /sign-in/oidc", "GET /sign-in/oidc/answer", "GET /sign-in.css",
    "GET /.well-known/jwks.json",
    "GET /schema", "GET /schema/openapi.json", "GET /schema/{path:str}",
}  # fmt: skip


def test_every_route_declares_its_action():
    routes = all_routes()
    said = {str(each): each.handler.opt.get(ACTION_KEY) for each in routes}
    assert [name for name, action in said.items() if not isinstance(action, Action)] == []
    assert {each.method for each in routes} >= {"GET", "HEAD", "POST", "OPTIONS", "WEBSOCKET"}


def test_only_these_are_for_anybody():
    public = {each.operation for each in all_routes() if action_of(each.handler) is Action.BE_THERE}
    assert {each for each in public if not each.startswith("OPTIONS ")} == PUBLIC


def test_a_route_without_an_action_serves_nobody():
    (route,) = [each for each in all_routes() if str(each) == "GET /health"]
    del route.handler.opt[ACTION_KEY]
    with pytest.raises(KeyError):
        action_of(route.handler)
