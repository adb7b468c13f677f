"""A server that others can reach has accounts: whoever reaches one without runs code on it."""

import logging
from urllib.parse import urlsplit

from ci_common.errors import ConfigurationError
from ci_server.authentication import Authentication
from ci_server.settings import Settings, is_loopback

OPEN_WARNING = (
    "there are no accounts, and by --let-anyone-run-code whoever reaches this server can run "
    "anything here; CI_ACCOUNTS=on ends that"
)

_logger = logging.getLogger(__name__)

_WAYS_OUT = (
    "Set CI_ACCOUNTS=on, and make the first admin with the link that the server then logs; or "
    "keep to this machine: {alone}; or let whoever reaches the server run anything as they like: "
    "--let-anyone-run-code."
)


async def refuse_exposed(settings: Settings, host: str, authentication: Authentication) -> None:
    """Return if accounts are in force, or only this machine can reach the server at ``host``.

    A proxy, and a name of the server for others, say that it is reached through this machine.

    Raises:
        ConfigurationError: others could run code here.

    """
    if await authentication.in_force():
        return
    if settings.let_anyone_run_code:
        _logger.warning("%s", OPEN_WARNING)
        return
    if not is_loopback(host):
        raise _refused(
            f"CI_HOST: a server without accounts must not listen on {host}",
            "CI_HOST=127.0.0.1 (`ci serve` without --host)",
        )
    if settings.trusted_proxies:
        raise _refused(
            "CI_TRUSTED_PROXIES: a server without accounts must not be behind a proxy",
            "unset CI_TRUSTED_PROXIES and stop the proxy",
        )
    if settings.public_url and not is_loopback(urlsplit(settings.public_url).hostname or ""):
        raise _refused(
            f"CI_PUBLIC_URL: a server without accounts must not be at {settings.public_url}",
            "unset CI_PUBLIC_URL, and let no proxy lead there",
        )


def _refused(what: str, alone: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what}: whoever reaches it could run anything here", hint=_WAYS_OUT.format(alone=alone)
    )
