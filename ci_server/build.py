"""Which commit this is, where whoever built or installed it left a note of that."""

import json
import os
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError

VARIABLE = "STANDBY_CI_COMMIT"
"""Set in images, whose builder knows."""


@cache
def built_from() -> str | None:
    """Return the commit; None where it is not known."""
    if commit := os.environ.get(VARIABLE):
        return commit
    try:
        note = Distribution.from_name("standby-ci").read_text("direct_url.json")
        # As pip writes it for what it installed from a repository (PEP 610).
        found = json.loads(note or "{}").get("vcs_info", {}).get("commit_id")
    except (PackageNotFoundError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None
