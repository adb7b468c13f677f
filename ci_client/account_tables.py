"""Users, organisations and members, as lines of text."""

from collections.abc import Mapping, Sequence
from typing import Any

from ci_client.table import aligned, time_of
from ci_client.terminal import printable
from ci_common.quantities import format_bytes

_Row = Mapping[str, Any]

_USERS = ("USER", "STATE", "ORGANISATIONS", "EMAIL", "LAST SIGN-IN")
_ORGANISATIONS = ("ORGANISATION", "RUNNING", "QUEUED", "PROJECTS", "ARTIFACTS", "MADE")
_MEMBERS = ("USER", "ROLE", "")
_DEFAULT = "default"


def users_table(users: Sequence[_Row]) -> list[str]:
    """Return a header and a line for each user, aligned; nothing for none."""
    return aligned([_USERS, *map(_user, users)]) if users else []


def user_lines(user: _Row) -> list[str]:
    """Return what there is to know of a user, one fact a line."""
    facts = {
        "user": user["name"],
        "id": user["id"],
        "state": state_of_user(user),
        "email": user["email"],
        "organisations": _roles(user),
        "made": time_of(user["created_at"]),
        "disabled": time_of(user["disabled_at"]),
        "last sign-in": time_of(user["last_sign_in"]),
        "signs in at": user["signs_in_at"],
        "password": "set" if user["has_password"] else "none",
    }
    shown = {name: printable(str(fact)) for name, fact in facts.items() if fact}
    width = max(map(len, shown))
    return [f"{name.ljust(width)}  {fact}" for name, fact in shown.items()]


def state_of_user(user: _Row) -> str:
    """Return what a user is on the server, in a word or two."""
    if user["disabled_at"]:
        return "disabled"
    return "server admin" if user["server_admin"] else "active"


def organisations_table(organisations: Sequence[_Row]) -> list[str]:
    """Return a header and a line for each organisation, aligned; nothing for none."""
    rows = map(_organisation, organisations)
    return aligned([_ORGANISATIONS, *rows]) if organisations else []


def members_table(members: Sequence[_Row]) -> list[str]:
    """Return a header and a line for each member, aligned; nothing for none."""
    return aligned([_MEMBERS, *map(_member, members)]) if members else []


def _user(user: _Row) -> tuple[str, ...]:
    return (
        str(user["name"]),
        state_of_user(user),
        _roles(user),
        printable(str(user["email"])),
        time_of(user["last_sign_in"]),
    )


def _roles(user: _Row) -> str:
    return ", ".join(f"{name} ({role})" for name, role in user["organisations"].items())


def _organisation(organisation: _Row) -> tuple[str, ...]:
    return (
        str(organisation["name"]),
        _quota(organisation["max_running"], str),
        _quota(organisation["max_queued"], str),
        _quota(organisation["max_project_bytes"], format_bytes),
        _quota(organisation["max_artifact_bytes"], format_bytes),
        time_of(organisation["created_at"]),
    )


def _quota(value: int | None, show: Any) -> str:  # noqa: ANN401 -- of an int, a str
    return _DEFAULT if value is None else str(show(value))


def _member(member: _Row) -> tuple[str, ...]:
    return str(member["name"]), str(member["role"]), "disabled" if member["disabled"] else ""
