"""Group commit: many writes at once are answered exactly as each alone would be."""

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest

from nexa_node.adapters.nats import topology, wire, writes
from nexa_node.adapters.nats.connection import Connection, WrongSequence
from nexa_node.adapters.nats.message import Msg
from nexa_node.adapters.nats.records import NatsTasks
from nexa_node.adapters.nats.session import Asker, Lost, Session
from nexa_node.adapters.nats.store import Background, NatsStore
from nexa_node.adapters.nats.writes import Stream, Tally, Write
from nexa_node.contract.errors import Conflict, NexaError, PayloadTooLarge, Unavailable
from nexa_node.core.policies import StorePolicy
from tests import builders
from tests.node.adapters.nats.tools import Road, back, kill, opened

MANY = 200
STORED = Msg("", "", b'{"stream":"A","seq":1}')


async def nothing(_session: Session) -> None: ...


@contextlib.asynccontextmanager
async def connected(
    upstream: Any, timeout_s: float = 5, *, direct: bool = True
) -> AsyncIterator[Connection]:
    connection = Connection(upstream, nothing, timeout_s=timeout_s, direct=direct)
    await connection.open()
    background = Background()
    background.spawn(connection.keep())
    try:
        yield connection
    finally:
        await background.settle(0)
        await connection.close()


