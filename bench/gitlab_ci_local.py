"""gitlab-ci-local from npm, with its shell executor."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import Run, timed
from bench.tools import git_project, install, require, run_in

# Later ones need Node 22.
_PACKAGE = "gitlab-ci-local@4.60.0"

# Without an image it takes the shell executor: an interrupted run leaves no container or volume.
_PIPELINE = """
hello:
  script:
    - python3 -c "print('hi')"
"""


@contextmanager
def gitlab_ci_local(folder: Path) -> Iterator[Run]:
    """Install it; yield what runs the hello project once. Raises ``Unavailable``."""
    require("npm", "node", "git", "rsync")
    install(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), _PACKAGE])
    project = git_project(folder / "project", ".gitlab-ci.yml", _PIPELINE)
    program = folder / "node_modules" / ".bin" / "gitlab-ci-local"
    yield timed(lambda: run_in(project, [str(program), "hello"], expect="> hi"))
