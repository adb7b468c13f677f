"""Calls to the engine: which the filter lets through, and which not."""

from collections.abc import Callable

REFUSED = (
    "POST /v1.41/build?remote=none%3A",
    "POST /v1.41/containers/prune?filters=none",
    "POST /v1.41/containers/none/update",
    "PUT /v1.41/containers/none/archive?path=/",
    "GET /v1.41/containers/none/export",
    "GET /v1.41/volumes",
    "GET /v1.41/swarm",
    "GET /v1.41/secrets",
    "POST /v1.41/plugins/pull",
    "POST /v1.41/auth",
    "POST /v1.41/images/load",
    "POST /v1.41/images/none/push",
    "DELETE /v1.41/volumes/none",
    "POST /v1.41/networks/none/connect",
    "GET /v1.41/containers/none/json/../../../volumes",
    "GET /v1.41/containers/%2e%2e/%2E%2e/volumes/json",
    "GET /v1.41/images/a/../../volumes/b/json",
    "GET //v1.41/volumes",
)
"""Harmless, should a filter that is broken let them through: the engine is not the test's own."""

KNOWN = (
    "GET /v1.41/containers/none/json",
    "GET /v1.41/containers/none/archive?path=/",
    "POST /v1.41/containers/none/start",
    "POST /v1.41/containers/none/stop",
    "POST /v1.41/containers/none/kill",
    "POST /v1.41/containers/none/wait",
    "POST /v1.41/containers/none/exec",
    "POST /v1.41/containers/none/rename?name=other",
    "POST /v1.41/exec/none/start",
    "GET /v1.41/exec/none/json",
    "GET /v1.41/images/registry.example%3A5000/a/b%3Alatest/json",
    "DELETE /v1.41/images/registry.example/none%3A1",
    "GET /v1.41/networks/none-of-that-name",
    "DELETE /v1.41/networks/none-of-that-name",
    "DELETE /v1.41/containers/none",
    "POST /v1.41/commit?container=none",
)
"""Calls that the server makes; the engine answers that there is no such thing."""


def assert_only_ours_pass(ask: Callable[..., str]) -> None:
    """``ask`` sends calls through the filter and returns the statuses, a word each."""
    calls = (*REFUSED, *KNOWN)
    statuses = dict(zip(calls, map(int, ask(*calls).split()), strict=True))
    assert {call: statuses[call] for call in REFUSED} == dict.fromkeys(REFUSED, 403)
    others = {call: statuses[call] for call in KNOWN if statuses[call] not in {400, 404}}
    assert not others, "the engine was to be asked, and to know no such thing"
