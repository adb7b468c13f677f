"""``ci submit`` of a trivial project against bare ``docker run`` of the same image."""

import os
import subprocess
import sys
from pathlib import Path

from bench.measure import Comparison, compare
from bench.server import running_server

CI = str(Path(sys.executable).with_name("ci"))


def submit_against_docker_run(folder: Path, image: str, pairs: int) -> Comparison:
    """Time both as whole processes, from the start of the command to its end."""
    project = folder / "hello"
    project.mkdir()
    (project / "ci.toml").write_text("install = []\ncommand = ['true']\n")
    with running_server(folder, image) as url:
        environment = os.environ | {"CI_SERVER_URL": url}
        return compare(
            "a trivial job, whole process",
            ("ci submit", lambda: _run([CI, "submit", str(project)], environment)),
            ("docker run --rm IMAGE true", lambda: _run(["docker", "run", "--rm", image, "true"])),
            pairs=pairs,
        )


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    subprocess.run(command, env=environment, check=True, capture_output=True)
