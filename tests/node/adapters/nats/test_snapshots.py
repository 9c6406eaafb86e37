"""Streams taken and put back with a real server: everything as it was, or nothing."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexa_node.adapters.nats import snapshots, tails, wire
from nexa_node.adapters.nats.aside import server_aside
from nexa_node.adapters.nats.session import Session
from nexa_node.adapters.nats.snapshots import RestoreFailed, SnapshotFailed
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.core.backups import Described
from tests.node.adapters.nats.tools import QUICK


@pytest.fixture
async def aside(tmp_path: Path) -> AsyncIterator[Session]:
    async with server_aside(QUICK, tmp_path / "aside") as session:
        yield session


async def told(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def session_of(store: NatsStore) -> Session:
    return await store._connection.session()


async def fill(session: Session, subject: str, count: int, size: int = 200) -> None:
    for start in range(0, count, 100):
        await asyncio.gather(
            *(
                session.request(f"{subject}{at % 7}", b"%08d" % at + bytes(size))
                for at in range(start, min(count, start + 100))
            )
        )


async def taken(session: Session, stream: str) -> tuple[Described, list[bytes]]:
    async with snapshots.snapshot(session, stream) as found:
        return found.described, [chunk async for chunk in found.chunks]


async def read(session: Session, stream: str, seq: int) -> wire.Stored | None:
    body = msgspec.json.encode(wire.GetMessage(seq=seq))
    answer = await session.request(f"$JS.API.STREAM.MSG.GET.{stream}", body)
    return wire.read(answer.data, wire.Got).message


async def test_a_restored_stream_has_the_same_messages_at_the_same_places(
    store: NatsStore, aside: Session
) -> None:
    session = await session_of(store)
    await fill(session, "nx.inbox.default.a", 500)
    for seq in (1, 7, 499):
        body = msgspec.json.encode(wire.DeleteMessage(seq=seq))
        await session.request("$JS.API.STREAM.MSG.DELETE.NX_INBOX", body)

    described, chunks = await taken(session, "NX_INBOX")
    progress: list[int] = []
    made = await snapshots.restore(
        aside, described, told(*chunks), on_progress=progress.append
    )

    assert snapshots.differences(described, made) is None
    assert (made.counts.messages, made.counts.last_seq) == (497, 500)
    assert progress[-1] == sum(map(len, chunks))
    for seq in (1, 2, 7, 250, 499, 500):
        assert await read(aside, "NX_INBOX", seq) == await read(
            session, "NX_INBOX", seq
        )


async def test_large_streams_come_in_chunks_that_the_server_holds_back(
    store: NatsStore, aside: Session
) -> None:
    session = await session_of(store)
    noise = [bytes([at % 251]) + os.urandom(300_000) for at in range(60)]
    for at, content in enumerate(noise):
        await session.request(f"nx.inbox.default.n{at}", content)

    async with snapshots.snapshot(session, "NX_INBOX") as found:
        chunks: list[bytes] = []
        waiting = 0
        async for chunk in found.chunks:
            chunks.append(chunk)
            if len(chunks) == 3:
                await asyncio.sleep(0.3)  # the server sends no more than the window
                waiting = sum(len(i._messages) for i in session.inboxes)
    made = await snapshots.restore(aside, found.described, told(*chunks))

    assert max(map(len, chunks)) <= snapshots.CHUNK
    assert waiting * snapshots.CHUNK <= snapshots.WINDOW
    assert made.counts.bytes == found.described.counts.bytes


async def test_a_work_queue_keeps_what_is_in_hand_and_what_is_not(
    store: NatsStore, aside: Session
) -> None:
    session = await session_of(store)
    await fill(session, "nx.task.q.", 20)
    config = wire.ConsumerConfig(
        name="c", durable_name="c", ack_policy="explicit", ack_wait=60 * wire.SECOND
    )
    body = msgspec.json.encode(wire.NewConsumer(stream_name="NX_TASKQ", config=config))
    await session.request("$JS.API.CONSUMER.CREATE.NX_TASKQ.c", body)
    inbox = await session.inbox()
    pull = msgspec.json.encode(wire.Pull(batch=5))
    where = f"{inbox.subject[:-1]}0"
    await session.publish("$JS.API.CONSUMER.MSG.NEXT.NX_TASKQ.c", pull, reply=where)
    got = [await inbox.get() for _ in range(5)]
    for message in got[:2]:
        await session.request(message.reply, b"+ACK")
    await inbox.close()

    described, chunks = await taken(session, "NX_TASKQ")
    await snapshots.restore(aside, described, told(*chunks))

    answer = await aside.request("$JS.API.CONSUMER.INFO.NX_TASKQ.c")
    info = wire.read(answer.data, wire.ConsumerInfo)
    assert (info.num_ack_pending, info.num_pending) == (3, 15)


@pytest.mark.parametrize("damage", ["cut", "missing", "empty", "noise", "flip", "swap"])
async def test_a_damaged_snapshot_leaves_no_stream_behind(
    store: NatsStore, aside: Session, damage: str
) -> None:
    session = await session_of(store)
    for at in range(5):
        await session.request(f"nx.inbox.default.n{at}", os.urandom(200_000))
    described, chunks = await taken(session, "NX_INBOX")
    bad = {
        "cut": [*chunks[:-1], chunks[-1][:-9]],
        "missing": chunks[:-1],
        "empty": [],
        "noise": [b"this is no snapshot at all"],
        "flip": [chunks[0][:999] + bytes([chunks[0][999] ^ 4]), *chunks[1:]],
        "swap": [chunks[1], chunks[0], *chunks[2:]],
    }[damage]

    with pytest.raises(RestoreFailed, match="NX_INBOX was not restored"):
        await snapshots.restore(aside, described, told(*bad))

    assert await snapshots.describe(aside, "NX_INBOX") is None
    made = await snapshots.restore(aside, described, told(*chunks))
    assert snapshots.differences(described, made) is None


async def test_a_stream_that_is_there_is_not_touched(store: NatsStore) -> None:
    session = await session_of(store)
    await fill(session, "nx.inbox.default.a", 10)
    described, chunks = await taken(session, "NX_INBOX")

    with pytest.raises(RestoreFailed, match="already in use"):
        await snapshots.restore(session, described, told(*chunks))

    there = await snapshots.describe(session, "NX_INBOX")
    assert there is not None
    assert there.counts.messages == 10


async def test_a_stream_that_is_not_there_is_said(store: NatsStore) -> None:
    session = await session_of(store)
    with pytest.raises(SnapshotFailed, match="not found"):
        await taken(session, "NX_NOTHING")
    await snapshots.delete(session, "NX_NOTHING")


async def test_all_streams_are_listed_by_name(store: NatsStore) -> None:
    found = await snapshots.streams(await session_of(store))
    names = [one.name for one in found]
    assert names == sorted(names)
    assert {"NX_TASKQ", "KV_nx_tasks", "NX_INBOX", "NX_EVENTS"} <= set(names)
    assert [one.name for one in found if one.is_queue] == ["NX_TASKQ"]


async def test_records_replaced_while_a_bucket_is_taken_are_in_its_tail(
    store: NatsStore, aside: Session
) -> None:
    session = await session_of(store)
    keys = [f"$KV.nx_agents.k{at}" for at in range(300)]
    for key in keys:
        await session.request(key, b"0")
    described, chunks = await taken(session, "KV_nx_agents")
    busy = True

    async def writer() -> None:
        turn = 0
        while busy:
            turn += 1
            for key in keys[:40]:
                await session.request(key, b"%d" % turn)

    writing = asyncio.ensure_future(writer())
    try:
        for key in keys[200:]:
            await session.request(key, b"last")
        late = [
            one
            async for one in tails.read(
                session, "KV_nx_agents", after=described.counts.last_seq
            )
        ]
    finally:
        busy = False
        await writing

    await snapshots.restore(aside, described, told(*chunks))
    count = await tails.add(aside, tails.decode(tails.encode(each(late))))

    assert count == len(late) >= 140
    restored = {one.subject: one for one in await tails.newest(aside, "KV_nx_agents")}
    assert set(restored) == set(keys)
    assert {restored[key].data for key in keys[200:]} == {b"last"}
    assert {restored[key].data for key in keys[40:200]} == {b"0"}
    assert b"0" not in {restored[key].data for key in keys[:40]}


async def test_deletions_in_a_tail_delete(store: NatsStore, aside: Session) -> None:
    session = await session_of(store)
    for at in range(3):
        await session.request(f"$KV.nx_agents.k{at}", b"0")
    described, chunks = await taken(session, "KV_nx_agents")
    purge = {wire.OPERATION: "PURGE", wire.ROLLUP: "sub", wire.TTL: "3600"}
    await session.request("$KV.nx_agents.k1", b"", purge)
    expected = {wire.EXPECTED_LAST: "1", wire.MSG_ID: "x"}
    await session.request("$KV.nx_agents.k0", b"1", expected)

    await snapshots.restore(aside, described, told(*chunks))
    after = described.counts.last_seq
    await tails.add(aside, tails.read(session, "KV_nx_agents", after=after))

    newest = await tails.newest(aside, "KV_nx_agents")
    assert {one.subject: one.data for one in newest} == {
        "$KV.nx_agents.k0": b"1",
        "$KV.nx_agents.k2": b"0",
    }


async def test_records_that_are_there_are_left_alone(aside: Session) -> None:
    config: dict[str, Any] = {"name": "KV_x", "subjects": ["$KV.x.>"]}
    config |= {"max_msgs_per_subject": 1, "storage": "file"}
    await aside.request("$JS.API.STREAM.CREATE.KV_x", msgspec.json.encode(config))
    await aside.request("$KV.x.a", b"old")

    new = [tails.Late("$KV.x.a", {}, b"new"), tails.Late("$KV.x.b", {}, b"new")]
    assert await tails.add(aside, each(new), only_new=True) == 1

    newest = await tails.newest(aside, "KV_x")
    assert {one.subject: one.data for one in newest} == {
        "$KV.x.a": b"old",
        "$KV.x.b": b"new",
    }


@pytest.mark.parametrize("bad", [b"\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1"])
async def test_a_tail_that_is_none_is_refused(bad: bytes) -> None:
    with pytest.raises(RestoreFailed):
        assert [one async for one in tails.decode(told(bad))]


async def each(messages: list[tails.Late]) -> AsyncIterator[tails.Late]:
    for message in messages:
        yield message


@pytest.mark.parametrize(
    ("now", "says"),
    [
        ({"messages": 9}, "has 9 of 10 messages"),
        ({"messages": 11}, "has 11 of 10 messages"),
        ({"last_seq": 19}, "ends at 19 instead of 20"),
        ({"first_seq": 3}, "begins at 3 instead of 5"),
        ({}, None),
    ],
)
def test_differences_are_named(now: dict[str, int], says: str | None) -> None:
    state = {"messages": 10, "first_seq": 5, "last_seq": 20}
    was = Described(name="X", config={}, state=state)
    is_now = Described(name="X", config={}, state={**state, **now})
    said = snapshots.differences(was, is_now)
    assert said == (None if says is None else f"X {says}")


def test_messages_may_only_be_fewer_where_they_age() -> None:
    state = {"messages": 10, "first_seq": 5, "last_seq": 20}
    was = Described(name="X", config={"max_age": 5}, state=state)
    fewer = Described(name="X", config={}, state={**state, "messages": 4})
    more = Described(name="X", config={}, state={**state, "messages": 11})
    assert snapshots.differences(was, fewer) is None
    assert snapshots.differences(was, more) is not None
