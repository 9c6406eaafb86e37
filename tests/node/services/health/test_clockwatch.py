"""A clock that somebody set is told; leases don't notice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nexa_node.services.health.clockwatch import ClockWatch
from tests.fakes import FakeClock, RecordingJournal, settle
from tests.rig import Rig


@asynccontextmanager
async def watching() -> AsyncIterator[tuple[FakeClock, RecordingJournal]]:
    clock, journal = FakeClock(), RecordingJournal()
    watch = ClockWatch(clock=clock, journal=journal, node="alpha")
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(watch.run())
        await settle()
        yield clock, journal
        loop.cancel()


@pytest.mark.parametrize(
    ("seconds", "told"), [(3600.0, "+3600.0 s"), (-90.0, "-90.0 s")]
)
async def test_a_jump_is_told_with_what_to_do(seconds: float, told: str) -> None:
    async with watching() as (clock, journal):
        await clock.advance(2)
        clock.jump(seconds)
        await clock.advance(2)
        await clock.advance(2)

    record = journal.last("clock.jumped")
    assert journal.kinds() == ["clock.jumped"]
    assert told in record.message
    assert "timedatectl" in record.message


async def test_drift_is_no_jump() -> None:
    async with watching() as (clock, journal):
        clock.jump(0.2)
        await clock.advance(10)

    assert journal.kinds() == []


@pytest.mark.parametrize("seconds", [-86_400.0, 86_400.0])
async def test_a_lease_lives_as_long_as_it_would_have(seconds: float) -> None:
    async with Rig() as rig:
        agent = await rig.agent("wc-1")
        submitted = await rig.submit()
        await rig.clock.advance(1)
        await agent.accept()
        rig.clock.jump(seconds)
        await rig.clock.advance(5)
        held = rig.task(submitted.id)

    assert held.status in {"assigned", "running"}
    assert held.attempts == 1
