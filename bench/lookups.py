"""Looking jobs up among a million that have ended, beside a hundred."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from threading import Event

from bench.context import Context
from bench.database import fill
from bench.measure import Comparison, Series, Target, announce
from bench.server import BenchServer, running_server

_MANY = 1_000_000
_FEW = 100
_RATE = 50
"""Requests a second, of both kinds in turn."""

_SECONDS = 1
"""Of load in one run."""

_LIMIT = 0.010


@dataclass(frozen=True)
class _History:
    """A server whose database holds ended jobs, and the ids of some of them."""

    name: str
    server: BenchServer
    ids: list[str]


def lookups(context: Context) -> list[Comparison]:
    """Measure both requests under the same load, the two servers taking turns."""
    announce(f"looking up among {_MANY:,} jobs: filling the database")
    with _history(context, _MANY) as many, _history(context, _FEW) as few:
        announce(f"looking up among {_MANY:,} jobs")
        histories = (many, few)
        for each in histories:
            _load(each)
        rounds = [[_load(each) for each in histories] for _ in range(context.pairs)]
    return [
        Comparison(
            f"{path} among {_MANY:,} ended jobs",
            tuple(
                Series(f"{each.name} jobs", tuple(tuple(run[side][kind]) for run in rounds))
                for side, each in enumerate(histories)
            ),
            (Target("p99", _LIMIT),),
        )
        for kind, path in enumerate(("GET /jobs/ID", "GET /jobs"))
    ]


@contextmanager
def _history(context: Context, count: int) -> Iterator[_History]:
    database = context.folder / f"history-{count}" / "ci_jobs.db"
    ids = fill(database, count, ended=True)
    settings = {"CI_DB_PATH": str(database), "CI_DATA_DIR": str(database.parent)}
    with running_server(context.folder, context.image, **settings) as server:
        yield _History(f"{count:,}", server, ids)


def _load(history: _History) -> tuple[list[float], list[float]]:
    """Send requests at a steady rate; return the delays of both kinds, in seconds.

    Each counts from when it was due, so that one slow answer is seen in those after it.
    """
    delays: tuple[list[float], list[float]] = ([], [])
    begin = time.perf_counter()
    for number in range(_RATE * _SECONDS):
        due = begin + number / _RATE
        Event().wait(max(0.0, due - time.perf_counter()))
        kind = number % 2
        path = "/jobs" if kind else f"/jobs/{history.ids[number % len(history.ids)]}"
        _get(history.server.url, path)
        delays[kind].append(time.perf_counter() - due)
    return delays


def _get(url: str, path: str) -> None:
    # A connection for each, as the command line has it.
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        found = json.loads(response.read())
    if response.status != 200 or not found:
        raise RuntimeError(f"GET {path} answers {response.status}: {found}")
