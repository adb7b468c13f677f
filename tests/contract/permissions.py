"""Who gets what at which route: the rows of the permission matrix.

A new route needs a row here, or the matrix fails. What each of the callers gets:

``viewer``, ``member``, ``admin``: of the organisation ``acme``, whose things are asked for
``other``: an admin of another organisation; ``both``: that, and a viewer of ``acme``
``root``: a server admin, who is in neither
``anonymous``: shows no key; ``expired``: one that was good
``scoped``: one of whoever may most, for everything but what the route takes
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ci_common.access import Role
from tests.contract.http_harness import PROJECT
from tests.contract.routes import Route

USERS = ("viewer", "member", "admin", "other", "both", "root")
CALLERS = (*USERS, "anonymous", "expired", "scoped")


class Outcome(Enum):
    """What a caller gets."""

    SERVED = "what it asked for"
    HIDDEN = 404
    """As if it were not there."""
    REFUSED = 403
    UNKNOWN = 401


HIDDEN, SERVED = Outcome.HIDDEN, Outcome.SERVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """``least``: the least role that is served, None for server admins only; ``seen_by``: the
    least that sees what it is about.

    ``other``: what is in it for the admin of another organisation. ``fill`` makes what
    stands in the path, anew for each request, by its name. ``served``: how it looks when a
    caller is; 2xx by default.
    """

    least: Role | None = Role.VIEWER
    other: Outcome = HIDDEN
    seen_by: Role = Role.VIEWER
    public: bool = False
    known: bool = False
    """Served to whoever is known, whatever the key's scopes."""
    of_user: bool = False
    """Another user's own: not there for anybody but server admins."""
    fill: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[Any], Any] | None = None
    upload: bool = False
    query: str = ""
    served: tuple[int, ...] = (200, 201, 202, 204)
    code: str | None = None
    """The code of the problem that stands for being served, where there is nothing to serve."""
    page: bool = False
    """What is told is told as a page, without a code."""
    unknown: int = 401
    """The status for whoever is not known."""

    def outcome(self, caller: str) -> Outcome:
        """Return what this caller gets."""
        if self.public:
            return SERVED
        if caller in {"anonymous", "expired"}:
            return Outcome.UNKNOWN
        if self.known:
            return SERVED
        if self.of_user and caller not in {"root", "scoped"}:
            return HIDDEN
        return self._in_organisation(caller)

    def _in_organisation(self, caller: str) -> Outcome:
        if caller == "other" and self.least is not None:
            return self.other
        if caller == "both" and self.other is SERVED:
            return SERVED  # of what is its own
        if caller == "both" and not Role.VIEWER.includes(self.seen_by):
            return HIDDEN
        caller = "viewer" if caller == "both" else caller
        served = caller == "root" or (
            caller in set(Role) and self.least is not None and Role(caller).includes(self.least)
        )
        return SERVED if served else Outcome.REFUSED


PUBLIC = Row(public=True)
LIST = Row(other=SERVED)
OF_JOB = Row()
SUBMIT = Row(least=Role.MEMBER, upload=True)
SERVER = Row(least=None)
MEMBERS = Row(least=Role.ADMIN, fill={"user_name": "new_member"})
WEBHOOK = Row(least=Role.ADMIN, seen_by=Role.ADMIN)
NOTHING_LEFT = Row(served=(404,), code="result_not_found")

OWN_KEY = "DELETE /keys/current"
"""Ends the key that it is asked with."""

