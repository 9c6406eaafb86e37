"""The logs of several nodes, read as one; and the ring they are kept in."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from nexa_node.adapters.files.log_ring import LINE_MAX, LogRing
from nexa_node.adapters.files.logs import RING, set_up_logs
from nexa_node.contract.errors import Invalid
from nexa_node.contract.logs import LogLine
from nexa_node.core.policies import LogPolicy
from nexa_node.services.journal.logbook import FIELD_MAX, LogBook
from nexa_node.services.log_api import LogFilter
from tests.audit_rig import MemoryCalls
from tests.fakes import FakeClock

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Plain(logging.Formatter):
    """The message is JSON already."""

    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage()


class Nodes:
    """A few nodes that ask each other."""

    def __init__(self, *names: str) -> None:
        self.clock = FakeClock()
        self.calls = MemoryCalls()
        self.rings = {name: LogRing(lines=1000) for name in names}
        self.books = {
            name: LogBook(
                ring,
                calls=self.calls,
                node=name,
                living=lambda: names,
                clock=self.clock,
            )
            for name, ring in self.rings.items()
        }
        for name, book in self.books.items():
            self.rings[name].setFormatter(Plain())
            book.serve()

    def log(
        self, node: str, at_s: float, event: str, level: str = "info", **more: Any
    ) -> None:
        told = {
            "time": (T0 + timedelta(seconds=at_s)).isoformat(), "level": level,
            "node": node, "logger": "nexa.tasks", "event": event, **more,
        }  # fmt: skip
        emit(self.rings[node], json.dumps(told))


def emit(ring: LogRing, text: str) -> None:
    ring.handle(logging.LogRecord("x", 20, "", 0, text, None, None))


def told(lines: tuple[LogLine, ...]) -> list[str]:
    return [line.event for line in lines]


async def test_lines_of_all_nodes_come_in_the_order_of_time() -> None:
    nodes = Nodes("alpha", "beta")
    nodes.log("alpha", 1, "a1")
    nodes.log("beta", 2, "b1")
    nodes.log("alpha", 3, "a2")

    page = await nodes.books["alpha"].page(LogFilter())

    assert told(page.items) == ["a1", "b1", "a2"]
    assert {line.node for line in page.items} == {"alpha", "beta"}


async def test_a_reader_goes_on_where_it_was_and_misses_nothing() -> None:
    nodes = Nodes("alpha", "beta")
    for n in range(10):
        nodes.log("alpha" if n % 3 else "beta", n, f"e{n}")
    book, seen, cursor = nodes.books["beta"], list[str](), ""

    while True:
        page = await book.page(LogFilter(after=cursor, limit=3))
        if not page.items:
            break
        seen += told(page.items)
        cursor = page.next_cursor or ""
    nodes.log("alpha", 20, "late")
    page = await book.page(LogFilter(after=cursor))

    assert seen == [f"e{n}" for n in range(10)]
    assert told(page.items) == ["late"]


@pytest.mark.parametrize(
    ("query", "events"),
    [
        (LogFilter(level="warning"), ["slow", "broken"]),
        (LogFilter(node="beta"), ["broken"]),
        (LogFilter(component="nexa.ta"), ["began", "slow", "broken"]),
        (LogFilter(component="nats"), []),
        (LogFilter(text="DISK"), ["slow"]),
        (LogFilter(text="sLo"), ["slow"]),
        (LogFilter(limit=2), ["slow", "broken"]),
    ],
)
async def test_only_what_is_asked_for_is_told(
    query: LogFilter, events: list[str]
) -> None:
    nodes = Nodes("alpha", "beta")
    nodes.log("alpha", 1, "began")
    nodes.log("alpha", 2, "slow", "warning", what="the Disk")
    nodes.log("beta", 3, "broken", "error")

    assert told((await nodes.books["alpha"].page(query)).items) == events


async def test_who_waits_is_woken_by_the_next_line() -> None:
    nodes = Nodes("alpha")
    book = nodes.books["alpha"]
    begun = await book.page(LogFilter())
    waiting = asyncio.create_task(
        book.page(LogFilter(after=begun.next_cursor, wait_s=30.0))
    )
    await asyncio.sleep(0)
    nodes.log("alpha", 1, "now")

    assert told((await waiting).items) == ["now"]


async def test_who_waits_is_answered_with_nothing_when_the_time_is_over() -> None:
    nodes = Nodes("alpha", "beta")

    async with advancing(nodes.clock):
        page = await nodes.books["alpha"].page(LogFilter(after="", wait_s=5.0))

    assert page.items == ()
    assert page.next_cursor == "alpha:0,beta:0"


async def test_another_nodes_line_ends_the_waiting_too() -> None:
    nodes = Nodes("alpha", "beta")
    waiting = asyncio.create_task(
        nodes.books["alpha"].page(LogFilter(after="", wait_s=30.0))
    )
    await asyncio.sleep(0)
    nodes.log("beta", 1, "there")
    async with advancing(nodes.clock):
        assert told((await waiting).items) == ["there"]


async def test_a_node_that_does_not_answer_is_left_out_and_caught_up_with() -> None:
    nodes = Nodes("alpha", "beta")
    nodes.log("alpha", 1, "a")
    nodes.log("beta", 2, "b")
    handler = nodes.calls.handlers.pop(("beta", "logs-list"))
    page = await nodes.books["alpha"].page(LogFilter())
    assert told(page.items) == ["a"]

    nodes.calls.handlers["beta", "logs-list"] = handler
    page = await nodes.books["alpha"].page(LogFilter(after=page.next_cursor))
    assert told(page.items) == ["b"]


@pytest.mark.parametrize(
    "after", ["alpha", "alpha:x", "../:1", "alpha:1,,", "alpha:-1"]
)
async def test_a_cursor_that_is_none_is_refused(after: str) -> None:
    with pytest.raises(Invalid, match="cursors"):
        await Nodes("alpha").books["alpha"].page(LogFilter(after=after))


async def test_a_long_value_is_cut_on_its_way_between_nodes() -> None:
    nodes = Nodes("alpha", "beta")
    nodes.log("beta", 1, "raised", exception="x" * 9000)

    page = await nodes.books["alpha"].page(LogFilter())

    assert len(page.items[0].fields["exception"]) == FIELD_MAX


def test_the_ring_keeps_the_newest_and_positions_grow_whatever_the_clock_does() -> None:
    ring = LogRing(lines=3)
    ring.setFormatter(Plain())
    for n, second in enumerate((1, 2, 2, 1, 5)):
        at = (T0 + timedelta(seconds=second)).isoformat()
        emit(ring, json.dumps({"time": at, "event": f"e{n}"}))

    lines = list(ring.since(0))
    assert told(tuple(lines)) == ["e2", "e3", "e4"]
    assert [line.seq for line in lines] == sorted({line.seq for line in lines})
    assert told(tuple(ring.backwards())) == ["e4", "e3", "e2"]


def test_what_is_no_json_is_told_as_it_stands() -> None:
    ring = LogRing()
    ring.setFormatter(Plain())
    emit(ring, "Traceback: \x1b[31mred")
    emit(ring, "   ")
    emit(ring, json.dumps({"event": "y" * LINE_MAX, "level": "loud", "time": "today"}))

    first, second = ring.since(0)
    assert (first.event, first.level) == ("Traceback: \x1b[31mred", "info")
    assert second.fields == {"cut": True}


def test_nodes_that_share_a_file_each_tell_their_own_lines(tmp_path: Path) -> None:
    path = tmp_path / "node.jsonl"
    lines = [{"event": f"of {name}", "node": name} for name in ("alpha", "beta")]
    path.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    ring = LogRing()
    ring.begin(path, node="beta")

    assert [line.event for line in ring.since(0)] == ["of beta"]


def test_a_restarted_node_still_has_what_it_logged_before(tmp_path: Path) -> None:
    path, root = tmp_path / "node.jsonl", logging.getLogger()
    before, level = root.handlers[:], root.level
    made: list[logging.Handler] = []
    try:
        set_up_logs(LogPolicy(), path, node="alpha", foreground=False)
        structlog.get_logger().info("first_run", agents=3)
        seq = RING.newest()
        made += root.handlers[:1]
        set_up_logs(LogPolicy(), path, node="alpha", foreground=False)
        made += root.handlers[:1]
        structlog.get_logger().warning("second_run")

        first, second = RING.since(0)
        assert (first.event, first.seq, first.fields) == (
            "first_run",
            seq,
            {"agents": 3},
        )
        assert (second.event, second.level, second.node) == (
            "second_run",
            "warning",
            "alpha",
        )
    finally:
        for handler in made:
            handler.close()
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()


@asynccontextmanager
async def advancing(clock: FakeClock) -> AsyncGenerator[None, None]:
    """Let time pass as fast as it is waited for."""

    async def run() -> None:
        while True:
            await clock.advance(0.5)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
