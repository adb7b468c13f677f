"""A provider: what it announces, and what of its answers is believed."""

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from ci_common.clock import Clock
from ci_common.errors import ProviderUnavailable, SignInRefused
from ci_server.settings import is_loopback
from ci_server.sign_in.oidc.flow import Flow

if TYPE_CHECKING:
    import jwt

ALGORITHMS = (
    "EdDSA", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512",
)  # fmt: skip
"""Signatures with a public key; of these only what the provider announces is taken."""

_KEPT_FOR = timedelta(hours=1)
_KEYS_AT_MOST_EVERY = timedelta(seconds=30)
"""Keys are fetched anew for an unknown one, however many tokens name such."""

_LEEWAY = 60.0
_REQUIRED = ["iss", "sub", "aud", "exp", "iat", "nonce"]
_BASIC, _POST = "client_secret_basic", "client_secret_post"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Which provider, and what we are to it. ``redirect_uri`` is where it sends users back."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: Sequence[str]
    redirect_uri: str
    userinfo_for: frozenset[str] = frozenset()
    """Claims that are asked for where the ID token lacks them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is to a provider: ``subject`` never changes there; all else is its say."""

    issuer: str
    subject: str
    claims: Mapping[str, Any]


@dataclass(slots=True)
class _Known:
    """What was fetched last, and when."""

    metadata: Mapping[str, Any] | None = None
    fetched: datetime | None = None
    keys: "jwt.PyJWKSet | None" = None
    keys_fetched: datetime | None = None


