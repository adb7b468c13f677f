import asyncio
import contextlib
import threading
from contextlib import asynccontextmanager

from ci_common.signals import LocalSignals
from ci_controller.signals import DatagramSignals
from tests.waiting import LONGEST


@asynccontextmanager
async def opened(folder):
    signals = DatagramSignals(folder)
    await signals.open()
    try:
        yield signals
    finally:
        await signals.close()


async def test_signals_reach_this_process_and_the_others(tmp_path):
    async with opened(tmp_path) as one, opened(tmp_path) as two:
        with one.subscribe("a") as here, two.subscribe("a", "b") as there:
            one.notify("a")
            assert await here.wait(5) == {"a"}
            assert await there.wait(5) == {"a"}
            two.notify("b")
            assert await there.wait(5) == {"b"}
            assert await here.wait(0) == frozenset()


async def test_signals_from_threads_arrive(tmp_path):
    async with opened(tmp_path) as signals:
        with signals.subscribe("a") as subscription:
            await asyncio.to_thread(signals.notify_threadsafe, "a")
            assert await subscription.wait(5) == {"a"}


async def test_a_burst_of_a_threads_signals_is_told_twice(tmp_path, monkeypatch):
    """At once, and when the pause is over: the last of them is not lost."""
    monkeypatch.setattr("ci_common.signals.BURST_PAUSE", 0.5)
    async with opened(tmp_path) as signals:
        told = []
        signals.notify = told.append

        def burst() -> None:
            for _ in range(1000):
                signals.notify_threadsafe("a")
                signals.notify_threadsafe("b")

        for _ in range(3):
            busy = threading.Thread(target=burst)
            busy.start()
            busy.join()
            await asyncio.sleep(0)
            assert sorted(told) == ["a", "b"]
        async with asyncio.timeout(LONGEST):
            while len(told) < 4:  # noqa: ASYNC110 -- it is the loop's own timer
                await asyncio.sleep(0)
        assert sorted(told) == ["a", "a", "b", "b"]


async def test_a_threads_signal_after_a_burst_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("ci_common.signals.BURST_PAUSE", 0.0)
    async with opened(tmp_path) as signals:
        with signals.subscribe("a") as subscription:
            for _ in range(100):
                await asyncio.to_thread(signals.notify_threadsafe, "a")
                assert await subscription.wait(LONGEST) == {"a"}


async def test_a_signal_before_the_wait_is_kept_and_given_once(tmp_path):
    async with opened(tmp_path) as signals:
        with signals.subscribe("a") as subscription:
            signals.notify("a")
            signals.notify("a")
            assert await subscription.wait(5) == {"a"}
            assert await subscription.wait(0) == frozenset()


async def test_the_socket_of_a_dead_process_is_cleared_away(tmp_path):
    async with opened(tmp_path) as one:
        two = DatagramSignals(tmp_path)
        await two.open()
        left_behind = two._path
        # As SIGKILL leaves it: the name stays, nobody listens.
        asyncio.get_running_loop().remove_reader(two._socket)
        two._socket.close()
        two._socket = None
        one.notify("a")
        assert not left_behind.exists()
        one.notify("a")


async def test_a_data_directory_with_a_long_path_works(tmp_path):
    deep = tmp_path.joinpath(*["a-rather-long-folder-name"] * 6)
    deep.mkdir(parents=True)
    async with opened(deep) as one, opened(deep) as two:
        with two.subscribe("a") as there:
            one.notify("a")
            assert await there.wait(5) == {"a"}


async def test_closing_removes_the_socket_and_may_be_repeated(tmp_path):
    signals = DatagramSignals(tmp_path)
    await signals.open()
    await signals.open()
    assert len(list(signals._folder.iterdir())) == 1
    await signals.close()
    await signals.close()
    assert not signals._folder.exists()
    signals.notify("a")


async def test_a_full_receiver_blocks_nobody(tmp_path):
    async with opened(tmp_path) as one, opened(tmp_path) as two:
        for number in range(10_000):
            one.notify(f"topic-{number}")
        assert two._socket is not None


def test_a_thread_may_signal_after_the_loop_has_gone():
    signals = LocalSignals()
    signals.notify_threadsafe("a")
    loop = asyncio.new_event_loop()
    signals.bind(loop)
    loop.close()
    with contextlib.ExitStack() as stack:
        subscription = stack.enter_context(signals.subscribe("a"))
        signals.notify_threadsafe("a")
        assert subscription._pending == set()
