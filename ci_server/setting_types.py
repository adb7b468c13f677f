"""The kinds of values that settings have, and how text becomes one."""

import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from ci_common.access import Role
from ci_common.quantities import parse_bytes, parse_seconds
from ci_common.webhooks.destination import read_allowed

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CAPABILITY = re.compile(r"(CAP_)?[A-Z_]+")


SERVER_ADMIN = "server-admin"
"""What a group is mapped to whose members are admins of the server."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Marks what a number counts, so that it is written with a unit again."""

    name: str


SIZE = Kind("size")
DURATION = Kind("duration")


class Secret:
    """Marks a setting whose value is never shown, and may be read from a file (``…_FILE``)."""


SECRET = Secret()


def is_loopback(host: str) -> bool:
    """Return whether ``host`` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _from_text(parse: Callable[[str], object]) -> BeforeValidator:
    # What is not text, a default or a test's number, is left to the type check that follows.
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def split_names(text: str) -> tuple[str, ...]:
    """Return what stands between commas, or on lines."""
    return tuple(filter(None, (name.strip() for name in re.split(r"[,\n]", text))))


def parse_environment(text: str) -> dict[str, Any]:
    """Return the variables of ``K=V`` pairs on lines or between commas, or of a JSON object.

    Raises:
        ValueError: neither of these.

    """
    if text.lstrip().startswith("{"):
        return _parse_json_object(text)
    pairs = text.splitlines() if "\n" in text else text.split(",")
    parsed = {}
    for number, pair in enumerate(filter(str.strip, pairs), 1):
        name, equals, value = pair.partition("=")
        if not equals:
            # The text itself may be a secret.
            raise ValueError(f"item {number} has no '='; write NAME=value,OTHER=value")
        parsed[name.strip()] = value.strip()
    return parsed


def _parse_json_object(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError:
        raise ValueError("begins like a JSON object but is none") from None
    return dict(parsed)


def _check_environment(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not _VARIABLE.fullmatch(name) or "\0" in text:
            raise ValueError(f"{name!r} is not the name of an environment variable")
    return value


def _check_capabilities(names: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(name.upper() for name in names)
    for name in names:
        if not _CAPABILITY.fullmatch(name):
            raise ValueError(f"{name!r} is not a capability; write SYS_PTRACE,NET_ADMIN")
    return names


def _check_networks(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        try:
            ipaddress.ip_network(name)
        except ValueError:
            raise ValueError(
                f"{name!r} is no address and no network; write 10.0.0.5,192.168.0.0/16"
            ) from None
    return names


def _check_destinations(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        read_allowed(name)
    return names


def _check_origins(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_checked_origin(name) for name in names)


def _checked_origin(name: str) -> str:
    origin = name.lower().removesuffix("/")
    parts = urlsplit(origin)
    exact = origin == f"{parts.scheme}://{parts.netloc}" and "@" not in origin
    if not exact or parts.scheme not in {"http", "https"} or not parts.hostname or "*" in origin:
        raise ValueError(
            f"{name!r} is not the origin of pages; write each in full, without a path: "
            "https://ci.example"
        )
    return origin


def _check_issuer(url: str) -> str:
    parts = urlsplit(url)
    at_home = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if url and not (parts.hostname and (parts.scheme == "https" or at_home)):
        raise ValueError(f"{url!r} is not the https address of a provider")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{url!r} has more than a host and a path")
    return url


def _check_group_roles(groups: dict[str, str]) -> dict[str, str]:
    for group, given in groups.items():
        name, colon, role = given.rpartition(":")
        if given != SERVER_ADMIN and not (group and colon and name and role in set(Role)):
            raise ValueError(
                f"{group}={given} gives no role; write GROUP=ORGANISATION:ROLE with one of "
                f"{', '.join(Role)}, or GROUP={SERVER_ADMIN}"
            )
    return groups


Bytes = Annotated[int, SIZE, _from_text(parse_bytes), Field(gt=0)]
"""A size: ``512m``. At least 1."""

Room = Annotated[int, SIZE, _from_text(parse_bytes), Field(ge=0)]
"""A size of which 0 has a meaning of its own."""

Seconds = Annotated[float, DURATION, _from_text(parse_seconds), Field(gt=0, allow_inf_nan=False)]
"""A duration: ``10m``. More than 0."""

PauseSeconds = Annotated[
    float, DURATION, _from_text(parse_seconds), Field(ge=0, allow_inf_nan=False)
]
"""A duration of which 0 has a meaning of its own."""

Variables = Annotated[
    dict[str, str], _from_text(parse_environment), AfterValidator(_check_environment)
]
"""Environment variables: a table in YAML, else ``K=V`` pairs or a JSON object."""

Capabilities = Annotated[
    tuple[str, ...], _from_text(split_names), AfterValidator(_check_capabilities)
]
"""Names of Linux capabilities: a list in YAML, else separated by commas."""

Networks = Annotated[tuple[str, ...], _from_text(split_names), AfterValidator(_check_networks)]
"""Addresses and networks: a list in YAML, else separated by commas."""

Origins = Annotated[tuple[str, ...], _from_text(split_names), AfterValidator(_check_origins)]
"""Origins of web pages: a list in YAML, else separated by commas."""

Destinations = Annotated[
    tuple[str, ...], _from_text(split_names), AfterValidator(_check_destinations)
]
"""Networks and hosts: a list in YAML, else separated by commas."""

Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], _from_text(split_names)]
"""Names: a list in YAML, else separated by commas."""

Issuer = Annotated[str, AfterValidator(_check_issuer)]
"""The address by which an OpenID Connect provider is known."""

GroupRoles = Annotated[
    dict[str, str], _from_text(parse_environment), AfterValidator(_check_group_roles)
]
"""Roles by group: a table in YAML, else ``GROUP=ORGANISATION:ROLE`` pairs."""

Ports = Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], _from_text(split_names)]
"""TCP ports: a list in YAML, else separated by commas."""

Times = Annotated[tuple[Seconds, ...], _from_text(split_names)]
"""Durations: a list in YAML, else separated by commas."""
