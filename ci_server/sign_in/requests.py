"""What routes and pages do alike: each step of signing in, held against the request it is of."""

from typing import TypeVar

from litestar.response import Response

from ci_common.access import Action, Actor, Credential, OfUser
from ci_common.accounts import User
from ci_common.audit import AuditedAction, Outcome
from ci_common.errors import InvalidRequest, LinkNotGood, NotSignedIn, PermissionDenied, RateLimited
from ci_common.sign_in import SignInMethod
from ci_server.access import actor_of, require
from ci_server.audit import audit
from ci_server.clients import client_address
from ci_server.parts import parts_of
from ci_server.sign_in import cookies, csrf
from ci_server.sign_in.cookies import Connection
from ci_server.sign_in.service import SignIn
from ci_server.sign_in.sessions import Caller, Opened

T = TypeVar("T")


def service_of(connection: Connection) -> SignIn:
    """Return what signs in at the server of a request."""
    return parts_of(connection.app.state).sign_in


def caller_of(connection: Connection) -> Caller:
    """Return who is at the other end of a request."""
    return Caller(client_address(connection), connection.headers.get("user-agent", ""))


async def signed_in(connection: Connection, name: str, password: str) -> tuple[User, Opened]:
    """Open a session by name and password, and write down how that went.

    Raises:
        PermissionDenied: not over a connection that is safe, or from a page of another site.
        NotSignedIn, RateLimited: as ``SignIn.with_password``.

    """
    _require_safe_page(connection)
    try:
        user, opened = await service_of(connection).with_password(
            name, password, caller_of(connection)
        )
    except (NotSignedIn, RateLimited) as error:
        # Not what was typed: it may have been a password.
        await audit(connection, AuditedAction.SIGN_IN, outcome=Outcome.REFUSED, detail=error.detail)
        raise
    await noted_sign_in(connection, user, opened)
    return user, opened


async def noted_sign_in(connection: Connection, user: User, opened: Opened) -> None:
    """Write down that a user has signed in."""
    await audit(
        connection,
        AuditedAction.SIGN_IN,
        f"user {user.name}",
        detail=opened.session.method.value,
        actor=_actor_by(user, opened),
    )


async def signed_out(connection: Connection) -> None:
    """End the session of a request, if it is of one."""
    actor = actor_of(connection)
    if actor.credential is not Credential.SESSION:
        raise InvalidRequest(
            "this request is of no session",
            hint="A key ends when it is revoked (ci key revoke), a token by itself.",
        )
    await service_of(connection).store.end_session(actor.user_id, actor.credential_id)
    await audit(connection, AuditedAction.SIGN_OUT, f"user {actor.name}")


async def others_ended(connection: Connection) -> None:
    """End all sessions of a request's user but its own."""
    actor = actor_of(connection)
    await service_of(connection).store.end_sessions(actor.user_id, but=actor.credential_id)
    await audit(connection, AuditedAction.SESSION_END, f"other sessions of {actor.name}")


async def password_changed(connection: Connection, password: str, new: str) -> Opened:
    """Give the user of a request another password; return a new session, the only one there is.

    Raises:
        InvalidRequest: the new one will not do.
        PermissionDenied: the present one is wrong; or not over this connection.
        RateLimited: as ``SignIn.with_password``.

    """
    _require_safe_page(connection)
    actor, caller = actor_of(connection), caller_of(connection)
    require(connection, Action.MANAGE_OWN_KEYS, OfUser(actor.user_id))
    service = service_of(connection)
    try:
        await service.change_password(actor.name, password, new, caller)
    except NotSignedIn:
        await audit(
            connection,
            AuditedAction.PASSWORD_CHANGE,
            f"user {actor.name}",
            outcome=Outcome.REFUSED,
        )
        raise PermissionDenied("password: that is not your present one") from None
    await audit(connection, AuditedAction.PASSWORD_CHANGE, f"user {actor.name}")
    user = await service.accounts.user(actor.user_id)
    return await service.open(user, SignInMethod.PASSWORD, caller)


async def password_set(
    connection: Connection, link: str, password: str, name: str
) -> tuple[User, Opened]:
    """Set a password by a link, and open a session.

    Raises:
        PermissionDenied: not over a connection that is safe, or from a page of another site.
        LinkNotGood, InvalidRequest, RateLimited: as ``PasswordLinks.set_password``.

    """
    _require_safe_page(connection)
    try:
        user, opened = await service_of(connection).with_link(
            link, password, caller_of(connection), name=name
        )
    except LinkNotGood as error:
        await audit(
            connection, AuditedAction.PASSWORD_CHANGE, outcome=Outcome.REFUSED, detail=error.detail
        )
        raise
    by = _actor_by(user, opened)
    await audit(connection, AuditedAction.PASSWORD_CHANGE, f"user {user.name}", actor=by)
    await noted_sign_in(connection, user, opened)
    return user, opened


def keep_session(response: Response[T], connection: Connection, opened: Opened) -> None:
    """Have an answer set the cookie of a new session."""
    lifetime = service_of(connection).sessions.lifetime
    cookies.set_on(response, connection, cookies.SESSION, opened.secret, keep=lifetime)


def _require_safe_page(connection: Connection) -> None:
    cookies.require_safe(connection)
    csrf.require_own_page(connection)


def _actor_by(user: User, opened: Opened) -> Actor:
    return Actor(
        user_id=user.id,
        name=user.name,
        credential=Credential.SESSION,
        credential_id=opened.session.id,
    )
