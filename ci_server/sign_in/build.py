"""Signing in, put together as the settings have it."""

from datetime import timedelta

from ci_common.accounts import AccountStore
from ci_common.clock import Clock
from ci_common.errors import ConfigurationError
from ci_common.sign_in import SignInStore
from ci_server.settings import Settings
from ci_server.sign_in.links import PasswordLinks
from ci_server.sign_in.oidc import OidcSignIn, People, PeopleRules, Provider, ProviderSettings
from ci_server.sign_in.passwords import Passwords
from ci_server.sign_in.service import SignIn
from ci_server.sign_in.sessions import Sessions
from ci_server.sign_in.signing_keys import KeyFiles, SigningKeys
from ci_server.sign_in.tokens import Tokens

OIDC_ANSWER = "/sign-in/oidc/answer"
"""Where a provider sends people back to."""

_ISSUER = "standby-ci"
"""What tokens say they are from where a server has no address of its own."""


def build_sign_in(
    settings: Settings, accounts: AccountStore, store: SignInStore, files: KeyFiles, clock: Clock
) -> SignIn:
    """Return what signs people in; ``close`` its passwords in the end.

    Raises:
        ConfigurationError: settings for the provider are missing.

    """
    passwords = Passwords()
    issuer = settings.public_url.rstrip("/") or _ISSUER
    return SignIn(
        accounts=accounts,
        store=store,
        passwords=passwords,
        sessions=Sessions(
            store,
            clock,
            idle=timedelta(seconds=settings.session_idle_timeout),
            lifetime=timedelta(seconds=settings.session_lifetime),
        ),
        links=PasswordLinks(store, accounts, passwords, clock),
        tokens=Tokens(SigningKeys(files, clock), clock, issuer=issuer),
        clock=clock,
        oidc=_oidc(settings, accounts, clock) if settings.oidc_issuer else None,
    )


def _oidc(settings: Settings, accounts: AccountStore, clock: Clock) -> OidcSignIn:
    for field in ("public_url", "oidc_client_id"):
        if not getattr(settings, field):
            raise ConfigurationError(
                f"CI_{field.upper()}: CI_OIDC_ISSUER is set, and needs it as well",
                hint="docs/sign-in.md has an example.",
            )
    if "openid" not in settings.oidc_scopes:
        raise ConfigurationError("CI_OIDC_SCOPES: openid is missing", hint="Add it.")
    rules = PeopleRules(
        name_claim=settings.oidc_name_claim,
        groups_claim=settings.oidc_groups_claim,
        groups=settings.oidc_groups,
        domains=tuple(name.lower() for name in settings.oidc_domains),
        creates=settings.oidc_create_users,
    )
    provider = ProviderSettings(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        scopes=settings.oidc_scopes,
        redirect_uri=settings.public_url.rstrip("/") + OIDC_ANSWER,
        userinfo_for=rules.claims,
    )
    people = People(accounts, clock, rules)
    return OidcSignIn(settings.oidc_label, Provider(provider, clock), people)
