"""What somebody without Standby CI would use, installed for the length of the benchmark.

What runs the job on the machine itself, without a container, does less than the
sides beside it, and says so.
"""

from contextlib import ExitStack
from dataclasses import replace

from bench.buildbot_try import buildbot_try
from bench.context import Context
from bench.gitlab_ci_local import gitlab_ci_local
from bench.measure import Comparison, compare
from bench.server import running_server
from bench.submit import docker_run_side, submit_side
from bench.tools import Unavailable

_OTHERS = {"gitlab-ci-local": gitlab_ci_local, "Buildbot's try": buildbot_try}


def what_else_there_is(context: Context) -> Comparison:
    """Run the hello project with everything that can be installed here; say what cannot."""
    with ExitStack() as stack:
        server = stack.enter_context(running_server(context.folder, context.image))
        sides = [submit_side(context, server), docker_run_side(context, server)]
        missing = []
        for name, start in _OTHERS.items():
            folder = context.folder / start.__name__
            folder.mkdir()
            try:
                sides += stack.enter_context(start(folder, context.image))
            except Unavailable as error:
                missing.append(f"{name}: not measured here: {error}".partition("\n")[0])
        found = compare("a hello job beside other tools", sides, pairs=context.pairs)
        return replace(found, remarks=tuple(missing))
