"""From the end of a container's process to the client's knowing of it."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import docker

from bench.context import Context
from bench.engine import bare_container
from bench.http_stream import OpenJob, log_of, run_job
from bench.measure import Comparison, Side, Target, compare
from bench.projects import script_project
from bench.server import BenchServer, running_server

# Leaves without the interpreter's own clearing up, so that the stamp is the process's end.
_SCRIPT = """
import os, time
os.write(1, b"%d\\n" % time.time_ns())
os._exit(0)
"""


def job_end(context: Context) -> Comparison:
    """Compare the ``complete`` event with the SDK's ``wait``, both after a stamp of the job's."""
    with running_server(context.folder, context.image) as server:
        archive = script_project(_SCRIPT)
        return compare(
            "end of the process to the verdict",
            [
                Side("complete event", partial(_our_end, server, archive)),
                Side("SDK: wait on a job's container", partial(_waited_end, server, archive)),
                Side("SDK: wait on a bare container", partial(_bare_end, server, context.image)),
            ],
            pairs=context.pairs,
            targets=(Target("p50", 0.045), Target("ratio", 1.0)),
        )


def _our_end(server: BenchServer, archive: bytes) -> tuple[float]:
    server.settle()
    _, arrivals = run_job(server.url, archive)
    return ((arrivals[-1].at - _stamp(log_of(arrivals))) / 1e9,)


def _waited_end(server: BenchServer, archive: bytes) -> tuple[float]:
    """Measure what the engine would have told about a job like ours, beside the same refill."""
    server.settle()
    job, arrivals = OpenJob(server.url, archive), []
    with ThreadPoolExecutor(1) as threads, closing(docker.APIClient()) as client:
        waiting = None
        for each in job:
            arrivals.append(each)
            if waiting is None and each.kind == "log":
                # It has its name from before its first output.
                name = f"{server.namespace}ci-{arrivals[0].event['job_id']}-1"
                waiting = threads.submit(_known_at, client, name)
        if waiting is None:
            raise RuntimeError("a benchmark's job wrote nothing")
        return ((waiting.result() - _stamp(log_of(arrivals))) / 1e9,)


def _known_at(client: docker.APIClient, name: str) -> int:
    client.wait(name)
    return time.time_ns()


def _bare_end(server: BenchServer, image: str) -> tuple[float]:
    server.settle()
    with bare_container(image, ["python3", "-c", _SCRIPT]) as container:
        container.start()
        known = container.wait()
        return ((known - _stamp(container.logs())) / 1e9,)


def _stamp(log: str) -> int:
    return int(log.rsplit(maxsplit=1)[-1])
