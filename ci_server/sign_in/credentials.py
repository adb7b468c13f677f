"""Sessions and tokens as credentials; see ``ci_server/authentication.py``."""

from dataclasses import replace

from litestar.enums import ScopeType

from ci_common.access import Actor, Credential
from ci_common.accounts import AccountStore, ApiKey, User
from ci_common.clock import Clock
from ci_common.errors import KeyNotFound, UserNotFound
from ci_server.authentication import AnyConnection, actor_of_key, bearer_token, refused
from ci_server.sign_in import cookies, csrf
from ci_server.sign_in.sessions import Sessions
from ci_server.sign_in.tokens import Claims, Tokens

FORM_KEY = "form"
"""What a handler declares whose form repeats the token: it compares it itself."""

_PARTS_OF_JWT = 3


class SessionCredentials:
    """Sessions: a cookie, and for what changes something the token that belongs to it."""

    def __init__(self, accounts: AccountStore, sessions: Sessions) -> None:
        self._accounts = accounts
        self._sessions = sessions

    async def actor(self, connection: AnyConnection) -> Actor | None:
        """Return whose session a request shows; None if it shows none, or a key or token besides.

        Raises:
            NotSignedIn: the session is over.
            PermissionDenied: a page of another site may be behind it.
            InvalidRequest: the header ``Authorization`` is not written as it has to be.

        """
        secret = cookies.read(connection, cookies.SESSION)
        # Who sends a key on purpose means it, whatever the browser adds.
        if secret is None or bearer_token(connection) is not None:
            return None
        session = await self._sessions.find(secret)
        if session is None:
            raise refused()
        _refuse_foreign(connection, secret)
        try:
            user = await self._accounts.user(session.user_id)
        except UserNotFound:
            raise refused() from None
        if user.disabled_at is not None:
            raise refused()
        return Actor(
            user_id=user.id,
            name=user.name,
            server_admin=user.server_admin,
            roles=user.roles,
            credential=Credential.SESSION,
            credential_id=session.id,
        )


class TokenCredentials:
    """Tokens: ``Authorization: Bearer`` and a JWT of ours."""

    def __init__(
        self, accounts: AccountStore, sessions: Sessions, tokens: Tokens, clock: Clock
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._tokens = tokens
        self._clock = clock

    async def actor(self, connection: AnyConnection) -> Actor | None:
        """Return whom a token is for, as far as it goes; None if a request shows none.

        Raises:
            NotSignedIn: it is not good, or what it was got with is not any more.
            InvalidRequest: the header is not written as it has to be.

        """
        shown = bearer_token(connection)
        if shown is None or len(shown.split(".")) != _PARTS_OF_JWT:
            return None
        claims = await self._tokens.read(shown)
        try:
            user = await self._accounts.user(claims.user_id)
            key = await self._got_with(claims, user)
        except (UserNotFound, KeyNotFound):
            raise refused() from None
        if user.disabled_at is not None or key.user_id != user.id:
            raise refused()
        if not key.is_good(self._clock.now().wall):
            raise refused()
        # As a key would be that is good for no more than the token.
        key = replace(
            key,
            scopes=key.scopes & claims.scopes,
            organisation=key.organisation or claims.organisation,
        )
        return replace(actor_of_key(key, user), credential=Credential.TOKEN)

    async def _got_with(self, claims: Claims, user: User) -> ApiKey:
        """Return the key of a token; for a session what would be one."""
        if claims.credential is Credential.KEY:
            return await self._accounts.key(claims.credential_id)
        session = await self._sessions.store.session(claims.credential_id)
        if session is None or not await self._sessions.is_good(session.id):
            raise refused()
        return ApiKey(
            id=session.id,
            user_id=session.user_id,
            name=user.name,
            hint="",
            created_at=session.created_at,
        )


def _refuse_foreign(connection: AnyConnection, secret: str) -> None:
    if connection.scope["type"] == ScopeType.WEBSOCKET:
        csrf.require_own_page(connection)
        return
    if connection.scope["method"] in csrf.SAFE_METHODS:
        return
    csrf.require_own_page(connection)
    if not connection.route_handler.opt.get(FORM_KEY):
        csrf.require_token(secret, connection.headers.get(csrf.HEADER))
