import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from nexa_node.contract.ids import is_slug
from nexa_node.services.journal.journal import (
    MESSAGE_MAX,
    RETRY_S,
    SAVED_AT_ONCE,
    UNSAVED_MAX,
    EventJournal,
)
from tests.fakes import CountingEntropy, FakeClock, MemoryStore, settle


def make(store: MemoryStore, *, debug_burst: float = 1e9) -> EventJournal:
    return EventJournal(
        events=store.events,
        clock=store.clock,
        node="alpha",
        entropy=CountingEntropy(),
        debug_burst=debug_burst,
    )


@pytest.fixture(autouse=True)
def logs() -> object:
    with capture_logs() as captured:
        yield captured


@asynccontextmanager
async def running(store: MemoryStore) -> AsyncIterator[EventJournal]:
    journal = make(store)
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(journal.run())
        yield journal
        loop.cancel()


def note(journal: EventJournal, severity: str = "info", message: str = "") -> None:
    journal.record("a.b", subject="x/y", message=message, severity=severity)


async def test_an_event_is_stamped_and_stored() -> None:
    store = MemoryStore()
    async with running(store) as journal:
        journal.record(
            "agent.joined", subject="agent/wc-1", message="hello", data={"slots": 2}
        )
        await settle()

    [event] = store.events.stored
    assert (event.kind, event.subject, event.severity) == (
        "agent.joined",
        "agent/wc-1",
        "info",
    )
    assert (event.node, event.time, event.data) == (
        "alpha",
        store.clock.now(),
        {"slots": 2},
    )
    assert is_slug(event.id)


async def test_events_are_stored_in_the_order_they_happened() -> None:
    store = MemoryStore(FakeClock())
    async with running(store) as journal:
        for number in range(SAVED_AT_ONCE * 3):
            note(journal, message=str(number))
        await settle()

    assert [event.message for event in store.events.stored] == [
        str(number) for number in range(SAVED_AT_ONCE * 3)
    ]
    assert len({event.id for event in store.events.stored}) == SAVED_AT_ONCE * 3


def test_one_line_is_logged_at_the_level_of_the_event(logs: list[dict]) -> None:
    journal = make(MemoryStore())
    for severity in ("debug", "info", "warning", "critical"):
        note(journal, severity, "told")

    assert [line["log_level"] for line in logs] == [
        "debug",
        "info",
        "warning",
        "critical",
    ]
    assert all(line["message"] == "told" for line in logs)


async def test_what_a_store_that_is_away_did_not_take_is_stored_when_it_is_back() -> (
    None
):
    store = MemoryStore()
    async with running(store) as journal:
        store.available = False
        note(journal, message="first")
        await settle()
        note(journal, message="second")
        assert (journal.unsaved, store.events.stored) == (2, [])

        store.available = True
        await store.clock.advance(RETRY_S)

        assert [event.message for event in store.events.stored] == ["first", "second"]
        assert (journal.unsaved, journal.dropped) == (0, 0)


async def test_a_cancelled_save_loses_nothing() -> None:
    store = MemoryStore()
    journal = make(store)
    note(journal)
    saving = asyncio.ensure_future(journal.save())
    await asyncio.sleep(0)
    saving.cancel()
    await settle()

    assert journal.unsaved == 1


def test_debug_events_go_first_when_too_many_wait() -> None:
    journal = make(MemoryStore())
    for number in range(UNSAVED_MAX):
        note(journal, "debug" if number % 2 else "warning", str(number))

    note(journal, "debug", "one more")
    assert (journal.unsaved, journal.dropped) == (UNSAVED_MAX, 1)

    note(journal, "critical", "the end")
    assert journal.unsaved == UNSAVED_MAX // 2 + 1
    assert journal.dropped == UNSAVED_MAX // 2 + 1


async def test_of_a_flood_of_routine_only_some_is_kept() -> None:
    store = MemoryStore()
    journal = make(store, debug_burst=10)
    for number in range(100):
        note(journal, "debug", str(number))
    note(journal, "info", "the last")

    assert (journal.unsaved, journal.thinned, journal.dropped) == (11, 90, 0)

    await store.clock.advance(1)
    note(journal, "debug")
    assert journal.unsaved == 12


def test_without_debug_events_the_oldest_goes() -> None:
    journal = make(MemoryStore())
    for number in range(UNSAVED_MAX + 3):
        note(journal, message=str(number))

    assert (journal.unsaved, journal.dropped) == (UNSAVED_MAX, 3)


async def test_lost_events_are_told_when_the_store_is_back() -> None:
    store = MemoryStore()
    async with running(store) as journal:
        store.available = False
        for _ in range(UNSAVED_MAX + 2):
            note(journal)
        await settle()
        store.available = True
        await store.clock.advance(RETRY_S)

        told = store.events.stored[-1]
        assert told.kind == "journal.dropped"
        assert "2 events were lost" in told.message


async def test_an_event_the_store_can_not_hold_is_dropped_and_stops_nobody() -> None:
    store = MemoryStore()
    real = store.events.append

    async def append(event: object) -> None:
        if event.message == "poison":
            raise ValueError("not this one")
        await real(event)

    store.events.append = append
    async with running(store) as journal:
        note(journal, message="poison")
        note(journal, message="fine")
        await settle()

        assert [event.message for event in store.events.stored] == ["fine"]
        assert journal.dropped == 1


async def test_whatever_is_recorded_nothing_is_raised() -> None:
    store = MemoryStore()
    loop: dict[str, object] = {}
    loop["self"] = loop
    async with running(store) as journal:
        note(journal, "catastrophic", "x" * (MESSAGE_MAX * 2))
        journal.record(
            "a.b",
            subject="x/y",
            message="m",
            data={"error": ValueError("v"), "fine": 1, "tags": {"b"}},
        )
        journal.record("a.b", subject="x/y", message="m", data=loop)
        await settle()

    long, odd, endless = store.events.stored
    assert (long.severity, len(long.message)) == ("warning", MESSAGE_MAX)
    assert odd.data == {"error": "<ValueError>", "fine": 1, "tags": ["b"]}
    assert endless.data == {"self": "<dict>"}
