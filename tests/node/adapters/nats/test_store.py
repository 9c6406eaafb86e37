"""The store as a whole: it never blocks the loop, and says how it is."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from nexa_node.adapters.nats import probe, wire
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.store import Background, NatsStore
from nexa_node.contract.errors import Unavailable
from nexa_node.ports import Store
from tests import builders
from tests.node.adapters.nats.tools import QUICK, back, kill, opened


async def test_nothing_blocks_the_loop(folder: object) -> None:
    buster = BlockBuster()
    # Starting a child from the loop's own thread is on purpose: see child.spawn.
    buster.functions["os.read"].can_block_in("subprocess.py", {"_execute_child"})
    buster.activate()
    try:
        async with opened(folder) as store:  # type: ignore[arg-type]
            await store.tasks.create(builders.task())
            await store.queue.put(builders.task())
            await store.queue.take("default", "wc", limit=1, wait_s=0.1)
            kill(store)
            await back(store, 1)
            await store.round_trip()
    finally:
        buster.deactivate()


async def test_it_is_a_store(store: NatsStore) -> None:
    as_port: Store = store
    health = as_port.health()

    assert health.connected
    assert health.detail.startswith("nats-server 2.15.1 on 127.0.0.1:")
    assert health.restarts == 0
    assert store.warnings == ()


async def test_a_store_that_returns_something_else_fails_the_probe(
    store: NatsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire.Stored, "payload", lambda _: b"something else")

    with pytest.raises(Unavailable, match="something else"):
        await store.round_trip()


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([None], "should win has lost"),
        ([1, None], "should win has lost"),
        ([1, 2, 3], "should lose has won"),
    ],
)
async def test_a_compare_and_set_that_lies_fails_the_probe(
    store: NatsStore,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[int | None],
    said: str,
) -> None:
    told = iter(answers)

    async def lie(*_: object) -> int | None:
        return next(told)

    monkeypatch.setattr(probe, "_swap", lie)
    with pytest.raises(Unavailable, match=said):
        await store.round_trip()


async def test_a_refused_probe_is_told(
    store: NatsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store._connection.call("STREAM.DELETE.NX_PROBE", None, wire.Answer)
    monkeypatch.setattr(Connection, "store", _stored)

    with pytest.raises(Unavailable, match="stream not found"):
        await store.round_trip()


async def _stored(*_: object, **__: object) -> wire.PubAck:
    return wire.PubAck(stream="x", seq=1)


async def test_background_work_is_finished_or_cancelled() -> None:
    done: list[str] = []
    background = Background()

    async def work(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        done.append(name)

    async def fail() -> None:
        raise RuntimeError("told in the log")

    background.spawn(work("short", 0.01))
    background.spawn(work("long", 60))
    background.spawn(fail())
    await background.settle(0.2)

    assert done == ["short"]


async def test_work_that_swallows_one_cancellation_is_cancelled_again() -> None:
    """As nats-py and, before Python 3.12, asyncio.wait_for do now and then."""
    background = Background()

    async def swallow() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    background.spawn(swallow())
    await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await background.settle(0)


async def test_closing_at_any_moment_of_a_restart_ends(tmp_path: Path) -> None:
    for n in range(12):
        async with asyncio.timeout(15):
            async with opened(tmp_path / f"n{n}") as store:
                kill(store)
                await asyncio.sleep(0.001 * n**2)
        assert store.health().pid is None


async def test_leaving_by_an_error_ends_the_server_too(folder: object) -> None:
    seen: list[NatsStore] = []

    async def work() -> None:
        async with opened(folder, QUICK) as store:  # type: ignore[arg-type]
            seen.append(store)
            raise LookupError("the caller's own")

    with pytest.raises(LookupError, match="the caller's own"):
        await work()
    assert seen[0].health().pid is None
    assert not seen[0].health().connected
