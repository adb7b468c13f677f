"""API keys, and who one is, as lines of text."""

from collections.abc import Mapping, Sequence
from typing import Any

from ci_client.table import aligned, time_of
from ci_client.terminal import printable

_KEYS = ("KEY", "NAME", "BEGINS", "STATE", "SCOPES", "FOR", "EXPIRES", "LAST USED")


def keys_table(keys: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a header and a line for each key, aligned; nothing for none."""
    return aligned([_KEYS, *map(_key, keys)]) if keys else []


def whoami_lines(who: Mapping[str, Any], server: str) -> list[str]:
    """Return what there is to know of whoever asks, one fact a line."""
    roles = (f"{each['organisation']} ({each['role']})" for each in who["organisations"])
    facts = {
        "server": server,
        "user": who.get("user"),
        "server admin": "yes" if who.get("server_admin") else None,
        "organisations": ", ".join(roles),
        "scopes": ", ".join(who["scopes"]),
        "key": _named(who),
        "expires": ends(who.get("key_expires_at")) if who.get("key_id") else None,
    }
    shown = {name: printable(str(fact)) for name, fact in facts.items() if fact}
    width = max(map(len, shown))
    return [f"{name.ljust(width)}  {fact}" for name, fact in shown.items()]


def ends(expires_at: object) -> str:
    """Return when a key ends."""
    return time_of(expires_at) or "never"


def _named(who: Mapping[str, Any]) -> str | None:
    return f"{who['key_id']} ({who.get('key_name')})" if who.get("key_id") else None


def _key(key: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(key["id"]),
        printable(str(key["name"])),
        str(key["hint"]),
        str(key["state"]),
        ",".join(key["scopes"]),
        str(key.get("organisation") or "all"),
        ends(key.get("expires_at")),
        time_of(key.get("last_used_at")) or "never",
    )
