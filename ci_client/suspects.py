"""Files that may not have been meant to go up."""

from __future__ import annotations

from ci_client.terminal import count, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_client.files import Entry, Selection

LARGE_FILE = 50_000_000
"""Bytes beyond which a file is mentioned."""
_SECRETS = frozenset(
    {
        ".env",
        ".git-credentials",
        ".htpasswd",
        ".netrc",
        ".pgpass",
        ".pypirc",
        "credentials",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        "id_rsa",
    }
)
_SECRET_BEGINNINGS = (".env.", "credentials.", "secrets.")
_SECRET_ENDINGS = (".kdbx", ".key", ".keystore", ".p12", ".pem", ".pfx")
_TEMPLATES = (".example", ".sample", ".template", ".dist", ".py", ".pub")
_SHOWN = 5


def warnings_about(selection: Selection) -> Iterator[str]:
    """Yield a sentence for each kind of suspicious file that would go up."""
    secrets = [entry for entry in selection.entries if looks_secret(entry.name)]
    if secrets:
        verb = "looks" if len(secrets) == 1 else "look"
        yield f"{_listing(secrets)} {verb} secret and will go up; .ciignore can leave files out"
    large = [entry for entry in selection.entries if entry.size > LARGE_FILE]
    if large:
        yield f"large: {_listing(large, sizes=True)}; .ciignore can leave files out"
    yield from _environments(selection)


def looks_secret(name: str) -> bool:
    """Return whether the name of a file suggests that it is a secret."""
    base = name.rpartition("/")[2].lower()
    if base.endswith(_TEMPLATES):
        return False
    return (
        base in _SECRETS
        or base.startswith(_SECRET_BEGINNINGS)
        or base.endswith(_SECRET_ENDINGS)
        or (base.startswith("service-account") and base.endswith(".json"))
    )


def _environments(selection: Selection) -> Iterator[str]:
    for entry in selection.entries:
        if entry.name.endswith("/pyvenv.cfg"):
            folder = entry.name.removesuffix("pyvenv.cfg")
            files = sum(other.name.startswith(folder) for other in selection.entries)
            yield (
                f"{printable(folder)} is a virtual environment that git does not ignore: "
                f"{count(files, 'file')} for nothing; add it to .gitignore"
            )


def _listing(entries: list[Entry], *, sizes: bool = False) -> str:
    shown = [
        printable(entry.name) + (f" ({entry.size / 1_000_000:,.0f} MB)" if sizes else "")
        for entry in entries[:_SHOWN]
    ]
    more = len(entries) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
