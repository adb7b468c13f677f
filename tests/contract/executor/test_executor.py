"""What every executor keeps, whatever it runs things in: the contract of ``Executor``."""

import asyncio
import random
import uuid

import pytest

from ci_common.errors import ContainerGone
from ci_common.executor import ContainerSpec, ContainerState, Executor
from tests.contract.executor.places import (
    DEADLINE,
    REAL,
    Collector,
    FakePlace,
    Place,
    Program,
    tar_of,
)
from tests.fakes.executor import FakeContainer
from tests.fakes.tars import pieces


async def run(
    executor: Executor, place: Place, name: str, spec: ContainerSpec, program: Program
) -> Collector:
    """Launch, feed, and pump to the end."""
    sink = Collector()
    await executor.launch(name, spec)
    pump = await executor.feed(name, place.prepare(program), sink)
    async with asyncio.timeout(DEADLINE):
        await pump.wait()
    await pump.close()
    return sink


async def test_says_who_answers(executor):
    info = await executor.ping()
    assert info.name
    assert info.version


async def test_open_and_close_can_be_repeated(place, namespace):
    executor = place.executor(namespace)
    await executor.open()
    await executor.open()
    await executor.close()
    await executor.close()
    again = place.executor(namespace)
    await again.purge()
    await again.close()


async def test_a_life(executor, place, name, spec):
    job_id = name.removesuffix("-1").rpartition("ci-")[2]
    await executor.launch(name, spec)
    (waiting,) = await executor.observe()
    assert (waiting.name, waiting.job_id, waiting.attempt) == (name, job_id, 1)
    assert waiting.state is ContainerState.RUNNING
    assert waiting.created_at is not None
    assert await executor.exit_of(name) is None
    assert not await executor.has_output(name)

    sink = Collector()
    pump = await executor.feed(name, place.prepare(Program(then=b"bye\n", exit_code=3)), sink)
    await pump.wait()
    ended = await executor.wait_exit(name, timeout=DEADLINE)

    assert bytes(sink.data) == b"started\nbye\n"
    assert ended is not None
    assert (ended.exit_code, ended.oom_killed) == (3, False)
    assert await executor.exit_of(name) == ended
    (gone_quiet,) = await executor.observe()
    assert gone_quiet.state is ContainerState.EXITED
    await executor.remove(name)
    assert await executor.observe() == []


@pytest.mark.parametrize("exit_code", [0, 1, 5, 42, 255])
async def test_exit_codes(executor, place, name, spec, exit_code):
    await run(executor, place, name, spec, Program(exit_code=exit_code))
    ended = await executor.wait_exit(name, timeout=DEADLINE)
    assert ended is not None
    assert ended.exit_code == exit_code


AWKWARD = {
    "invalid UTF-8": b"\xff\xfe\x80 caf\xc3\n\xf0\x9f",
    "NUL": b"a\x00b\x00\n\x00",
    "empty lines": b"\n" * 5000,
    "no newline at the end": b"one\ntwo\n\n\nthree",
    "progress bars": b"10%\r20%\r\r\n30%\r",
    "one long line": b"x" * 300_000,
    "lines of a frame's size": b"".join(
        b"z" * size + b"\n" for size in (16383, 16384, 16385, 32767, 32768, 0, 50_000, 5, 49_152, 1)
    ),
    "5 MB": random.Random(7).randbytes(5 * 1024**2),
}


@pytest.mark.parametrize("kind", AWKWARD)
async def test_output_arrives_byte_by_byte_live_and_again(executor, place, name, spec, kind):
    live = await run(executor, place, name, spec, Program(first=AWKWARD[kind]))
    assert bytes(live.data) == AWKWARD[kind]

    again = Collector()
    pump = await executor.follow(name, again, skip=0)
    await pump.wait()
    assert bytes(again.data) == AWKWARD[kind]


@pytest.mark.parametrize("skip", [0, 1, 16384, 99_999, 100_000, 200_000])
async def test_follow_skips_exactly_after_the_end(executor, place, name, spec, skip):
    output = random.Random(skip).randbytes(100_000)
    await run(executor, place, name, spec, Program(first=output))

    sink = Collector()
    pump = await executor.follow(name, sink, skip=skip)
    await pump.wait()

    assert bytes(sink.data) == output[skip:]


