"""Short-lived tokens (JWT, RFC 9068): who has one of ours needs nothing else for some minutes.

A token says who asks and what for, and names the key or session that it was got
with; whether that still is good, and what its user may do, is looked up.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ci_common.access import Credential, Scope
from ci_common.clock import Clock
from ci_common.errors import NotSignedIn
from ci_server.sign_in.signing_keys import ALGORITHM, SigningKeys

AUDIENCE = "standby-ci"
"""Whom our tokens are for. One that is for somebody else is none here."""

LONGEST_LIFE = timedelta(minutes=15)

_TYPE = "at+jwt"
_LEEWAY = 10
"""Seconds by which the clocks of two workers' machines may differ."""

_LONGEST = 4096
_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "jti", "client_id", "scope"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says. ``credential_id`` is of the key or the session it was got with."""

    user_id: str
    credential: Credential
    credential_id: str
    scopes: frozenset[Scope]
    organisation: str | None = None


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token, its id, and when it ends."""

    text: str
    id: str
    expires_at: datetime


class Tokens:
    """Makes and reads tokens. ``issuer`` is what they say of where they are from."""

    def __init__(self, keys: SigningKeys, clock: Clock, *, issuer: str) -> None:
        self.keys = keys
        self._clock = clock
        self._issuer = issuer

    async def issue(self, claims: Claims, life: timedelta) -> IssuedToken:
        """Return a new token that is good for ``life``, and no longer than fifteen minutes."""
        import jwt

        name, key = await self.keys.signing()
        now = self._clock.now().wall
        token_id, expires_at = secrets.token_hex(16), now + min(life, LONGEST_LIFE)
        said: dict[str, Any] = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": claims.user_id,
            "client_id": claims.credential_id,
            "got_with": claims.credential.value,
            "scope": " ".join(sorted(claims.scopes)),
            "iat": now,
            "exp": expires_at,
            "jti": token_id,
        }
        if claims.organisation is not None:
            said["org"] = claims.organisation
        header = {"kid": name, "typ": _TYPE}
        return IssuedToken(jwt.encode(said, key, ALGORITHM, headers=header), token_id, expires_at)

    async def read(self, text: str) -> Claims:
        """Return what a token of ours says.

        Raises:
            NotSignedIn: it is none of ours, or is over; the same words for all.

        """
        import jwt

        try:
            header = jwt.get_unverified_header(text[: _LONGEST + 1])
            key = await self.keys.verifying(_text(header, "kid"))
            if key is None or header.get("typ") != _TYPE or len(text) > _LONGEST:
                raise _not_good()
            said = jwt.decode(
                text,
                key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False},
            )
            self._require_time(said)
            return _claims(said)
        except (jwt.InvalidTokenError, ValueError):
            raise _not_good() from None

    def _require_time(self, said: Mapping[str, Any]) -> None:
        # By our clock, which tests own; the library reads the machine's.
        now = self._clock.now().wall.timestamp()
        began, ends = int(said["iat"]), int(said["exp"])
        if not began - _LEEWAY <= now < ends + _LEEWAY:
            raise _not_good()


def _claims(said: Mapping[str, Any]) -> Claims:
    return Claims(
        user_id=_text(said, "sub"),
        credential=Credential(_text(said, "got_with")),
        credential_id=_text(said, "client_id"),
        scopes=frozenset(map(Scope, _text(said, "scope").split())),
        organisation=_text(said, "org") if "org" in said else None,
    )


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is not text")  # noqa: TRY004 -- of what somebody sent
    return value


def _not_good() -> NotSignedIn:
    return NotSignedIn("the token is not good (any more)", hint="Get a new one: POST /api/v1/token")