ROWS: Mapping[str, Row] = {
    "GET /health": PUBLIC,
    "GET /ready": PUBLIC,
    "GET /version": PUBLIC,
    "GET /schema": PUBLIC,
    "GET /schema/openapi.json": PUBLIC,
    "GET /schema/{path:str}": Row(public=True, served=(404,), code="not_found"),
    "GET /metrics": SERVER,
    "POST /submit": SUBMIT,
    "POST /submit-stream": SUBMIT,
    "POST /submit-async": SUBMIT,
    "GET /jobs": LIST,
    "GET /jobs/{reference:str}": OF_JOB,
    "DELETE /jobs/{reference:str}": Row(least=Role.MEMBER, fill={"reference": "queued_job"}),
    "GET /jobs/{reference:str}/log": OF_JOB,
    "HEAD /jobs/{reference:str}/log": OF_JOB,
    "GET /jobs/{reference:str}/stream": OF_JOB,
    "POST /jobs/{reference:str}/retry": Row(least=Role.MEMBER),
    "GET /jobs/{reference:str}/artifacts": OF_JOB,
    "GET /jobs/{reference:str}/artifacts/{path:path}": NOTHING_LEFT,
    "GET /jobs/{reference:str}/artifacts.tar.gz": NOTHING_LEFT,
    "GET /jobs/{reference:str}/tests": OF_JOB,
    "GET /jobs/{reference:str}/coverage": OF_JOB,
    "GET /tests/history": Row(other=SERVED, query="?test=t.py::t"),
    "GET /tests/flaky": LIST,
    "GET /queue": LIST,
    "GET /events": LIST,
    "WEBSOCKET /events": Row(other=SERVED, served=(101,)),
    "GET /events/history": LIST,
    "GET /cache": LIST,
    "DELETE /cache": Row(least=Role.ADMIN, other=SERVED),
    "GET /secrets": Row(least=Role.MEMBER, other=SERVED),
    "PUT /secrets/{name:str}": Row(
        least=Role.ADMIN, fill={"name": "secret"}, body=lambda _: {"value": "open-sesame-or-else"}
    ),
    "DELETE /secrets/{name:str}": Row(least=Role.ADMIN, fill={"name": "secret"}),
    "GET /webhooks": Row(least=Role.ADMIN, other=SERVED),
    "GET /webhooks/dead": Row(least=Role.ADMIN, other=SERVED),
    "POST /webhooks": Row(least=Role.ADMIN, body=lambda _: {"url": "https://hooks.example/ci"}),
    "GET /webhooks/{webhook_id:str}": WEBHOOK,
    "PATCH /webhooks/{webhook_id:str}": Row(
        least=Role.ADMIN, seen_by=Role.ADMIN, body=lambda _: {"enabled": False}
    ),
    "DELETE /webhooks/{webhook_id:str}": WEBHOOK,
    "POST /webhooks/{webhook_id:str}/test": WEBHOOK,
    "POST /webhooks/{webhook_id:str}/rotate": WEBHOOK,
    "GET /webhooks/{webhook_id:str}/deliveries": WEBHOOK,
    "GET /webhooks/deliveries/{delivery_id:str}": WEBHOOK,
    "POST /webhooks/deliveries/{delivery_id:str}/redeliver": WEBHOOK,
    "GET /whoami": Row(known=True),
    "GET /keys": Row(other=SERVED),
    "POST /keys": Row(other=SERVED, body=lambda world: {"name": world.new_name()}),
    "GET /keys/{key_id:str}": Row(of_user=True),
    "DELETE /keys/{key_id:str}": Row(of_user=True),
    "POST /keys/{key_id:str}/rotate": Row(of_user=True),
    OWN_KEY: Row(known=True),
    "GET /audit": Row(least=Role.ADMIN, other=SERVED),
    "GET /session": Row(known=True, served=(404,), code="session_not_found"),
    "GET /sessions": Row(other=SERVED),
    "DELETE /sessions": Row(other=SERVED),
    "DELETE /sessions/{session_id:str}": Row(other=SERVED, served=(404,), code="session_not_found"),
    "POST /password": Row(
        other=SERVED,
        body=lambda _: {"password": "x", "new_password": "velvet otter umbrella"},
        served=(403,),
        code="permission_denied",
    ),
    "POST /sign-out": Row(known=True, served=(400,), code="invalid_request"),
    "POST /token": Row(known=True, body=lambda _: {}),
    "POST /users/{user_name:str}/password-link": SERVER,
    "POST /api/v1/sign-in": Row(
        public=True,
        body=lambda world: {"name": world.new_name(), "password": "x"},
        served=(401,),
        code="not_signed_in",
    ),
    "POST /api/v1/set-password": Row(
        public=True,
        body=lambda _: {"link": "x", "password": "x"},
        served=(410,),
        code="link_not_good",
    ),
    "GET /.well-known/jwks.json": PUBLIC,
    "GET /sign-in": PUBLIC,
    "GET /sign-in.css": PUBLIC,
    "POST /sign-in": Row(public=True, page=True, served=(403,)),
    "GET /sign-in/oidc": Row(public=True, page=True, served=(403,)),
    "GET /sign-in/oidc/answer": Row(public=True, page=True, served=(403,)),
    "GET /set-password": Row(public=True, page=True, served=(410,)),
    "POST /set-password": Row(public=True, page=True, served=(403, 410)),
    # For sessions only: who shows a key is led to the form, too.
    "GET /account": Row(known=True, page=True, served=(303,), unknown=303),
    "POST /account/sign-out": Row(known=True, page=True, served=(401,)),
    "POST /account/sessions": Row(other=SERVED, page=True, served=(401,)),
    "POST /account/password": Row(other=SERVED, page=True, served=(401,)),
    "POST /account/connect": Row(other=SERVED, page=True, served=(401,)),
    "GET /users": SERVER,
    "POST /users": Row(least=None, body=lambda world: {"name": world.new_name()}),
    "GET /users/{user_name:str}": SERVER,
    "PATCH /users/{user_name:str}": Row(least=None, body=lambda _: {"email": "a@x.example"}),
    "DELETE /users/{user_name:str}": SERVER,
    "GET /organisations": LIST,
    "POST /organisations": Row(least=None, body=lambda world: {"name": world.new_name()}),
    "GET /organisations/{organisation:str}": Row(),
    "PATCH /organisations/{organisation:str}": Row(
        least=None, body=lambda _: {"max_queued": 10_000}
    ),
    "DELETE /organisations/{organisation:str}": Row(
        least=None, fill={"organisation": "new_organisation"}
    ),
    "POST /organisations/{organisation:str}/adopt": SERVER,
    "GET /organisations/{organisation:str}/members": Row(),
    "GET /organisations/{organisation:str}/usage": Row(),
    "PUT /organisations/{organisation:str}/members/{user_name:str}": Row(
        least=Role.ADMIN, fill={"user_name": "new_user"}, body=lambda _: {"role": "viewer"}
    ),
    "DELETE /organisations/{organisation:str}/members/{user_name:str}": MEMBERS,
}


def row_of(route: Route) -> Row:
    """Return the row of a route, which may be of where it is mounted."""
    return ROWS.get(str(route)) or ROWS[route.operation]


UPLOAD = {"file": ("project.zip", PROJECT, "application/zip")}
