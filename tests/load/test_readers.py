"""A crowd of readers of one job: every byte to each of them, and none kept for any."""

import asyncio

import pytest

from tests.load.jobs import configuration, prelude
from tests.load.readers import Crowd
from tests.memory import MIB, Growth, Meter

PIECES = 16
LINE = "ä line of text, €uros and all: {:030d}\n"
"""Longer in bytes than in characters, so that chunks end in the middle of some."""

ROOM = 48 * MIB
"""Bytes that a server may grow by more for a long log than for a quarter of it.

What a reader has not read yet waits in the file, but for the last events, of
which there may be none with a short log: 18 MB were seen. What goes out to all
of them together is 150 MB more, at least.
"""

PER_READER = 256 * 1024
"""Bytes that one more reader may cost while a job writes faster than all can read.

A task and its connection take 29 KB (see ``docs/performance.md``); an event of
64 KiB of log may be on its way out, and the one before it.
"""

PATIENCE = 600
"""Seconds; generous, since only a failure waits this long."""


def job_of(project, lines: int, go):
    """Make a job that waits for ``go`` and then writes so many lines; return it and its log."""
    command = f"sh run.sh {go}"
    text = "".join(LINE.format(number) for number in range(lines))
    script = f"""\
        until [ -e $1 ]; do sleep 0.05; done
        split -n {PIECES} lines.txt piece.
        for piece in piece.*; do cat $piece; sleep 0.05; done
        """
    made = project().write({"ci.toml": configuration(command), "run.sh": script, "lines.txt": text})
    return made, (prelude(command) + text).encode()


def read(server, project, tmp_path, *, readers: int, lines: int) -> Growth:
    """Have a crowd read a job; return by how much the server grew."""
    go = tmp_path / f"go-{readers}-{lines}"
    made, expected = job_of(project, lines, go)
    job_id = server.submit(made)
    server.until_log(job_id, "$ sh run.sh")
    crowd = Crowd(server.port, job_id, expected)

    async def all_read() -> list[str]:
        async with asyncio.timeout(PATIENCE):
            await crowd.join(readers // 2, slow=readers // 10)
            go.touch()
            await crowd.join(readers // 4)
            await crowd.quick_ended()
            await crowd.join(readers - len(crowd.readers))
            return await crowd.finish()

    with Meter(server.process.pid).growth() as grown:
        unwell = asyncio.run(all_read())
    assert unwell == []
    assert len(crowd.readers) == readers
    assert (server.folder / "logs" / f"{job_id}.log").read_bytes() == expected
    return grown


@pytest.mark.parametrize(
    ("readers", "lines"),
    [
        pytest.param(200, 16_000, id="200"),
        pytest.param(1000, 64_000, id="1000", marks=pytest.mark.soak),
    ],
)
def test_a_crowd_of_readers(servers, namespace, project, tmp_path, readers, lines):
    """From before the first line, in the middle and after the end; a tenth stop for a while."""
    server = servers(namespace, executor="local").start()
    read(server, project, tmp_path, readers=20, lines=lines // 4)
    few = read(server, project, tmp_path, readers=10, lines=lines // 4)
    short = read(server, project, tmp_path, readers=readers, lines=lines // 4)
    long = read(server, project, tmp_path, readers=readers, lines=lines)
    size = lines * len(LINE.format(0).encode()) / 1e6
    print(f"\n10 readers of a log of {size / 4:.1f} MB: {few}; {readers}: {short}")
    print(f"{readers} readers of one of {size:.1f} MB: {long}")
    assert long.top - short.top < ROOM
    assert short.top - few.top < PER_READER * (readers - 10)
