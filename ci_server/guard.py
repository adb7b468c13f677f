"""What stands before every route: nobody gets to a handler who may not.

It runs once the route is known and the limits have let the request through, and
before anything of the body is read.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from ci_common.access import Action, Actor, Credential, could
from ci_common.errors import CIError, InvalidRequest, NotSignedIn
from ci_server.access import identified, refusal
from ci_server.authentication import AnyConnection
from ci_server.handshakes import refuse_handshake
from ci_server.origins import refuse_other_machines
from ci_server.refusals import note_bad_credential
from ci_server.request_limits import limits_of

ACTION_KEY = "action"
"""What every handler declares in its decorator: which ``Action`` it is."""


def action_of(handler: BaseRouteHandler) -> Action:
    """Return the action that a route declares. Raises ``KeyError`` if it declares none."""
    return Action(handler.opt[ACTION_KEY])


def guarded(app: ASGIApp) -> ASGIApp:
    """Return ``app`` behind the question who asks, and whether there is anything for them."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        connection: AnyConnection = ASGIConnection[Any, Any, Any, Any](scope, receive, send)
        try:
            await admit(connection, action_of(scope["route_handler"]))
        except CIError as error:
            if scope["type"] != ScopeType.WEBSOCKET:
                raise
            await refuse_handshake(scope, send, error)
        else:
            await app(scope, receive, send)

    return serve


async def admit(connection: AnyConnection, action: Action) -> None:
    """Return if who asks may do ``action`` to something, if not to everything.

    What is for anybody is not even asked who asks: it answers when nothing else does.
    A request is counted for its credential, or, without a good one, for its address.

    Raises:
        NotSignedIn: it is not known who asks, or a credential is not good.
        PermissionDenied: whoever asks has no role, or no scope, for it at all.
        RateLimited: its client has sent too many, or too many credentials that are not good.

    """
    scope, limits = connection.scope, limits_of(connection.scope)
    if action is Action.BE_THERE:
        limits.take(scope)
        return
    try:
        actor = await identified(connection)
    except (NotSignedIn, InvalidRequest) as error:
        limits.take(scope)
        if isinstance(error, NotSignedIn):
            note_bad_credential(scope)
            limits.take_failure(scope)
        raise
    limits.take(scope, _counted_as(actor))
    if actor.unlimited:
        refuse_other_machines(connection)
    if not could(actor, action):
        raise refusal(actor, action)


def _counted_as(actor: Actor) -> str | None:
    """Return what an actor's requests are counted by; None for the address they come from.

    Who has a key can make itself any number of sessions and tokens: they count as its user.
    """
    if actor.unlimited or actor.is_anonymous:
        return None
    if actor.credential is Credential.KEY:
        return f"key {actor.credential_id}"
    return f"user {actor.user_id}"
