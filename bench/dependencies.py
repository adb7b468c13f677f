"""A project whose dependencies were installed before: how soon its tests begin."""

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

_TESTS = "Running tests..."

_STANDBYS = 2
"""One of the bare image, one with the dependencies."""

# What the same takes by hand, in a container that is new each time.
_BY_HAND = (
    "uv venv -q /venv && VIRTUAL_ENV=/venv uv pip install -q "
    f"humanize==4.9.0 tabulate==0.9.0 packaging==24.0 pluggy==1.5.0 && echo '{_TESTS}'"
)


def unchanged_dependencies(context: Context) -> Comparison:
    """Compare the time from the last byte of the upload to the line that says that tests run.

    So all that dependencies cost is in it: finding out that they are the same,
    taking a container that has them, the step itself, and also what a job
    without any would take. The first submit, which installs, is not counted.
    """
    with running_server(context.folder, context.image) as server:
        return compare(
            "last upload byte to the tests, dependencies unchanged",
            [
                Side("POST /submit-stream", partial(_our_tests, server)),
                Side(
                    "SDK: create, start, uv pip install",
                    partial(_bare_tests, server, context.image),
                ),
            ],
            pairs=context.pairs,
            targets=(Target("p50", 0.150),),
        )


def _our_tests(server: BenchServer) -> tuple[float]:
    server.settle(_STANDBYS)
    # The project itself differs each time, as between two submits of somebody who works on it.
    archive = zipped({**_FILES, "app.py": f"import humanize  # {time.time_ns()}\n"})
    sent_at, arrivals = run_job(server.url, archive)
    return (_seconds(sent_at, lines_of(arrivals)),)


def _bare_tests(server: BenchServer, image: str) -> tuple[float]:
    server.settle(_STANDBYS)
    begin = time.time_ns()
    with bare_container(image, ["sh", "-c", _BY_HAND]) as container, container.attached() as output:
        container.start()
        pieces = list(frames(output))
    lines = [(at, line) for at, data in pieces for line in data.decode().splitlines()]
    return (_seconds(begin, lines),)


def _seconds(begin: int, lines: Iterable[tuple[int, str]]) -> float:
    read = list(lines)
    end = next((at for at, line in read if line == _TESTS), None)
    if end is None:
        raise RuntimeError(f"the log does not say that tests run: {read}")
    return (end - begin) / 1e9
