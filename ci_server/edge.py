"""What is done with every request before anybody knows what it is about."""

from ci_server.clients import ProxyTrust
from ci_server.cors import AllowedOrigins
from ci_server.settings import Settings


class Edge:
    """Whom to believe, who may come, and whether it is noted."""

    def __init__(self, settings: Settings) -> None:
        self.proxies = ProxyTrust(settings.trusted_proxies)
        self.origins = AllowedOrigins(settings.cors_origins)
        self.logs_access = settings.access_log
