"""What somebody without Standby CI would use, installed for the length of the benchmark.

Both run the job on the machine itself, without a container, so they do less
than the sides beside them.
"""

import sys
from contextlib import ExitStack

from bench.buildbot_try import buildbot_try
from bench.context import Context
from bench.gitlab_ci_local import gitlab_ci_local
from bench.measure import Comparison, Side, compare
from bench.server import running_server
from bench.submit import docker_run_side, submit_side
from bench.tools import Unavailable

_OTHERS = {"gitlab-ci-local": gitlab_ci_local, "Buildbot's try": buildbot_try}


def what_else_there_is(context: Context) -> Comparison:
    """Run the hello project with everything that can be installed here; say what cannot."""
    with ExitStack() as stack:
        server = stack.enter_context(running_server(context.folder, context.image))
        sides = [submit_side(context, server), docker_run_side(context, server)]
        for name, start in _OTHERS.items():
            folder = context.folder / start.__name__
            folder.mkdir()
            try:
                run = stack.enter_context(start(folder))
            except Unavailable as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
            else:
                sides.append(Side(f"{name}, no container", run))
        return compare("a hello job beside other tools", sides, pairs=context.pairs)
