"""What a request asks of the database and of the event loop: counted, never timed."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import replace

import pytest

from ci_common.clock import SystemClock
from ci_common.jobs import EndReason
from ci_persistence.account_statements import ANY_USERS
from ci_server.queue import HORIZON
from tests.contract.http_harness import RunningServer, running_server
from tests.fakes.repository import new_job
from tests.fakes.sqlite_watch import Watch, watched
from tests.unit.persistence.filling import fill_with_ended_jobs
from tests.waiting import eventually


@pytest.fixture
def server(tmp_path) -> Iterator[RunningServer]:
    with running_server(tmp_path) as running:
        yield running


@contextmanager
def counted(server: RunningServer) -> Iterator[Watch]:
    stack = AsyncExitStack()
    watch = server.call(stack.enter_async_context(watched(server.parts.repository)))
    try:
        yield watch
    finally:
        server.call(stack.aclose())


def asked(watch: Watch) -> list[str]:
    """Return what a request asked beside whether there are users, which it looks at once."""
    assert watch.queries.count(ANY_USERS) == 1
    return [query for query in watch.queries if query != ANY_USERS]


def test_a_submit_is_one_transaction_of_few_statements(server):
    with counted(server) as watch:
        server.submit(headers={"Idempotency-Key": "k"})
    assert watch.commits == 1
    # SQLite reports the statement again for what it has a trigger do.
    kinds = [query.split()[0] for query in dict.fromkeys(asked(watch))]
    assert kinds == ["SELECT", "SELECT", "SELECT", "INSERT", "SELECT"], watch.queries


def test_an_ended_job_is_one_query(server):
    job_id = server.ended(b"x")
    with counted(server) as watch:
        assert server.get(f"/jobs/{job_id}").json()["status"] == "completed"
    assert len(asked(watch)) == 1, watch.statements


def test_a_queued_job_is_two_queries_and_a_forecast_that_is_shared(server):
    job_id = server.submit()
    with counted(server) as watch:
        assert server.get(f"/jobs/{job_id}").json()["position"] == 1
    assert len(asked(watch)) == 2 + 4, watch.statements

    # As if it had taken so long to make that it is good for an hour.
    queue = server.parts.queue
    queue._forecast = replace(queue._forecast, good_for=3600)
    with counted(server) as watch:
        assert server.get(f"/jobs/{job_id}").json()["position"] == 1
    assert len(asked(watch)) == 2, watch.statements


def test_a_forecast_looks_no_farther_than_the_front_of_the_queue(server):
    """What lies behind it costs nothing: ten thousand queued as little as five hundred."""

    async def steps(jobs: int) -> int:
        for _ in range(jobs):
            await server.parts.repository.add(new_job())
        async with watched(server.parts.repository) as watch:
            forecast = await server.parts.queue._make(SystemClock().now())
        assert len(forecast.starts) <= HORIZON
        return watch.steps

    with_some = server.call(steps(HORIZON))
    assert server.call(steps(200)) == with_some


@pytest.mark.parametrize("jobs", [3, 300])
def test_a_page_of_jobs_is_one_query_and_reads_no_more_than_it_shows(server, jobs):
    fill_with_ended_jobs(server.settings.db_path, jobs)
    with counted(server) as watch:
        shown = server.get("/jobs?limit=2").json()
    assert len(shown) == 2
    assert len(asked(watch)) == 1, watch.statements
    # Two jobs, and for each three look-ups by key in its results.
    assert watch.steps < 250


def test_following_a_busy_log_asks_the_database_nothing(server):
    job = server.claim(server.submit())
    with server.stream(f"/jobs/{job.id}/stream") as reader:
        next(reader)
        with counted(server) as watch:
            for _ in range(20):
                server.write(job, b"a line\n")
                assert next(reader)[1]["data"] == "a line\n"
        # A reader looks at the row by itself now and then, in case a signal was lost.
        assert len(watch.statements) <= 3, watch.statements
        server.finish(job, EndReason.PASSED)


def test_a_stream_costs_one_task_besides_its_requests_own(server):
    readers = 10
    job = server.claim(server.submit())

    async def tasks() -> int:
        return len(asyncio.all_tasks())

    before = server.call(tasks())
    with ExitStack() as stack:
        for _ in range(readers):
            next(stack.enter_context(server.stream(f"/jobs/{job.id}/stream")))
        assert server.call(tasks()) - before <= 2 * readers
    eventually(lambda: server.call(tasks()) <= before, what="the tasks of streams have ended")


def test_lines_that_come_together_go_to_a_crowd_together(server):
    """A thousand readers must not cost a core because a job writes line by line."""
    crowd, lines = 20, 200
    job = server.claim(server.submit())
    with ExitStack() as stack:
        readers = [
            stack.enter_context(server.stream(f"/jobs/{job.id}/stream")) for _ in range(crowd)
        ]
        for reader in readers:
            next(reader)

        async def write_all() -> None:
            for _ in range(lines):
                await server.controller.write(job, b"a line\n")
                await asyncio.sleep(0)

        server.call(write_all())
        server.finish(job)
        for reader in readers:
            events = list(reader)
            text = "".join(event["data"] for _, event in events if event["type"] == "log")
            assert text == "a line\n" * lines
            assert len(events) < lines / 2
