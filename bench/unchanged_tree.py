"""Submitting a tree of 10,000 files again in which nothing changed, beside sending all of it."""

import json
import random
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from bench.context import Context
from bench.measure import KILOBYTES, Comparison, Side, Target, compare, timed
from bench.server import CI, BenchServer, running_server
from tests.relay import Relay, relay_to

FILES = 10_000
FILE_BYTES = 20_000
_FOLDERS = 200
_RARE = 3000
"""Words that the files are made of: they pack about as well as sources do."""
_ENDED_PATIENCE = 120.0
_LOOK_EVERY = 0.05


def unchanged_tree(context: Context) -> list[Comparison]:
    """Time ``ci submit --async`` as a whole process, up to the job's being safe on disk."""
    project = _tree(context.folder / "tree")
    with ExitStack() as stack:

        def way(name: str, **settings: str) -> _Way:
            server = stack.enter_context(
                running_server(context.folder, context.image, CI_STANDBY_SIZE="0", **settings)
            )
            relay = stack.enter_context(relay_to(server.url))
            return _Way(name, project, server, relay, context.folder / "cache")

        ways = [way("only what changed: nothing"), way("a zip of all of it", CI_BLOB_BYTES="0")]
        for each in ways:
            each.submit(each.server.url)
        pairs = min(context.pairs, 20)
        name = f"{FILES:,} unchanged files, {FILES * FILE_BYTES / 1e6:,.0f} MB"
        times = compare(
            f"submitting again: {name}",
            [Side(each.name, timed(each.run, before=each.quiet)) for each in ways],
            pairs=pairs,
            targets=(Target("p50", 0.3),),
        )
        sent = compare(
            f"bytes sent for it: {name}",
            [Side(each.name, each.count) for each in ways],
            pairs=1,
            targets=(Target("p50", 2e6),),
            quantity=KILOBYTES,
        )
        return [times, sent]


@dataclass(frozen=True)
class _Way:
    """One way of submitting the tree, to a server of its own; the relay only counts."""

    name: str
    project: Path
    server: BenchServer
    relay: Relay
    cache: Path

    def run(self) -> None:
        self.submit(self.server.url)

    def count(self) -> Sequence[float]:
        # Another address is another server to the client: it has to learn first what is there.
        self.quiet()
        self.submit(self.relay.url)
        self.quiet()
        before = self.relay.sent
        self.submit(self.relay.url)
        return (float(self.relay.sent - before),)

    def submit(self, url: str) -> None:
        environment = self.server.environment | {
            "CI_SERVER_URL": url,
            "XDG_CACHE_HOME": str(self.cache),
        }
        command = [CI, "submit", "--async", str(self.project)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command} exits {done.returncode}:\n{done.stdout}{done.stderr}")

    def quiet(self) -> None:
        """Wait until the job before has ended, so that nothing runs beside what is timed."""
        for _ in range(round(_ENDED_PATIENCE / _LOOK_EVERY)):
            with urllib.request.urlopen(f"{self.server.url}/ready", timeout=5) as answer:
                state = json.load(answer)
            if state["queued"] == state["running"] == 0:
                return
            Event().wait(_LOOK_EVERY)
        raise RuntimeError("the job before does not end")


def _tree(top: Path) -> Path:
    """Write the files, and have git know them."""
    texts = _texts(random.Random(1))
    for number in range(FILES):
        folder = top / f"package{number % _FOLDERS // 20}" / f"module{number % 20:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file_{number:05}.py").write_text(next(texts))
    (top / "ci.toml").write_text('install = []\ncommand = ["true"]\n')
    for arguments in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", "-C", str(top), *arguments], check=True, capture_output=True)
    return top


def _texts(chance: random.Random) -> Iterator[str]:
    letters = "abcdefghijklmnopqrstuvwxyz_"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 10))) for _ in range(_RARE)]
    while True:
        lines = (" ".join(chance.choices(words, k=12)) for _ in range(FILE_BYTES // 60))
        yield "\n".join(lines)[: FILE_BYTES - 1].ljust(FILE_BYTES - 1) + "\n"