async def all_of(*calls: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def one_by_one(*calls: Awaitable[Any]) -> list[Any]:
    found: list[Any] = []
    for call in calls:
        found += await all_of(call)
    return found


# -- answers ---------------------------------------------------------------------


async def test_revisions_of_writes_that_went_together_are_their_own(
    store: NatsStore,
) -> None:
    names = [f"t{n}" for n in range(MANY)]
    made = await all_of(*(store.tasks.create(builders.task(name)) for name in names))
    found = await all_of(*(store.tasks.get(name) for name in names))

    assert store._connection.tally.batched > MANY / 2
    assert store._connection.tally.refused == 0
    assert sorted(made) == list(range(1, MANY + 1))
    assert [one.revision for one in found] == made
    assert [one.value.id for one in found] == names


async def test_one_caller_at_a_time_never_waits_for_a_batch(store: NatsStore) -> None:
    for n in range(30):
        await store.tasks.create(builders.task(f"t{n}"))

    assert store._connection.tally == Tally(alone=30)


async def mixed(connection: Connection, prefix: str, run: Any) -> list[Any]:
    """Writes of every kind, with losers among them; answers without sequences."""
    tasks, bucket = NatsTasks(connection), topology.bucket_prefix(topology.TASKS)

    def write(n: int, **headers: str) -> Awaitable[Any]:
        return connection.store(
            f"{bucket}{prefix}{n}", b"{}", message_id=f"{prefix}-{n}", headers=headers
        )

    first = await tasks.create(builders.task(f"{prefix}old"))
    gone = await tasks.create(builders.task(f"{prefix}gone"))
    assert first
    assert gone
    await write(7)
    calls = [
        *(write(n) for n in range(60)),
        *(tasks.create(builders.task(f"{prefix}new{n}")) for n in range(60)),
        tasks.create(builders.task(f"{prefix}old")),
        tasks.update(builders.task(f"{prefix}old", note="wins"), revision=first),
        tasks.update(builders.task(f"{prefix}old", note="loses"), revision=first),
        tasks.update(builders.task(f"{prefix}new1"), revision=99_999),
        tasks.delete(f"{prefix}gone"),
        write(99, **{wire.TTL: "3600"}),
        write(98, **{wire.TTL: "nonsense"}),
        write(97, **{wire.EXPECTED_LAST: "5"}),
    ]
    return [_without_sequence(answer) for answer in await run(*calls)]


def _without_sequence(answer: Any) -> Any:
    if isinstance(answer, wire.PubAck):
        return answer.stream, answer.duplicate
    if isinstance(answer, WrongSequence):
        return "lost", answer.message_id[1:], answer.unsure
    if isinstance(answer, NexaError):
        return type(answer)
    return answer if answer is None else type(answer)


async def test_each_gets_the_answer_it_would_have_got_alone(store: NatsStore) -> None:
    connection = store._connection
    alone = await mixed(connection, "a", one_by_one)
    before = connection.tally.batches
    together = await mixed(connection, "b", all_of)

    assert before == 0
    assert connection.tally.batches > 0
    assert together == alone
    assert ("KV_nx_tasks", True) in together
    assert Conflict in together
    assert None in together


async def test_of_many_that_want_the_same_record_one_wins(store: NatsStore) -> None:
    made = await all_of(*(store.tasks.create(builders.task()) for _ in range(MANY)))

    assert len([revision for revision in made if revision is not None]) == 1


async def test_a_conflict_in_a_batch_is_only_the_loser_s(store: NatsStore) -> None:
    await store.tasks.create(builders.task("t50"))
    names = [f"t{n}" for n in range(MANY)]
    made = await all_of(*(store.tasks.create(builders.task(name)) for name in names))

    assert store._connection.tally.refused > 0
    assert [name for name, one in zip(names, made, strict=True) if one is None] == [
        "t50"
    ]
    assert len(await stored(store, "KV_nx_tasks")) == MANY


async def test_the_same_message_in_a_batch_is_stored_once(store: NatsStore) -> None:
    messages = [builders.message(f"m{n % 100}") for n in range(2 * 100)]
    told = await all_of(
        *(store.inboxes.append("default", "a", m, ttl_s=None) for m in messages)
    )

    assert sorted(told) == sorted(
        (seq, duplicate) for seq in range(1, 101) for duplicate in (False, True)
    )
    assert len(await stored(store, topology.INBOX)) == 100


async def test_order_is_kept(store: NatsStore) -> None:
    told = await all_of(
        *(store.events.append(builders.event(f"e{n}")) for n in range(MANY))
    )
    found = await store.events.recent(limit=MANY)

    assert told == [None] * MANY
    assert [event.id for event in found] == [f"e{n}" for n in range(MANY)]


async def test_messages_of_a_batch_live_as_long_as_they_should(
    store: NatsStore,
) -> None:
    calls = [
        store.inboxes.append(
            "default", "a", builders.message(f"m{n}"), ttl_s=1 if n % 2 else None
        )
        for n in range(MANY)
    ]
    await all_of(*calls)
    assert store._connection.tally.batched > 0
    async with asyncio.timeout(10):
        while len(await stored(store, topology.INBOX)) > MANY / 2:
            await asyncio.sleep(0.1)
    left = await store.inboxes.read("default", "a", after=0, limit=MANY)

    assert {int(one.message.id[1:]) % 2 for one in left} == {0}


async def test_big_writes_go_alone(
    store: NatsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "GROUP_BYTES", 2_000)
    tasks = [builders.task(f"t{n}", data="x" * 500) for n in range(60)]
    made = await all_of(*(store.tasks.create(task) for task in tasks))

    assert store._connection.tally.batches == 0
    assert sorted(made) == list(range(1, 61))


# -- faults ----------------------------------------------------------------------


async def stored(store: NatsStore, stream: str) -> list[int]:
    """The positions in a stream."""
    info = await store._connection.call(f"STREAM.INFO.{stream}", None, wire.StreamInfo)
    return list(range(info.state.messages))


async def test_kill_9_in_a_stream_of_batches(store: NatsStore) -> None:
    """Nothing acknowledged is lost, nothing is stored twice."""
    revisions: dict[str, int] = {}
    positions: dict[str, int] = {}
    numbers = itertools.count()

    async def write() -> None:
        for n in numbers:
            if n >= 3000:
                return
            name = f"t{n}"
            revision = await store.tasks.create(builders.task(name))
            assert revision is not None
            revisions[name] = revision
            positions[name], duplicate = await store.inboxes.append(
                "default", "a", builders.message(name), ttl_s=None
            )
            assert not duplicate

    async def trouble() -> None:
        for killed in range(1, 5):
            async with asyncio.timeout(20):
                while len(revisions) < 500 * killed:
                    await asyncio.sleep(0.001)
            kill(store)
            await back(store, killed)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(write())
        group.create_task(trouble())

    assert store._connection.tally.batched > 1000
    assert len(set(revisions.values())) == 3000
    assert len(await stored(store, "KV_nx_tasks")) == 3000
    for name, revision in revisions.items():
        found = await store.tasks.get(name)
        assert found is not None
        assert found.revision == revision
    inbox = await store.inboxes.read("default", "a", after=0, limit=5000)
    assert {one.message.id: one.seq for one in inbox} == positions
    assert len(inbox) == 3000


@pytest.mark.parametrize("direct", [True, False])
async def test_a_lost_answer_to_a_batch_stores_once_and_is_nobody_s_conflict(
    store: NatsStore, *, direct: bool
) -> None:
    async with (
        Road(store._server).open() as road,
        connected(road, direct=direct) as connection,
    ):
        tasks = NatsTasks(connection)
        road.lose_answer_to(b"Nats-Batch-Commit")
        made = await all_of(
            *(tasks.create(builders.task(f"t{n}")) for n in range(MANY))
        )
        found = await all_of(*(tasks.get(f"t{n}") for n in range(MANY)))
        nobody = await tasks.get("t-none")

        assert road.connections == 2
    assert [one.revision for one in found] == made
    assert nobody is None
    assert len(await stored(store, "KV_nx_tasks")) == MANY


async def test_a_full_store_answers_everybody(folder: Path) -> None:
    async with opened(folder, StorePolicy(max_bytes=3_000_000)) as store:
        tasks = [builders.task(f"t{n}", data="x" * 20_000) for n in range(MANY)]
        made = await all_of(*(store.tasks.create(task) for task in tasks))
        found = await all_of(*(store.tasks.get(task.id) for task in tasks))

    refused = [one for one in made if isinstance(one, Unavailable)]
    assert store._connection.tally.batches > 0
    assert 0 < len(refused) < MANY
    assert all("the store is full" in one.message for one in refused)
    assert [None if one is None else one.revision for one in found] == [
        None if isinstance(one, Unavailable) else one for one in made
    ]


async def test_a_stream_that_takes_no_batches_still_stores(store: NatsStore) -> None:
    connection = store._connection
    config = wire.StreamConfig(name="NX_OTHER", subjects=("nx.other.>",))
    await connection.call("STREAM.CREATE.NX_OTHER", config, wire.StreamInfo)
    acks = await all_of(
        *(
            connection.store(f"nx.other.{n}", b"x", message_id=f"o{n}")
            for n in range(1000)
        )
    )

    assert sorted(ack.seq for ack in acks) == list(range(1, 1001))
    assert connection.tally.batched == 0
    assert 1 < connection.tally.refused < 6


async def test_who_gave_up_while_waiting_stores_nothing(store: NatsStore) -> None:
    calls = [
        asyncio.ensure_future(store.tasks.create(builders.task(f"t{n}")))
        for n in range(MANY)
    ]
    await asyncio.sleep(0)
    for call in calls[100:]:
        call.cancel()
    told = await all_of(*calls)

    assert all(isinstance(one, int) for one in told[:100])
    assert all(isinstance(one, asyncio.CancelledError) for one in told[100:])
    assert len(await stored(store, "KV_nx_tasks")) == 100


async def test_nobody_waits_longer_than_told_for_a_server_that_hangs(
    store: NatsStore,
) -> None:
    async with connected(store._server, timeout_s=0.5) as connection:
        tasks = NatsTasks(connection)
        pid = store.health().pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            began = asyncio.get_running_loop().time()
            told = await all_of(
                *(tasks.create(builders.task(f"t{n}")) for n in range(MANY))
            )
            took = asyncio.get_running_loop().time() - began
        finally:
            os.kill(pid, signal.SIGCONT)

    assert {type(one) for one in told} == {Unavailable}
    assert took < 1.5


async def test_more_than_can_wait_are_refused_at_once(
    store: NatsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "WAITING_MAX", 10)
    told = await all_of(
        *(store.tasks.create(builders.task(f"t{n}")) for n in range(MANY))
    )
    refused = [one for one in told if isinstance(one, Unavailable)]

    assert len(refused) == MANY - 10 - writes.ALONE
    assert all(one.retryable and "overloaded" in one.message for one in refused)


async def test_what_is_too_large_is_refused_alone(store: NatsStore) -> None:
    tasks = [builders.task(f"t{n}") for n in range(60)]
    tasks[30] = builders.task("t30", data="x" * 5 * 1024**2)
    told = await all_of(*(store.tasks.create(task) for task in tasks))

    assert [n for n, one in enumerate(told) if not isinstance(one, int)] == [30]
    assert isinstance(told[30], PayloadTooLarge)


async def test_a_subject_that_is_none_is_its_caller_s_mistake(
    store: NatsStore,
) -> None:
    told = await all_of(
        *(
            store._connection.store(
                "nx.events" if n != 40 else "nx.events x", b"{}", message_id=f"e{n}"
            )
            for n in range(80)
        )
    )

    assert [n for n, one in enumerate(told) if not isinstance(one, wire.PubAck)] == [40]
    assert isinstance(told[40], ValueError)


# -- answers that no nats-server should give --------------------------------------


class Wire:
    """Keeps what a line sends."""

    name = "s"
    is_lost = False

    def __init__(self) -> None:
        self.link = self
        self.asked: list[Asker] = []

    def check(self, payload: bytes) -> None: ...

    def sweep_soon(self) -> None: ...

    def publish(self, *_: object) -> None: ...

    def ask(self, _subject: str, _payload: bytes, asker: Asker, **_: object) -> str:
        self.asked.append(asker)
        return ""


def scene() -> tuple[Wire, Stream, list[Write]]:
    """A line with a batch on its way, which was asked last; and its members."""
    wired = Wire()
    line = Stream(wired, "-", Tally())  # type: ignore[arg-type]
    made = [
        Write(f"a.{n}", b"", message_id=f"{n}", headers={}, deadline=1e9, try_s=1e9)
        for n in range(writes.ALONE + writes.GROUP_MIN)
    ]
    for write in made:
        line.put(write)
    return wired, line, made[writes.ALONE :]


@pytest.mark.parametrize(
    ("answer", "is_unsure"),
    [
        (b"{", True),
        (b"{}", True),
        (b'{"stream":"A","seq":9,"count":3}', True),
        (b'{"error":{"code":503,"err_code":10077}}', True),
        (b'{"error":{"code":400,"err_code":10071}}', True),
        (b'{"error":{"code":400,"err_code":10201}}', False),
        (b'{"error":{"code":400,"err_code":10176}}', False),
    ],
)
async def test_after_a_refused_batch_it_is_known_whether_some_may_be_stored(
    answer: bytes, *, is_unsure: bool
) -> None:
    wired, _, members = scene()
    wired.asked[-1].take(Msg("", "", answer))
    wired.asked[0].take(STORED)

    assert wired.asked[-1] is members[0]
    assert {write.is_unsure for write in members} == {is_unsure}
    assert not any(write.future.done() for write in members)


async def test_a_batch_that_nobody_heard_goes_one_by_one() -> None:
    wired, _, members = scene()
    wired.asked[-1].take(Msg("", "", b"", b"NATS/1.0 503\r\n\r\n"))
    wired.asked[0].take(STORED)

    assert not any(write.is_unsure for write in members)
    assert wired.asked[-1] is members[0]


async def test_a_batch_without_an_answer_fails_all() -> None:
    wired, _, members = scene()
    wired.asked[-1].fail(Lost())

    for write in members:
        with pytest.raises(Lost):
            await write.future


async def test_an_answer_to_one_that_can_not_be_read() -> None:
    wired, _, _ = scene()
    write = wired.asked[1]
    assert isinstance(write, Write)
    write.take(Msg("", "", b"{"))

    with pytest.raises(Unavailable, match="can't be read"):
        await write.future


async def test_a_member_of_a_batch_gives_up_at_its_own_time() -> None:
    wired, line, members = scene()
    members[3].deadline = 5

    assert line.sweep(6)
    with pytest.raises(TimeoutError):
        await members[3].future
    wired.asked[-1].take(
        Msg("", "", b'{"stream":"A","seq":40,"count":%d}' % len(members))
    )
    assert (await members[4].future).seq == 40 - len(members) + 5
