"""From the last byte of an upload to the first of the log."""

import time
from functools import partial

from bench.context import Context
from bench.engine import bare_container, frames
from bench.http_stream import run_job
from bench.measure import Comparison, Side, Target, compare
from bench.projects import HELLO, recipe, zipped
from bench.server import BenchServer, running_server


def first_byte(context: Context) -> Comparison:
    """Measure with sockets on both sides: no client of ours is in the figure."""
    with running_server(context.folder, context.image) as server:
        archive = zipped({"ci.toml": recipe(HELLO)})
        return compare(
            "last upload byte to first log byte",
            [
                Side("POST /submit-stream", partial(_our_first_byte, server, archive)),
                Side(
                    "SDK: create, attach, start", partial(_bare_first_byte, server, context.image)
                ),
            ],
            pairs=context.pairs,
            targets=(Target("p50", 0.030), Target("p95", 0.080)),
        )


def _our_first_byte(server: BenchServer, archive: bytes) -> tuple[float]:
    server.settle()
    sent_at, arrivals = run_job(server.url, archive)
    first = next(each.at for each in arrivals if each.kind == "log")
    return ((first - sent_at) / 1e9,)


def _bare_first_byte(server: BenchServer, image: str) -> tuple[float]:
    server.settle()
    begin = time.time_ns()
    with (
        bare_container(image, ["sh", "-c", "echo hi"]) as container,
        container.attached() as output,
    ):
        container.start()
        at, _ = next(frames(output))
    return ((at - begin) / 1e9,)
