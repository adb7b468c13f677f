"""What is submitted while the server is killed, and what must come of it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SCRIPT = "echo one\nsleep 0.3\necho two\nexit 7\n"
"""What jobs run. Nothing but this script ends with 7, and its lines come in two pieces."""

_CONFIGURED = "install = []\ncommand = 'sh run.sh'\n"
_RUNS = "Running tests...\n$ sh run.sh\none\ntwo\n"
_DETECTED = "Found ci.toml.\nRuns sh run.sh.\nci.toml sets install, command.\n"

_INSTALLED = """\
Found ci.toml, requirements.txt.
Installs requirements.txt.
Runs sh run.sh.
ci.toml sets command.
Installing dependencies...
$ ci_pip install -r requirements.txt
warning: Requirements file `requirements.txt` does not contain any dependencies
Using Python 3 environment at: /ci/venv
Checked in a moment
Kept for the next job that needs the same.
"""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A project, a server for it, and how its job must end.

    ``before`` is what the server has been through: ``job``, another job of the
    same project, or ``lost packs``, that job's packs lost since. ``abandoned``:
    who submits gives up with the first crash, and comes again when all is swept.
    ``cancels``: who submits cancels the job when it has said something.
    ``forgets``: how many of the jobs there were are not kept.
    ``secrets``: those that are kept before.
    ``artifacts``: how many files it must have left in the end.
    ``size``: bytes of a file that does not shrink. ``snapshots``: how many
    there must be in the end.
    """

    files: Mapping[str, str]
    log: str
    settings: Mapping[str, str] = field(default_factory=dict)
    reason: str = "failed"
    exit_code: int = 7
    size: int = 0
    before: str = ""
    abandoned: bool = False
    cancels: bool = False
    forgets: int = 0
    artifacts: int = 0
    secrets: Mapping[str, str] = field(default_factory=dict)
    standbys: int = 0
    snapshots: int = 0

    def write(self, folder: Path) -> Path:
        """Write the project; return its folder."""
        folder.mkdir()
        for name, text in self.files.items():
            (folder / name).write_text(text)
        if self.size:
            (folder / "large").write_bytes(os.urandom(self.size))
        return folder


def steady(log: bytes) -> bytes:
    """Return a log without what uv never says twice the same: versions and times."""
    log = re.sub(rb"Using Python 3[0-9.]+ ", b"Using Python 3 ", log)
    return re.sub(rb"Checked in [0-9.]+\w+", b"Checked in a moment", log)


def _plain(**more: object) -> Scenario:
    files = {"ci.toml": _CONFIGURED, "run.sh": SCRIPT}
    return Scenario(files=files, log=_DETECTED + _RUNS, **more)


def _installing(**more: object) -> Scenario:
    files = {
        "ci.toml": "command = 'sh run.sh'\n",
        "requirements.txt": "# nothing\n",
        "run.sh": SCRIPT,
    }
    return Scenario(files=files, log=_INSTALLED + _RUNS, **more)


_SAYS_THE_REST = 'sleep 0.2\nprintf "%s\\n" "$TOKEN" | tail -c 10\n'

_LEAVES = "echo two >out.txt\n"


_ENDLESS = "echo one\nexec sleep 600\n"

_TREE = 700_000
"""Bytes that are worth a manifest, go along with it, and make more than one chunk of a tar."""

SCENARIOS: Mapping[str, Scenario] = {
    "plain": _plain(),
    "standby": _plain(standbys=1),
    "large": _plain(size=2_500_000, settings={"blob_bytes": "0"}),
    "abandoned": _plain(abandoned=True),
    "secret": Scenario(
        files={
            "ci.toml": f"secrets = ['TOKEN']\n{_CONFIGURED}",
            "run.sh": 'printf "%s" "$TOKEN" | head -c 9\n' + _SAYS_THE_REST + SCRIPT,
        },
        log="Found ci.toml.\nRuns sh run.sh.\nci.toml sets install, secrets, command.\n"
        "Running tests...\n$ sh run.sh\n******************\none\ntwo\n",
        secrets={"TOKEN": "open-sesame-please"},
    ),
    "leaves files": Scenario(
        files={
            "ci.toml": f"artifacts = ['*.txt']\n{_CONFIGURED}",
            "run.sh": _LEAVES + SCRIPT,
        },
        log="Found ci.toml.\nRuns sh run.sh.\nci.toml sets install, artifacts, command.\n" + _RUNS,
        artifacts=1,
    ),
    "tree": _plain(size=_TREE),
    "abandoned tree": _plain(size=_TREE, abandoned=True),
    "outdated tree": _plain(size=_TREE, abandoned=True, before="job", settings={"blob_bytes": "1"}),
    "lost tree": _plain(size=_TREE, before="lost packs"),
    "endless": Scenario(
        files={"ci.toml": f"timeout = 4\n{_CONFIGURED}", "run.sh": _ENDLESS},
        log="Found ci.toml.\nRuns sh run.sh.\nci.toml sets install, timeout, command.\n"
        "Running tests...\n$ sh run.sh\none\n"
        "[ci] Stopped: the job took longer than its time limit of 4 s.\n",
        reason="timed_out",
        exit_code=143,
    ),
    "cancelled": Scenario(
        files={"ci.toml": _CONFIGURED, "run.sh": _ENDLESS},
        log=_DETECTED + "Running tests...\n$ sh run.sh\none\n"
        "[ci] Stopped: the job was cancelled.\n",
        reason="cancelled",
        exit_code=143,
        cancels=True,
    ),
    "kept no longer": _plain(
        abandoned=True,
        before="job",
        forgets=1,
        settings={"keep_logs_bytes": "1", "keep_at_least": "0"},
    ),
    "project not kept": _plain(settings={"keep_projects_for": "0"}),
    "project kept no longer": _plain(
        abandoned=True,
        before="job",
        settings={"keep_projects_for": "7d", "keep_projects_bytes": "1"},
    ),
    "dependencies": _installing(snapshots=1),
    "no room for dependencies": _installing(settings={"snapshot_bytes": "1"}),
    "nothing to install": Scenario(
        files={
            "ci.toml": "env.PYTEST_ADDOPTS = '-qq --no-header'\n",
            "test_it.py": "import os\nos._exit(7)\n",
        },
        log="Found ci.toml.\nInstalls pytest.\nRuns python -m pytest.\nci.toml sets env.\n"
        "Installing dependencies...\n$ ci_need pytest\n"
        "The image has pytest: nothing to install.\nRunning tests...\n$ python -m pytest\n",
    ),
}
