"""What the routes ask of a provider."""

from dataclasses import dataclass

from ci_common.accounts import User
from ci_server.sign_in.oidc.flow import Flow
from ci_server.sign_in.oidc.people import People
from ci_server.sign_in.oidc.provider import Provider


@dataclass(frozen=True, slots=True)
class OidcSignIn:
    """Leads users through a provider. ``label`` is what people call it."""

    label: str
    provider: Provider
    people: People

    async def begin(self, flow: Flow) -> str:
        """Return where the browser goes. Raises ``ProviderUnavailable``."""
        return await self.provider.authorization_url(flow)

    async def user_of(self, flow: Flow, code: str, issuer: str | None) -> User:
        """Return who came back. Raises ``SignInRefused``, ``ProviderUnavailable``."""
        return await self.people.user_of(await self.provider.identity(flow, code, issuer))

    async def connect(self, flow: Flow, user_id: str, code: str, issuer: str | None) -> User:
        """Have a user be known by who came back. Raises as ``user_of``."""
        identity = await self.provider.identity(flow, code, issuer)
        return await self.people.connect(user_id, identity)
