"""The dependency step of a project whose dependencies were installed before."""

import re
import time
from collections.abc import Iterable
from functools import partial

from bench.context import Context
from bench.engine import bare_container, frames
from bench.http_stream import lines_of, run_job
from bench.measure import Comparison, Side, Target, compare
from bench.projects import zipped
from bench.server import BenchServer, running_server

_FILES = {
    "requirements.txt": "humanize==4.9.0\ntabulate==0.9.0\npackaging==24.0\npluggy==1.5.0\n",
    "ci.toml": 'command = ["python3", "-c", "import humanize, tabulate, packaging, pluggy"]\n',
    "app.py": "import humanize\n",
}

_STEP = "Installing dependencies..."
_NEXT = re.compile(r"(Installing the project|Running tests)\.\.\.")

# What the same takes by hand, in a container that is new each time.
_BY_HAND = (
    f"echo '{_STEP}'; uv venv -q /venv && VIRTUAL_ENV=/venv uv pip install -q "
    "humanize==4.9.0 tabulate==0.9.0 packaging==24.0 pluggy==1.5.0 && echo 'Running tests...'"
)


def unchanged_dependencies(context: Context) -> Comparison:
    """Compare the step's length by its lines' arrival; the first submit is the uncounted run."""
    with running_server(context.folder, context.image) as server:
        return compare(
            "dependency step, dependencies unchanged",
            [
                Side("ci submit again", partial(_our_step, server)),
                Side("docker run: uv pip install", partial(_bare_step, server, context.image)),
            ],
            pairs=context.pairs,
            targets=(Target("p50", 0.150),),
        )


def _our_step(server: BenchServer) -> tuple[float]:
    server.settle()
    # The project itself differs each time, as between two submits of somebody who works on it.
    archive = zipped({**_FILES, "app.py": f"import humanize  # {time.time_ns()}\n"})
    _, arrivals = run_job(server.url, archive)
    return (_length(lines_of(arrivals)),)


def _bare_step(server: BenchServer, image: str) -> tuple[float]:
    server.settle()
    with bare_container(image, ["sh", "-c", _BY_HAND]) as container, container.attached() as output:
        container.start()
        pieces = list(frames(output))
    return (_length((at, line) for at, data in pieces for line in data.decode().splitlines()),)


def _length(lines: Iterable[tuple[int, str]]) -> float:
    """Return the seconds from the step's line to the next step's.

    Where nothing is said of the step it counts from the log's first line.
    """
    read = list(lines)
    begin = next((at for at, line in read if line == _STEP), read[0][0])
    end = next((at for at, line in read if at >= begin and _NEXT.fullmatch(line)), None)
    if end is None:
        raise RuntimeError(f"the log has no next step: {read}")
    return (end - begin) / 1e9
