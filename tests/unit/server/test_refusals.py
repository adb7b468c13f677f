"""How much of what is refused is written down, whoever tries however often."""

from datetime import UTC, datetime

from ci_common.audit import AuditedAction, AuditEntry, Outcome
from ci_server.refusals import INTERVAL, MOST_AT_ONCE, Refusals
from tests.fakes.clock import FakeClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Log:
    """Keeps entries in a list."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def record(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


class World:
    """Refusals whose time is the test's."""

    def __init__(self) -> None:
        self.log, self.now = Log(), 0.0
        self.refusals = Refusals(self.log, FakeClock(), lambda: self.now)

    async def refuse(self, number: int, times: int = 1) -> None:
        entry = AuditEntry(
            at=NOW, action=AuditedAction.ACCESS_REFUSED, outcome=Outcome.REFUSED,
            subject="GET /jobs", detail="not_signed_in",
            address=f"192.0.{number // 250}.{number % 250}",
        )  # fmt: skip
        for _ in range(times):
            await self.refusals.add(entry)

    @property
    def details(self) -> list[str]:
        return [entry.detail for entry in self.log.entries]


async def test_repeats_are_a_number_and_the_next_window_begins_anew():
    world = World()
    await world.refuse(1, times=1000)
    assert world.details == ["not_signed_in"]
    await world.refusals.tell()
    assert world.details[1:] == ["not_signed_in; 999 times more within 60 s"]
    await world.refuse(1)
    assert len(world.details) == 3
    await world.refusals.close()
    assert len(world.details) == 3


async def test_addresses_of_one_ipv6_network_are_one_client():
    world = World()
    for number in range(9):
        entry = AuditEntry(
            at=NOW, action=AuditedAction.ACCESS_REFUSED, address=f"2001:db8::{number}"
        )
        await world.refusals.add(entry)
    assert len(world.details) == 1
    await world.refusals.close()


async def test_whoever_comes_from_everywhere_fills_no_disk():
    world = World()
    for number in range(5000):
        await world.refuse(number)
    assert len(world.details) == MOST_AT_ONCE
    await world.refusals.tell()
    assert world.details[MOST_AT_ONCE:] == ["4,940 attempts more, too many to write each"]
    world.now += 2 * INTERVAL
    for number in range(5000):
        await world.refuse(number)
    assert len(world.details) == MOST_AT_ONCE + 1 + 2
    await world.refusals.close()
    assert len(world.details) == MOST_AT_ONCE + 1 + 2 + 1
