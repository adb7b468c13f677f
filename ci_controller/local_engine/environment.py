"""The variables of a job on a machine without an engine."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ci_controller.local_engine.scratch import ScratchFolder

_HANDED_ON = (
    *("LANG", "LC_ALL", "TZ"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
"""How this machine speaks and reaches the network. The server's other variables may be secrets."""


def job_variables(
    scratch: ScratchFolder, *, caches: Path, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Return a job's variables; of ``inherited`` only what concerns the machine.

    ``caches`` is where pip and uv keep what they downloaded, for all jobs.
    """
    return {
        "LANG": "C.UTF-8",
        **{name: inherited[name] for name in _HANDED_ON if name in inherited},
        "PATH": _path(inherited.get("PATH", os.defpath)),
        "HOME": str(scratch.home),
        "TMPDIR": str(scratch.tmp),
        "PIP_CACHE_DIR": str(caches / "pip"),
        "UV_CACHE_DIR": str(caches / "uv"),
    }


def _path(path: str) -> str:
    """Return a search path on which the server's own virtual environment is not."""
    if sys.prefix == sys.base_prefix:
        return path
    ours = str(Path(sys.prefix, "bin"))
    folders = [folder for folder in path.split(os.pathsep) if folder != ours]
    # Last, for machines where no other Python is on the path.
    return os.pathsep.join([*folders, str(Path(sys.base_prefix, "bin"))])