async def test_follow_in_mid_run_neither_loses_nor_repeats(executor, other, place, name, spec):
    # An engine's log may hold back a line until it is whole.
    first, then = (random.Random(seed).randbytes(70_000) + b"\n" for seed in (1, 2))
    await executor.launch(name, spec)
    before = Collector()
    program = Program(first=first, then=then, exit_code=7, holds=True)
    pump = await executor.feed(name, place.prepare(program), before)
    await before.holds(50_000)
    await pump.close()
    had = bytes(before.data)

    after = Collector()
    pump = await other.follow(name, after, skip=len(had))
    await after.holds(len(first) - len(had))
    await place.release(name)
    await pump.wait()

    assert had + bytes(after.data) == first + then
    ended = await other.wait_exit(name, timeout=DEADLINE)
    assert ended is not None
    assert ended.exit_code == 7


async def test_output_arrives_while_the_job_goes_on(executor, place, name, spec):
    sink = Collector()
    await executor.launch(name, spec)
    pump = await executor.feed(name, place.prepare(Program(holds=True)), sink)
    await sink.holds(len(b"started\n"))
    assert await executor.has_output(name)
    assert await executor.exit_of(name) is None
    assert await executor.wait_exit(name, timeout=0) is None
    await place.release(name)
    await pump.wait()


async def test_wait_exit_returns_at_the_exit(executor, place, name, spec):
    await executor.launch(name, spec)
    pump = await executor.feed(name, place.prepare(Program(holds=True, exit_code=4)), Collector())
    waiting = asyncio.create_task(executor.wait_exit(name, timeout=DEADLINE))
    await place.release(name)
    ended = await waiting
    assert ended is not None
    assert ended.exit_code == 4
    await pump.wait()


async def test_a_closed_pump_calls_its_sink_no_more(executor, place, name, spec):
    sink = Collector()
    await executor.launch(name, spec)
    program = Program(then=b"too late\n", holds=True)
    pump = await executor.feed(name, place.prepare(program), sink)
    await sink.holds(len(b"started\n"))
    await pump.close()
    await pump.close()
    await place.release(name)
    await executor.wait_exit(name, timeout=DEADLINE)
    assert bytes(sink.data) == b"started\n"


async def test_a_second_launch_changes_nothing(executor, other, place, name, spec):
    await executor.launch(name, spec)
    await asyncio.gather(executor.launch(name, spec), other.launch(name, spec))
    sink = await run(executor, place, name, spec, Program())
    assert bytes(sink.data) == b"started\n"
    await executor.wait_exit(name, timeout=DEADLINE)
    await executor.launch(name, spec)
    assert (await executor.exit_of(name)).exit_code == 0
    assert len(await executor.observe()) == 1


async def test_many_launches_of_one_name_at_once_make_one(executor, other, name, spec):
    await asyncio.gather(*(each.launch(name, spec) for each in (executor, other) * 3))
    assert [each.name for each in await other.observe()] == [name]


async def test_what_is_gone_is_said_to_be_gone(executor, name):
    with pytest.raises(ContainerGone):
        await executor.exit_of(name)
    with pytest.raises(ContainerGone):
        await executor.has_output(name)
    with pytest.raises(ContainerGone):
        await executor.follow(name, Collector(), skip=0)
    with pytest.raises(ContainerGone):
        await executor.feed(name, pieces(tar_of(Program().files())), Collector())
    with pytest.raises(ContainerGone):
        await executor.wait_exit(name, timeout=DEADLINE)
    assert await executor.startup_error(name) == ""


async def test_stop_and_remove_succeed_on_what_has_ended_or_is_gone(executor, place, name, spec):
    await run(executor, place, name, spec, Program())
    await executor.wait_exit(name, timeout=DEADLINE)
    await executor.stop(name, grace=1)
    await executor.stop(name, grace=1)
    assert (await executor.exit_of(name)).exit_code == 0
    await asyncio.gather(executor.remove(name), executor.remove(name))
    await executor.remove(name)
    await executor.stop(name, grace=1)


async def test_stop_ends_a_job(executor, place, name, spec):
    await executor.launch(name, spec)
    pump = await executor.feed(name, place.prepare(Program(holds=True)), Collector())
    await executor.stop(name, grace=DEADLINE)
    await pump.wait()
    ended = await executor.wait_exit(name, timeout=DEADLINE)
    assert ended is not None
    assert ended.exit_code == 143


async def test_stop_kills_what_ignores_sigterm(executor, place, name, spec):
    await executor.launch(name, spec)
    sink = Collector()
    program = Program(holds=True, ignores_sigterm=True)
    pump = await executor.feed(name, place.prepare(program), sink)
    await sink.holds(1)
    await executor.stop(name, grace=0.1)
    await pump.wait()
    ended = await executor.wait_exit(name, timeout=DEADLINE)
    assert ended is not None
    assert ended.exit_code == 137