class Provider:
    """One provider, for one server process.

    Every method may raise ``ProviderUnavailable``: it cannot be reached, or does
    not keep to the protocol.
    """

    def __init__(self, settings: ProviderSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._known = _Known()
        self._fetching = asyncio.Lock()

    async def authorization_url(self, flow: Flow) -> str:
        """Return where a browser is sent to sign in."""
        metadata = await self._metadata()
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": flow.challenge,
            "code_challenge_method": "S256",
        }
        endpoint = _endpoint(metadata, "authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def identity(self, flow: Flow, code: str, issuer: str | None) -> Identity:
        """Redeem the code of an answer; return who signed in.

        ``issuer`` is what the answer says of where it is from, None if nothing (RFC 9207).

        Raises:
            SignInRefused: the answer, or the ID token, is not to be believed.

        """
        metadata = await self._metadata()
        said = metadata.get("authorization_response_iss_parameter_supported") is True
        if (issuer is None and said) or issuer not in {None, self._settings.issuer}:
            raise SignInRefused("the answer is from another provider")
        tokens = await self._redeem(metadata, flow, code)
        claims = await self._verified(metadata, str(tokens.get("id_token", "")), flow.nonce)
        if not self._settings.userinfo_for <= claims.keys():
            claims = await self._completed(metadata, claims, str(tokens.get("access_token", "")))
        return Identity(self._settings.issuer, claims["sub"], claims)

    async def _redeem(self, metadata: Mapping[str, Any], flow: Flow, code: str) -> dict[str, Any]:
        from ci_server.sign_in.oidc import http

        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._settings.redirect_uri,
            "code_verifier": flow.verifier,
        }
        headers = {}
        ours, secret = self._settings.client_id, self._settings.client_secret
        methods = metadata.get("token_endpoint_auth_methods_supported", [_BASIC])
        if not secret:
            fields["client_id"] = ours
        elif _BASIC in methods or _POST not in methods:
            headers["Authorization"] = _basic(ours, secret)
        else:
            fields |= {"client_id": ours, "client_secret": secret}
        endpoint = _endpoint(metadata, "token_endpoint")
        status, answer = await http.post(endpoint, fields, headers)
        if status != 200:
            # Of the caller's making as a rule: a code that was used, or is over.
            raise SignInRefused(f"the provider refuses the code: {_error_of(answer, status)}")
        return answer

    async def _verified(
        self, metadata: Mapping[str, Any], id_token: str, nonce: str
    ) -> Mapping[str, Any]:
        """Return the claims of an ID token for us, in answer to what we asked."""
        import jwt

        announced = metadata.get("id_token_signing_alg_values_supported", ["RS256"])
        taken = [name for name in ALGORITHMS if name in announced]
        try:
            claims: dict[str, Any] = jwt.decode(
                id_token,
                await self._key_of(metadata, id_token),
                algorithms=taken,
                audience=self._settings.client_id,
                issuer=self._settings.issuer,
                leeway=_LEEWAY,
                options={"require": _REQUIRED},
            )
        except jwt.InvalidTokenError as error:
            raise SignInRefused(f"the provider's ID token is not good: {error}") from None
        if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
            raise SignInRefused("the provider's ID token is in answer to something else")
        if claims.get("azp", self._settings.client_id) != self._settings.client_id:
            raise SignInRefused("the provider's ID token is for another client")
        return claims

    async def _completed(
        self, metadata: Mapping[str, Any], claims: Mapping[str, Any], token: str
    ) -> Mapping[str, Any]:
        """Return the claims with those that only the UserInfo endpoint tells."""
        from ci_server.sign_in.oidc import http

        if "userinfo_endpoint" not in metadata or not token:
            return claims
        more = await http.get(_endpoint(metadata, "userinfo_endpoint"), token=token)
        if more.get("sub") != claims["sub"]:
            raise SignInRefused("the provider tells of somebody else")
        return {**more, **claims}

    async def _key_of(self, metadata: Mapping[str, Any], id_token: str) -> "jwt.PyJWK":
        import jwt

        name = jwt.get_unverified_header(id_token).get("kid")
        for every in (_KEPT_FOR, _KEYS_AT_MOST_EVERY):
            keys = (await self._keys(metadata, every)).keys
            fitting = [key for key in keys if name in {None, key.key_id}]
            if len(fitting) == 1:
                return fitting[0]
        raise SignInRefused("the provider's ID token is signed with a key that it does not publish")

    async def _metadata(self) -> Mapping[str, Any]:
        from ci_server.sign_in.oidc import http

        async with self._fetching:
            known = self._known
            if known.metadata is None or self._is_older(known.fetched, _KEPT_FOR):
                issuer = self._settings.issuer
                where = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
                found = await http.get(where)
                if found.get("issuer") != issuer:
                    raise ProviderUnavailable(f"{where} is of another issuer than {issuer}")
                known.metadata, known.fetched = found, self._clock.now().wall
            return known.metadata

    async def _keys(self, metadata: Mapping[str, Any], every: timedelta) -> "jwt.PyJWKSet":
        import jwt

        from ci_server.sign_in.oidc import http

        async with self._fetching:
            known = self._known
            if known.keys is None or self._is_older(known.keys_fetched, every):
                found = await http.get(_endpoint(metadata, "jwks_uri"))
                try:
                    known.keys = jwt.PyJWKSet.from_dict(found)
                except jwt.PyJWTError as error:
                    raise ProviderUnavailable(
                        f"the provider's keys cannot be read: {error}"
                    ) from None
                known.keys_fetched = self._clock.now().wall
            return known.keys

    def _is_older(self, moment: datetime | None, age: timedelta) -> bool:
        return moment is None or not timedelta() <= self._clock.now().wall - moment < age


def is_safe(url: str) -> bool:
    """Return whether nobody can listen to what is said to a provider at ``url``."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _endpoint(metadata: Mapping[str, Any], name: str) -> str:
    url = metadata.get(name)
    if not isinstance(url, str) or not is_safe(url):
        raise ProviderUnavailable(f"the provider announces no {name} that is safe")
    return url


def _basic(client_id: str, secret: str) -> str:
    import base64

    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _error_of(answer: Mapping[str, Any], status: int) -> str:
    return str(answer.get("error") or f"status {status}")[:100]
