"""Manifests and packs by hand."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.fakes.zips import honest_zip

SCOPE = "5c" * 32
WHEN = 1_748_779_200
"""2025-06-01 12:00:00 UTC, as in the zips."""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def row(path: str, content: bytes = b"x = 1\n", **said: Any) -> list[Any]:
    """A file's row; what is not said is right."""
    right = {"mode": "644", "modified": WHEN, "size": len(content), "sha256": sha256(content)}
    told = right | said
    return [path, told["mode"], told["modified"], told["size"], told["sha256"]]


def link_row(path: str, target: str) -> list[Any]:
    return [path, WHEN, target]


def manifest(files: Iterable[list[Any]], links: Iterable[list[Any]] = ()) -> bytes:
    return json.dumps({"files": list(files), "links": list(links)}).encode()


def manifest_of(files: Mapping[str, bytes]) -> bytes:
    return manifest(row(path, content) for path, content in files.items())


def pack(*contents: bytes) -> bytes:
    """A zip of contents, named as they have to be."""
    return honest_zip({sha256(content): content for content in contents})
