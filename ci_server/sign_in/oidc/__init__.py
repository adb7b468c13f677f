"""Signing in with an OpenID Connect provider: the authorization code flow with PKCE."""

from ci_server.sign_in.oidc.flow import Flow
from ci_server.sign_in.oidc.people import People, PeopleRules
from ci_server.sign_in.oidc.provider import Identity, Provider, ProviderSettings
from ci_server.sign_in.oidc.sign_in import OidcSignIn

__all__ = [
    "Flow", "Identity", "OidcSignIn", "People", "PeopleRules", "Provider", "ProviderSettings",
]  # fmt: skip
