"""What one call of ``ci`` knows before its command begins."""

from __future__ import annotations

import sys
from functools import cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci_client.config import Setting
    from ci_client.session import Session
    from ci_client.terminal import Terminal


class Invocation:
    """The flags of the group, and where ``ci`` was called.

    ``directory`` is the folder whose project may name the server.
    """

    def __init__(
        self,
        server_flag: str | None,
        key_flag: str | None,
        terminal: Terminal,
        directory: str,
        environ: Mapping[str, str],
        organisation_flag: str | None = None,
    ) -> None:
        self.server_flag = server_flag
        self.key_flag = key_flag
        self.terminal = terminal
        self.directory = directory
        self.environ = environ
        self.organisation_flag = organisation_flag
        self._warned = False

    @cached_property
    def server(self) -> Setting:
        """The server's address."""
        return self._settings[0]

    @cached_property
    def api_key(self) -> Setting:
        """The key to show it."""
        return self._settings[1]

    @property
    def organisation(self) -> Setting:
        """Whom what is asked for belongs to."""
        return self._settings[2]

    @cached_property
    def _settings(self) -> tuple[Setting, Setting, Setting]:
        from ci_client.config import Sources, key_from_stdin

        key_flag = self.key_flag
        if key_flag == "-":
            key_flag = key_from_stdin(sys.stdin.readline())
        sources = Sources(
            self.server_flag, key_flag, self.environ, self.directory, self.organisation_flag
        )
        server = sources.server()
        return server, sources.api_key(server), sources.organisation()

    def inside(self, directory: str, organisation_flag: str | None = None) -> Invocation:
        """Return the same call with another project folder, and maybe for an organisation."""
        return Invocation(
            self.server_flag,
            self.key_flag,
            self.terminal,
            directory,
            self.environ,
            organisation_flag,
        )

    def showing(self, key: str) -> Invocation:
        """Return the same call with another key."""
        return Invocation(self.server.value, key, self.terminal, self.directory, self.environ)

    def connect(self) -> Session:
        """Return a session with the server, for ``with``."""
        from ci_client.connection import tells_key_to_listeners
        from ci_client.session import Session

        url, key = self.server.value or "", self.api_key.value
        if key and not self._warned and tells_key_to_listeners(url):
            self._warned = True
            self.terminal.warn(
                f"the API key goes to {url} unencrypted, for everybody on the way to read; "
                "use https"
            )
        organisation = self.organisation.value
        return Session(url, key, organisation=organisation, notify=self.terminal.note)

    def connect_to(self, server_url: str) -> Session:
        """Return a session with a server of our own, which has no accounts."""
        from ci_client.session import Session

        return Session(server_url, notify=self.terminal.note)

    def way_back_to(self, job_id: str) -> str:
        """Return the command line that shows a job whole, to its end."""
        return self.again("wait", job_id, "--all")

    def again(self, *words: str) -> str:
        """Return a command line that reaches the same server from the same place."""
        import shlex

        flags = ["--server", self.server.value or ""] if self.server.explicit else []
        return shlex.join(["ci", *flags, *words])
