"""Which server, which key, for which organisation, and who said so."""

from __future__ import annotations

import os

from ci_client.credentials import Credentials, origin_in
from ci_client.kept_keys import KeptKeys
from ci_client.project import checked_text, project_setting, read_toml
from ci_common.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SERVER_URL = "http://localhost:8000"
_APP = "standby-ci"


class Setting:
    """A value and where it comes from, in words.

    ``explicit``: it came with the command line, and so has to be repeated on the next one.
    ``by_project``: nobody but the project says so.
    """

    def __init__(
        self,
        value: str | None,
        origin: str,
        *,
        explicit: bool = False,
        by_project: bool = False,
    ) -> None:
        self.value = value
        self.origin = origin
        self.explicit = explicit
        self.by_project = by_project


class Sources:
    """Where settings are looked for, the first that has one wins.

    Flags, environment, the project around ``directory`` (no key), what ``ci login``
    keeps (a key), the user's own file.
    """

    def __init__(
        self,
        server_flag: str | None,
        key_flag: str | None,
        environ: Mapping[str, str],
        directory: str | os.PathLike[str],
        organisation_flag: str | None = None,
    ) -> None:
        self.server_flag = server_flag
        self.key_flag = key_flag
        self.environ = environ
        self.directory = directory
        self.organisation_flag = organisation_flag

    def server(self) -> Setting:
        """Return the server's address.

        Raises:
            ConfigurationError: a file that had to be read is wrong.

        """
        if self.server_flag:
            return Setting(self.server_flag, "--server", explicit=True)
        if named := self.environ.get("CI_SERVER_URL", "").strip():
            return Setting(named, "CI_SERVER_URL")
        if found := project_setting(self.directory, "server"):
            return Setting(*found, by_project=True)
        if own := self._user("server"):
            return Setting(own, user_file(self.environ))
        return Setting(DEFAULT_SERVER_URL, "default")

    def api_key(self, server: Setting) -> Setting:
        """Return the key to show to ``server``; ``value`` is None for no key.

        What is kept belongs to one server, that of ``ci login`` or the one in the
        user's file: a project that names another server must not get hold of it.
        What the environment has says nothing of a server, and so is for none that
        only the project knows.

        Raises:
            ConfigurationError: a file that had to be read is wrong, or it is not
                said that the server is to see the key.

        """
        if self.key_flag:
            return Setting(self.key_flag, "--api-key", explicit=True)
        if exported := self.environ.get("CI_API_KEY", "").strip():
            if server.by_project:
                self._require_known(server)
            return Setting(exported, "CI_API_KEY")
        kept = KeptKeys(credentials_file(self.environ)).find(server.value or "")
        if kept is not None:
            return Setting(*kept)
        origin = user_file(self.environ)
        key = self._user("api_key")
        if key is None:
            return Setting(None, "not set")
        home = self._user("server") or DEFAULT_SERVER_URL
        if server.value and server.value.rstrip("/") != home.rstrip("/"):
            return Setting(None, f"not used: the key in {origin} is for {home}")
        return Setting(key, origin)

    def _require_known(self, server: Setting) -> None:
        """Return if more than a project says that a server may see a key of the user's.

        Raises:
            ConfigurationError: that is not so, or the server's address is none.

        """
        from ci_client.connection import is_loopback_url

        url = server.value or ""
        kept = Credentials(credentials_file(self.environ)).find(url, even_if_shared=True)
        own = origin_in(self._user("server") or "")
        if is_loopback_url(url) or kept is not None or own == origin_in(url):
            return
        raise ConfigurationError(
            f"CI_API_KEY is set, and only {server.origin} says that {url} is to see it",
            hint=f"If you trust that server, say so: CI_SERVER_URL={url}, or --server {url}.",
        )

    def organisation(self) -> Setting:
        """Return whom what is asked for belongs to; ``value`` is None where nobody says.

        An empty flag says that it is to be none.

        Raises:
            ConfigurationError: a file that had to be read is wrong.

        """
        if self.organisation_flag is not None:
            return Setting(self.organisation_flag.strip() or None, "--org", explicit=True)
        if exported := self.environ.get("CI_ORGANISATION", "").strip():
            return Setting(exported, "CI_ORGANISATION")
        if found := project_setting(self.directory, "organisation"):
            return Setting(*found)
        own = self._user("organisation")
        return Setting(own, user_file(self.environ) if own else "not set")

    def _user(self, key: str) -> str | None:
        path = user_file(self.environ)
        value = read_toml(path, key).get(key)
        return None if value is None else checked_text(value, key, path)


def credentials_file(environ: Mapping[str, str]) -> str:
    """Return where the keys are that ``ci login`` keeps, existing or not."""
    return os.path.join(os.path.dirname(user_file(environ)), "credentials")


def user_file(environ: Mapping[str, str]) -> str:
    """Return where the user's own settings are, existing or not."""
    base = environ.get("XDG_CONFIG_HOME") or ""
    # The XDG rules: a relative path there is to be ignored.
    folder = base if os.path.isabs(base) else os.path.expanduser("~/.config")
    return os.path.join(folder, _APP, "config.toml")


def masked(key: str) -> str:
    """Return a key as it may be shown: of one of ours what the server's lists show too."""
    from ci_common.api_keys import hint_of, is_whole

    if is_whole(key):
        return f"{hint_of(key)}…"
    return f"…{key[-4:]}" if len(key) >= 16 else "…"


def key_from_stdin(line: str) -> str:
    """Return the key that was piped in.

    Raises:
        ConfigurationError: there is none.

    """
    key = line.strip()
    if not key:
        raise ConfigurationError(
            "no API key came on stdin",
            hint="Pipe it in: ci login < keyfile, or ci --api-key - … < keyfile",
        )
    return key
