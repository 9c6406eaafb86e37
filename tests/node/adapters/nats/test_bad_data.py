"""What can't be read is passed over and logged; a stream made anew is read anew."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nexa_node.adapters.nats import signals, topology, wire
from nexa_node.adapters.nats.session import Session
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.contract.errors import Unavailable
from nexa_node.ports import Caught
from tests import builders
from tests.node.adapters.nats.tools import kill


async def first(arrivals: AsyncIterator[Any]) -> Any:
    return await asyncio.wait_for(anext(arrivals), 10)


async def garbage(store: NatsStore, subject: str) -> None:
    await store._connection.store(subject, b"{", message_id=f"garbage-{subject}")


async def test_a_record_that_can_not_be_read(store: NatsStore) -> None:
    await garbage(store, "$KV.nx_tasks.broken")
    await store.tasks.create(builders.task())
    watch = store.tasks.watch()

    assert (await first(watch)).value == builders.task()
    assert await first(watch) == Caught()
    with pytest.raises(Unavailable, match="broken can't be read"):
        await store.tasks.get("broken")
    await watch.aclose()


async def test_messages_and_events_that_can_not_be_read(store: NatsStore) -> None:
    inbox, events = store.inboxes.arrivals(), store.events.arrivals()
    await garbage(store, "nx.inbox.default.a")
    await store.inboxes.append("default", "a", builders.message("m"), ttl_s=None)
    await garbage(store, "nx.events")
    await store.events.append(builders.event("e"))

    assert (await first(inbox)).message.id == "m"
    assert (await first(events)).id == "e"
    found = await store.inboxes.read("default", "a", after=0, limit=9)
    assert [one.message.id for one in found] == ["m"]
    assert [one.id for one in await store.events.recent(limit=9)] == ["e"]
    assert await store.events.recent(limit=0) == []
    await inbox.aclose()
    await events.aclose()


async def test_signals_that_can_not_be_read_or_are_too_many(
    store: NatsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "WAITING", 2)
    arrivals = store.signals.arrivals()
    session = await store._connection.session()
    await session.publish("nx.fast.default.a", b"{")
    for n in range(4):
        await store.signals.send("default", "a", builders.message(f"m{n}"))
    await session.barrier()
    await asyncio.sleep(0.05)
    heard = [(await first(arrivals)).message.id for _ in range(2)]
    await store.signals.send("default", "a", builders.message("last"))

    assert heard == ["m0", "m1"]
    assert (await first(arrivals)).message.id == "last"
    await arrivals.aclose()


async def test_a_signal_waits_for_the_store(store: NatsStore) -> None:
    arrivals = store.signals.arrivals()
    kill(store)
    session = store._connection._session
    assert session is not None
    await session.ended()
    await store.signals.send("default", "a", builders.message("m"))

    assert (await first(arrivals)).message.id == "m"
    await arrivals.aclose()


async def test_signals_before_the_store_is_open_are_refused() -> None:
    with pytest.raises(Unavailable, match="not open"):
        await signals.NatsSignals().send("default", "a", builders.message())


async def test_arrivals_begin_anew_with_a_stream_that_was_made_anew(
    store: NatsStore,
) -> None:
    arrivals = store.inboxes.arrivals()
    for n in range(5):
        await store.inboxes.append(
            "default", "a", builders.message(f"old{n}"), ttl_s=None
        )
        await first(arrivals)
    call = store._connection.call
    [config] = [
        wanted
        for wanted in store._streams._plan  # the plan of this very store
        if wanted.name == topology.INBOX
    ]
    await call("STREAM.DELETE.NX_INBOX", None, wire.Answer)
    await call("STREAM.CREATE.NX_INBOX", config, wire.StreamInfo)
    await store.inboxes.append("default", "a", builders.message("new"), ttl_s=None)

    assert (await first(arrivals)).message.id == "new"
    await arrivals.aclose()


async def test_a_reader_goes_on_when_its_consumer_is_removed(store: NatsStore) -> None:
    watch = store.tasks.watch()
    assert await first(watch) == Caught()
    listening = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0.1)
    session = await store._connection.session()
    names = await session.request("$JS.API.CONSUMER.NAMES.KV_nx_tasks", b"")
    [consumer] = _names(names.data)
    await session.request(f"$JS.API.CONSUMER.DELETE.KV_nx_tasks.{consumer}", b"")
    await store.tasks.create(builders.task())

    assert (await asyncio.wait_for(listening, 10)).value == builders.task()
    await watch.aclose()


def _names(data: bytes) -> list[str]:
    import msgspec

    return msgspec.json.decode(data)["consumers"]


async def test_a_reader_that_stops_leaves_no_consumer_behind(store: NatsStore) -> None:
    watch = store.tasks.watch()
    await first(watch)
    await watch.aclose()
    session: Session = await store._connection.session()

    async with asyncio.timeout(10):
        while True:
            told = await session.request("$JS.API.CONSUMER.NAMES.KV_nx_tasks", b"")
            if not _names(told.data):
                break


async def test_a_slow_reader_of_much_loses_nothing(store: NatsStore) -> None:
    arrivals = store.events.arrivals()
    await asyncio.gather(
        *(store.events.append(builders.event(f"e{n}")) for n in range(700))
    )
    found = [(await first(arrivals)).id for _ in range(700)]

    assert sorted(found) == sorted(f"e{n}" for n in range(700))
    assert len(await store.events.recent(limit=600)) == 600
    await arrivals.aclose()


async def test_reading_survives_a_restart(store: NatsStore) -> None:
    await store.inboxes.append("default", "a", builders.message("m"), ttl_s=None)
    kill(store)

    [one] = await store.inboxes.read("default", "a", after=0, limit=9)
    assert one.message.id == "m"


@pytest.mark.parametrize("stream", ["NX_INBOX", "NX_EVENTS"])
async def test_a_stream_that_is_gone_is_unavailable(
    store: NatsStore, stream: str
) -> None:
    await store._connection.call(f"STREAM.DELETE.{stream}", None, wire.Answer)
    calls = {
        "NX_INBOX": [
            store.inboxes.last_seq(),
            store.inboxes.ack("default", "a", seq=1),
            store.inboxes.ack("default", "a", upto=1),
        ],
        "NX_EVENTS": [store.events.recent(limit=3)],
    }
    unused = [call for name, those in calls.items() if name != stream for call in those]
    for call in unused:
        call.close()
    results = await asyncio.gather(*calls[stream], return_exceptions=True)

    assert {type(result) for result in results} == {Unavailable}
