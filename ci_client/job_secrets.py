"""What a server can be asked for about secrets; and where a value comes from."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode

from ci_client.session import Session
from ci_client.table import aligned, time_of
from ci_common.errors import InvalidRequest
from ci_common.job_secrets import LARGEST_VALUE, check_secret_value

SecretDict = dict[str, Any]
"""A secret without its value, as ``ci_common.api.job_secrets`` has it."""


class SecretCalls:
    """The calls, through a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, project: str | None) -> list[SecretDict]:
        """Return the secrets, of one project or of all."""
        query = "" if project is None else f"?{urlencode({'project': project})}"
        found: list[SecretDict] = self._session.manage("GET", f"/secrets{query}")
        return found

    def set(self, name: str, project: str, value: str) -> SecretDict:
        """Keep a value; return what may be seen of the secret.

        Raises ``InvalidRequest``, without a request, for what cannot be one.
        """
        check_secret_value(value)
        found: SecretDict = self._session.manage("PUT", _path(name, project), {"value": value})
        return found

    def remove(self, name: str, project: str) -> None:
        """Remove a secret."""
        self._session.manage("DELETE", _path(name, project))


def value_from_file(path: Path) -> str:
    """Return the value in a file, as it is. Raises ``InvalidRequest``."""
    try:
        with path.open("rb") as file:
            return _text(file.read(LARGEST_VALUE + 1), str(path))
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be read: {error.strerror}", hint="Name another file."
        ) from error


def value_from_stdin(stream: IO[bytes]) -> str:
    """Return the value that comes from a pipe, without the newline that ends it."""
    text = _text(stream.read(LARGEST_VALUE + 2), "what came on stdin")
    return text.removesuffix("\n").removesuffix("\r")


def secrets_table(secrets: Sequence[SecretDict]) -> list[str]:
    """Return lines that show secrets. Those of all projects have ``-`` for one."""
    with_organisation = any(each["organisation"] for each in secrets)
    head = ["NAME", "PROJECT", *(["ORGANISATION"] if with_organisation else []), "SET AT"]
    rows = [
        [
            each["name"],
            each["project"] or "-",
            *([each["organisation"]] if with_organisation else []),
            time_of(each["updated_at"]),
        ]
        for each in secrets
    ]
    return aligned([head, *rows]) if rows else []


def _text(data: bytes, source: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"{source} is not text in UTF-8", hint="Encode it, for example: base64 FILE."
        ) from None


def _path(name: str, project: str) -> str:
    query = f"?{urlencode({'project': project})}" if project else ""
    return f"/secrets/{quote(name, safe='')}{query}"
