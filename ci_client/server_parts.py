"""The server's own packages, which a machine that only submits does not have."""

from collections.abc import Iterator
from contextlib import contextmanager

from ci_common.errors import ConfigurationError


@contextmanager
def needing_server_parts() -> Iterator[None]:
    """Say what to install when an import of the server's parts fails.

    Raises:
        ConfigurationError: they are not installed.

    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the server's parts are not installed here ({error})",
            hint="Install them: pip install 'standby-ci[server]'",
        ) from error
