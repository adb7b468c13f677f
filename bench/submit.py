"""``ci submit`` of a hello project against bare ``docker run`` of the same command."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from bench.context import Context
from bench.engine import LABEL
from bench.measure import Comparison, Side, Target, compare, timed
from bench.projects import HELLO, recipe, write_project
from bench.server import CI, BenchServer, running_server


def submit_against_docker_run(context: Context) -> Comparison:
    """Time both as whole processes, from the start of the command to its end."""
    with running_server(context.folder, context.image) as server:
        return compare(
            "a hello job, whole process",
            [submit_side(context, server), docker_run_side(context, server)],
            pairs=context.pairs,
            targets=(Target("ratio", 0.5),),
        )


def submit_side(context: Context, server: BenchServer) -> Side:
    """Return the side of ``ci submit``, which begins when the server is ready for it."""
    project = write_project(context.folder / "hello", {"ci.toml": recipe(HELLO)})
    command = [CI, "submit", str(project)]
    action = timed(lambda: run(command, server.environment), before=server.settle)
    return Side("ci submit", action)


def docker_run_side(context: Context, server: BenchServer) -> Side:
    """Return the side of ``docker run``, which waits as long for ``server`` to be quiet."""
    command = ["docker", "run", "--rm", "--label", LABEL, context.image, *HELLO]
    return Side("docker run --rm IMAGE", timed(lambda: run(command), before=server.settle))


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed, or did not print what the hello project prints.

    """
    done = subprocess.run(
        command, env=environment or os.environ, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or "hi" not in done.stdout.split():
        raise RuntimeError(f"{command} exits {done.returncode}:\n{done.stdout}{done.stderr}")
