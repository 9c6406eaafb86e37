"""1 → a cluster: nothing is lost, whatever happens in between."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from nexa_node.adapters.nats import snapshots
from nexa_node.adapters.nats.config import Member
from nexa_node.adapters.nats.failures import StoreFailed
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.contract.errors import Conflict
from tests.node.adapters.nats import cluster_tools
from tests.node.adapters.nats.tools import eventually, opened

pytestmark = pytest.mark.timeout(180)
PHASES = ("wait", "snapshot", "start", "restore", "verify", "sync", "commit")


@pytest.fixture
def pair(tmp_path: Path) -> cluster_tools.Trio:
    return cluster_tools.Trio(tmp_path, replicas=1, size=2)


@pytest.fixture
async def joiner(pair: cluster_tools.Trio) -> AsyncIterator[NatsStore]:
    async with pair.open("beta") as store:
        yield store


async def fill(store: NatsStore, count: int = 300) -> None:
    for number in range(count):
        subject = f"$KV.nx_tasks.k{number % 50}" if number % 2 else "nx.inbox.a.b.c"
        await store._connection.store(subject, b"x" * 99, message_id=f"m{number}")


async def figures(store: NatsStore) -> dict[str, tuple[int, int]]:
    session = await store._connection.session(store._connection.deadline())
    return {
        one.name: (one.counts.messages, one.counts.last_seq)
        for one in await snapshots.streams(session)
    }


async def nothing(_: Member) -> None: ...


async def test_everything_is_there_afterwards_and_positions_still_mean_the_same(
    pair: cluster_tools.Trio, joiner: NatsStore
) -> None:
    async with opened(pair.folder("alpha")) as store:
        await fill(store)
        before, epoch = await figures(store), store._inbox_epoch()
        assert not store.cluster.shape().clustered

        phases = [g.phase async for g in store.forming(pair.member("alpha"), nothing)]
        await eventually(lambda: joiner.health().connected)

        assert await figures(store) == before
        assert await figures(joiner) == before
        assert store._inbox_epoch() == joiner._inbox_epoch() == epoch
        assert list(dict.fromkeys(phases)) == [*PHASES, "done"]
        assert not (pair.folder("alpha") / "jetstream").exists()
        with pytest.raises(Conflict, match="already"):
            await anext(aiter(store.forming(pair.member("alpha"), nothing)))


async def test_a_commit_that_fails_leads_back_and_the_next_attempt_works(
    pair: cluster_tools.Trio, joiner: NatsStore
) -> None:
    async def full(_: Member) -> None:
        raise StoreFailed("the disk is full")

    async with opened(pair.folder("alpha")) as store:
        await fill(store)
        before = await figures(store)
        phases: list[str] = []

        async def form() -> None:
            forming = store.forming(pair.member("alpha"), full)
            phases.extend([growth.phase async for growth in forming])

        with pytest.raises(StoreFailed, match="disk is full"):
            await form()

        assert await figures(store) == before
        assert not store.cluster.shape().clustered
        await fill(store, 10)
        before = await figures(store)
        async for _ in store.forming(pair.member("alpha"), nothing):
            pass
        await eventually(lambda: joiner.health().connected)
        assert await figures(joiner) == before


SHORT = ("snapshot", "restore", "commit")
"""What the default run tries; the others differ from these by little, and take as long."""


@pytest.mark.parametrize(
    "phase",
    [
        phase if phase in SHORT else pytest.param(phase, marks=pytest.mark.slow)
        for phase in PHASES
    ],
)
async def test_killed_in_any_phase_nothing_is_lost(
    pair: cluster_tools.Trio, joiner: NatsStore, phase: str
) -> None:
    folder, member = pair.folder("alpha"), pair.member("alpha")
    async with opened(folder) as store:
        await fill(store)
        before = await figures(store)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.node.adapters.nats.forming_child",
        str(folder),
        phase,
        msgspec.json.encode(member, enc_hook=str),
        cwd=Path(__file__).parents[4],
    )
    assert await child.wait() == -9

    committed = (folder / "committed").exists()
    assert committed == (phase == "commit")
    if committed:
        async with pair.open("alpha") as store:
            await eventually(lambda: store.health().connected, 40)
            assert await figures(store) == before
            await eventually(lambda: not (folder / "jetstream").exists())
        return
    async with opened(folder) as store:
        assert await figures(store) == before
        assert not (folder / member.store).exists()
        assert not (folder / "forming").exists()
        async for _ in store.forming(replace(member), nothing):
            pass
        await eventually(lambda: joiner.health().connected, 40)
        assert await figures(joiner) == before
