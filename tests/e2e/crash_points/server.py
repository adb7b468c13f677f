"""The command ``ci`` with a server that kills itself at the point in ``CRASH_POINT``.

The server is the real one. Only what ``bootstrap`` builds is put behind
stand-ins; there is nothing of this in the product.
"""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

from ci_client.cli import main
from ci_common.executor import Executor, SnapshotExecutor
from ci_common.job_repository import JobRepository
from ci_server import bootstrap
from tests.e2e.crash_points.stand_ins import Point, Tripwire, stand_in
from tests.e2e.crash_points.steps import STEPS

VARIABLE = "CRASH_POINT"
"""The environment variable with the point, as ``str(Point)`` has it."""

BUILT = {
    "build_repository": JobRepository,
    "build_docker": SnapshotExecutor,
    "build_local": Executor,
}
"""What makes the parts of a server, and the protocol of each."""


def set_up(wire: Tripwire) -> None:
    """Have ``bootstrap`` build stand-ins from now on."""
    for name, protocol in BUILT.items():
        setattr(bootstrap, name, _behind(getattr(bootstrap, name), protocol, wire))


def _behind(build: Callable[..., Any], protocol: type, wire: Tripwire) -> Callable[..., Any]:
    @wraps(build)
    def built(*arguments: Any) -> Any:
        return stand_in(build(*arguments), protocol, wire, frozenset(STEPS))

    return built


def crashing() -> None:
    """Run the command with the point that the environment names."""
    set_up(Tripwire(Point.parse(os.environ[VARIABLE])))
    main()
