"""A server that is killed at every step of a delivery, and the one that comes after it."""

import asyncio
import signal
from pathlib import Path

import pytest

from ci_client.cli import main
from ci_common.clock import SystemClock
from ci_common.jobs import EndReason, Result
from ci_common.webhooks import Webhook, new_secret
from ci_persistence.jobs import SQLiteJobRepository
from tests.e2e.crash_points.server import VARIABLE, crashing
from tests.e2e.harness import Server
from tests.fakes.repository import new_job
from tests.waiting import eventually
from tests.webhook_receiver import Receiver, receiving


@pytest.fixture
def receiver():
    with receiving(None) as running:
        yield running


async def _leave_an_end_untold(folder: Path, url: str) -> None:
    """Make data of a server that was killed when a job had just ended."""
    clock = SystemClock()
    repository = SQLiteJobRepository(folder / "ci_jobs.db")
    await repository.initialize()
    try:
        await repository.webhooks.add(
            Webhook(id="wh_1", url=url, secret=new_secret(), created_at=clock.now().wall)
        )
        job, _ = await repository.add(new_job(created=clock.now()))
        await repository.claim(job.id, attempt=0, now=clock.now())
        passed = Result(reason=EndReason.PASSED, exit_code=0)
        assert await repository.finish(job.id, attempt=1, result=passed, now=clock.now())
    finally:
        await repository.close()


def crash(server: Server, point: str) -> None:
    server.program = crashing
    server.settings[VARIABLE] = point
    server.spawn()
    died = eventually(
        lambda: server.process.poll() is not None, what=f"the server dies {point}: {server.log}"
    )
    assert died
    assert server.process.returncode == -signal.SIGKILL
    server.program = main
    del server.settings[VARIABLE]


@pytest.mark.parametrize(
    ("point", "sent_before"),
    [
        ("before WebhookStore.collect", 0),
        ("after WebhookStore.collect", 0),
        ("after WebhookStore.due", 0),
        ("before WebhookStore.record", 1),
        ("after WebhookStore.record", 1),
    ],
)
def test_a_crash_loses_no_message_and_makes_none_twice(
    servers, namespace, receiver: Receiver, point: str, sent_before: int
):
    """One row whatever happens; the receiver sees it once more if nobody could note that it did."""
    server = servers(
        namespace, executor="local", webhook_http="true", webhook_allow="127.0.0.1",
        webhook_ports=str(receiver.port),
    )  # fmt: skip
    asyncio.run(_leave_an_end_untold(server.folder, receiver.url))
    crash(server, point)
    assert len(receiver.messages) == sent_before
    server.start()
    rows = "SELECT id, state, attempts FROM webhook_deliveries"
    (row,) = eventually(
        lambda: [row for row in server.rows(rows) if row[1] == "delivered"], what="it is delivered"
    )
    assert server.rows(rows) == [row]
    sent = 2 if point == "before WebhookStore.record" else 1
    assert [message.id for message in receiver.messages] == [row[0]] * sent
    assert row[2] == 1