async def test_stop_ends_a_container_that_was_never_fed(executor, name, spec):
    await executor.launch(name, spec)
    await executor.stop(name, grace=0)
    assert await executor.wait_exit(name, timeout=DEADLINE) is not None
    assert not await executor.has_output(name)
    with pytest.raises(ContainerGone):
        await executor.feed(name, pieces(tar_of(Program().files())), Collector())


async def test_remove_takes_a_running_container(executor, place, name, spec):
    await executor.launch(name, spec)
    pump = await executor.feed(name, place.prepare(Program(holds=True)), Collector())
    await executor.remove(name)
    await pump.wait()
    assert await executor.observe() == []
    with pytest.raises(ContainerGone):
        await executor.exit_of(name)


async def test_a_container_removed_by_hand_ends_its_pump_and_is_gone(executor, place, name, spec):
    await executor.launch(name, spec)
    pump = await executor.feed(name, place.prepare(Program(holds=True)), Collector())
    await place.vanish(name)
    async with asyncio.timeout(DEADLINE):
        await pump.wait()
    with pytest.raises(ContainerGone):
        await executor.wait_exit(name, timeout=DEADLINE)


async def test_another_process_takes_over(executor, other, place, name, spec):
    sink = Collector()
    await executor.launch(name, spec)
    program = Program(then=b"and on\n", holds=True, exit_code=6)
    await executor.feed(name, place.prepare(program), sink)
    await executor.close()

    (found,) = await other.observe()
    assert found.name == name
    assert await other.has_output(name)
    adopted = Collector()
    pump = await other.follow(name, adopted, skip=0)
    await place.release(name)
    await pump.wait()
    ended = await other.wait_exit(name, timeout=DEADLINE)

    assert bytes(adopted.data) == b"started\nand on\n"
    assert ended is not None
    assert ended.exit_code == 6


async def test_another_process_can_feed_what_was_launched(executor, other, place, name, spec):
    await executor.launch(name, spec)
    await executor.close()
    sink = Collector()
    pump = await other.feed(name, place.prepare(Program()), sink)
    await pump.wait()
    assert bytes(sink.data) == b"started\n"


async def test_namespaces_do_not_see_each_other(place, namespace, spec):
    # One prefix begins with the other, which is what a test on names alone would get wrong.
    prefixes = [namespace, f"{namespace}ci-", f"{namespace}ci-x-"]
    executors = [place.executor(prefix) for prefix in prefixes]
    try:
        names = [executor.container_name("x-1", 1) for executor in executors]
        await asyncio.gather(
            *(executor.launch(name, spec) for executor, name in zip(executors, names, strict=True))
        )
        for executor, name in zip(executors, names, strict=True):
            (found,) = await executor.observe()
            assert (found.name, found.job_id, found.attempt) == (name, "x-1", 1)
    finally:
        for executor in executors:
            await executor.purge()
            await executor.close()


async def test_a_standby_is_of_no_job(executor, namespace, spec):
    standby = f"{namespace}ci-standby-{uuid.uuid4().hex}"
    await executor.launch(standby, spec)
    (found,) = await executor.observe()
    assert (found.name, found.job_id, found.attempt) == (standby, None, None)


async def test_many_jobs_at_once_keep_their_outputs_apart(executor, place, namespace, spec):
    async def one(number: int) -> bytes:
        name = executor.container_name(f"job{number}", 1)
        sink = Collector()
        await executor.launch(name, spec)
        text = f"this is job {number}\n".encode() * 1000
        program = {"job.sh": b"exec 2>&1; cat text; exit 0", "text": text}
        pump = await executor.feed(name, pieces(tar_of(program)), sink)
        await pump.wait()
        return bytes(sink.data).replace(text, b"whole")

    if isinstance(place, FakePlace):
        place.engine.on_fed = _print_text
    assert await asyncio.gather(*map(one, range(4))) == [b"whole"] * 4


def _print_text(container: FakeContainer) -> None:
    container.write(container.files["text"])
    container.exit(0)


@pytest.mark.parametrize("place", REAL, indirect=True)
async def test_what_a_job_leaves_running_ends_with_it(executor, place, name, spec):
    script = b"exec 2>&1 </dev/null; echo started; sleep 1000 & exit 0"
    await executor.launch(name, spec)
    pump = await executor.feed(name, pieces(tar_of({"job.sh": script})), Collector())
    async with asyncio.timeout(DEADLINE):
        await pump.wait()
    ended = await executor.wait_exit(name, timeout=DEADLINE)
    assert ended is not None
    assert ended.exit_code == 0
