"""After a partition both sides' histories are told: of this node, and of the others."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from nexa_node.contract.errors import Unavailable
from nexa_node.services.cluster.partitions import SETTLED_S, TOLD, Partitions
from tests import builders
from tests.fakes import FakeClock, MemoryStore, RecordingJournal, settle
from tests.shared_fakes import MemoryConflicts


class Scene:
    def __init__(self, *heard: str) -> None:
        self.quorum, self.refusals, self.hears = True, 0, set(heard)
        self.clock, self.journal = FakeClock(), RecordingJournal()
        self.log, self.store = MemoryConflicts(), MemoryStore()
        self.partitions = Partitions(
            clustered=lambda: True,
            has_quorum=lambda: self.quorum,
            heard=lambda: {"beta", *self.hears},
            refused=lambda: self.refusals,
            events=self.store.events,
            conflicts=self.log,
            clock=self.clock,
            journal=self.journal,
            node="beta",
        )

    async def happens(self, node: str, message: str, **more: Any) -> None:
        now = self.clock.now()
        event = builders.event(node=node, message=message, time=now, **more)
        await self.store.events.append(event)

    async def away(self, seconds: float) -> None:
        self.quorum = False
        await self.clock.advance(seconds)
        self.quorum = True


@asynccontextmanager
async def running(*heard: str) -> AsyncGenerator[Scene]:
    scene = Scene(*heard)
    loop = asyncio.create_task(scene.partitions.run())
    await settle()
    await scene.clock.advance(2 * SETTLED_S)
    try:
        yield scene
    finally:
        loop.cancel()


async def test_what_each_side_did_is_told_once_they_are_one_again() -> None:
    async with running("gamma") as it:
        await it.clock.advance(60)
        await it.happens("alpha", "long before")
        await it.clock.advance(60)
        it.quorum, it.refusals = False, 12  # before the next look
        await it.clock.advance(6)
        await it.happens("beta", "asked its agents to move", id="e1")
        await it.happens("alpha", "is the controller after beta", id="e2")
        await it.happens("alpha", "a detail", severity="debug", id="e3")
        it.quorum = True
        await it.clock.advance(1)
        assert it.log.kept == {}, "what was kept back is not stored yet"
        await it.clock.advance(SETTLED_S + 2)

    (one,) = it.log.kept.values()
    mine, others = one.sides
    assert one.message.startswith("beta, gamma heard too few others for")
    assert (mine.name, mine.kept, others.kept) == ("beta, gamma", False, True)
    assert mine.did[0] == "beta refused 12 writes, and stored nothing"
    assert "asked its agents to move" in mine.did[1]
    assert len(others.did) == 1
    assert "alpha: is the controller after beta" in others.did[0]
    assert it.journal.last("partition.healed").data["conflict"] == one.id


async def test_a_hiccup_is_no_partition() -> None:
    async with running() as it:
        await it.away(0.5)
        await it.clock.advance(30)

    assert it.log.kept == {}


async def test_one_of_the_nodes_that_were_cut_off_together_writes_it_down() -> None:
    async with running("alpha") as it:
        await it.away(5)
        await it.clock.advance(30)

    assert it.log.kept == {}, "alpha does it"


async def test_who_is_heard_again_a_moment_before_the_end_was_not_cut_off() -> None:
    async with running() as it:
        it.quorum = False
        await it.clock.advance(10)
        it.hears = {"alpha", "gamma"}
        await it.clock.advance(1)
        it.quorum = True
        await it.clock.advance(30)

    (one,) = it.log.kept.values()
    assert one.sides[0].name == "beta"


async def test_a_store_that_is_away_is_asked_again() -> None:
    async with running() as it:
        tries = 0
        add = it.log.add

        async def failing(record: Any) -> None:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise Unavailable("away")
            await add(record)

        it.log.add = failing
        await it.away(5)
        await it.clock.advance(30)

    assert (tries, len(it.log.kept)) == (3, 1)


async def test_more_than_anybody_reads_is_counted() -> None:
    async with running() as it:
        it.quorum = False
        await it.clock.advance(3)
        for number in range(TOLD + 7):
            await it.happens("alpha", f"event {number}", id=f"e{number}")
        it.quorum = True
        await it.clock.advance(30)

    (one,) = it.log.kept.values()
    assert len(one.sides[1].did) == TOLD + 1
    assert one.sides[1].did[-1] == "and 7 more: nexa events"
    assert one.time < it.clock.now() - timedelta(seconds=1)
