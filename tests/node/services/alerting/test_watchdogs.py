"""Watching the watchers: we call a switch outside, and somebody outside calls us."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from nexa_node.contract.errors import NotFound
from nexa_node.ports import Sent
from nexa_node.services.alerting.delivering import Counts
from nexa_node.services.alerting.watchdogs import Heartbeat, Watchdogs
from tests.alerting import OK, alert, around
from tests.fakes import FakeClock, RecordingJournal, settle

WATCHDOG = alert("NexaWatchdog", severity="none")


class Switch:
    """`ports.Heart`."""

    def __init__(self) -> None:
        self.beats = 0
        self.answer = OK

    async def beat(self) -> Sent:
        self.beats += 1
        return self.answer


class Bench:
    def __init__(self) -> None:
        self.clock, self.journal, self.switch = (
            FakeClock(),
            RecordingJournal(),
            Switch(),
        )
        self.counts = Counts()
        self.heartbeat = Heartbeat(
            self.switch,
            around(self.clock, self.journal),
            self.counts,
            every_s=60,
            is_ours=lambda: True,
        )


@asynccontextmanager
async def running() -> AsyncIterator[Bench]:
    bench = Bench()
    task = asyncio.ensure_future(bench.heartbeat.run())
    await settle()
    try:
        yield bench
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_switch_is_called_for_as_long_as_the_watchdog_fires() -> None:
    async with running() as it:
        for _ in range(20):
            await it.heartbeat.told([WATCHDOG, alert("A")])
            await it.clock.advance(15)
        assert it.switch.beats == 5
        assert it.heartbeat.delivered is not None
        await it.heartbeat.told([alert("A")])
        await it.clock.advance(300)

        assert it.switch.beats == 5


async def test_an_evaluation_that_has_stopped_is_a_heart_that_has_stopped() -> None:
    async with running() as it:
        await it.heartbeat.told([WATCHDOG])
        await it.clock.advance(600)

        assert it.switch.beats == 2


async def test_a_switch_that_is_not_reached_is_told_of_once_and_tried_on() -> None:
    async with running() as it:
        it.switch.answer = Sent(False, "no connection", retry=True)
        for _ in range(20):
            await it.heartbeat.told([WATCHDOG])
            await it.clock.advance(15)
        assert it.journal.kinds() == ["heartbeat.failed"]
        assert it.heartbeat.delivered is None
        it.switch.answer = OK
        await it.heartbeat.told([WATCHDOG])
        await it.clock.advance(61)

        assert it.counts.by["heartbeat", "error"] == 5
        assert it.counts.by["heartbeat", "success"] >= 1
        assert it.heartbeat.delivered is not None


async def test_a_watchdog_that_calls_is_noted() -> None:
    clock = FakeClock()
    watchdogs = Watchdogs(("uptime",), clock)
    began = clock.now()
    assert watchdogs.seen() == {"uptime": began}
    await clock.advance(30)
    seen = watchdogs.call("uptime")

    assert watchdogs.seen() == {"uptime": seen.at}
    assert seen.at == clock.now()


async def test_a_watchdog_that_nobody_expects_is_told_so() -> None:
    with pytest.raises(NotFound) as told:
        Watchdogs(("uptime",), FakeClock()).call("other")

    assert told.value.remedy == 'add [[watchdog]] name = "other" to nexa.toml'
