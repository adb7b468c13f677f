"""The little of kustomize that deploy/kubernetes uses: resources, and patches of RFC 6902."""

from pathlib import Path
from typing import Any

import yaml


def build(folder: Path) -> list[dict[str, Any]]:
    """Return the manifests that ``kubectl kustomize`` makes of a folder, in their order."""
    description = yaml.safe_load((folder / "kustomization.yaml").read_text())
    known = {"apiVersion", "kind", "namespace", "resources", "patches", "images"}
    assert set(description) <= known, "this reader does not know the rest"
    made: list[dict[str, Any]] = []
    for name in description["resources"]:
        path = folder / name
        made += build(path) if path.is_dir() else yaml.safe_load_all(path.read_text())
    for patch in description.get("patches", ()):
        target = patch["target"]
        (hit,) = [
            each
            for each in made
            if (each["kind"], each["metadata"]["name"]) == (target["kind"], target["name"])
        ]
        for operation in yaml.safe_load((folder / patch["path"]).read_text()):
            apply(hit, operation)
    return made


def apply(document: Any, operation: dict[str, Any]) -> None:
    """Apply one operation in place; what it replaces or removes has to be there."""
    *parents, last = [
        part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
    ]
    for part in parents:
        document = document[int(part) if isinstance(document, list) else part]
    if isinstance(document, list):
        _apply_to_list(document, last, operation)
    elif operation["op"] == "remove":
        del document[last]
    else:
        assert operation["op"] == "add" or last in document, operation
        document[last] = operation["value"]


def _apply_to_list(document: list[Any], last: str, operation: dict[str, Any]) -> None:
    if operation["op"] == "add":
        document.insert(len(document) if last == "-" else int(last), operation["value"])
    elif operation["op"] == "remove":
        del document[int(last)]
    else:
        document[int(last)] = operation["value"]
