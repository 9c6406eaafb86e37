from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from nexa_node.contract.nodes import Replica, StreamPlace
from nexa_tui.state.agents import AGENTS
from nexa_tui.state.alert_lists import HISTORY, RULES, SILENCES
from nexa_tui.state.alerts import ALERTS
from nexa_tui.state.audit import AUDIT
from nexa_tui.state.events import EVENTS
from nexa_tui.state.filters import parse
from nexa_tui.state.listing import Choice, Listing, Look, Order, arrange
from nexa_tui.state.nodes import fullness, share_cell
from nexa_tui.state.tasks import TASKS, says, short_id, took_ms
from nexa_tui.state.topology import Part, Seen
from nexa_tui.state.topology_list import PARTS, STREAMS
from tests.builders import NOW, agent, event, node, summary
from tests.tui.alarms import (
    AUDIT as DONE,
    DETAIL,
    FIRING,
    RULES as IN_FORCE,
    SILENCES as ON_AND_OVER,
)

LOOK = Look(now=NOW)
LISTS: Sequence[tuple[Listing[Any], Any]] = (
    (AGENTS, agent()),
    (TASKS, summary()),
    (PARTS, Part(node(), Seen(None))),
    (EVENTS, event()),
    (ALERTS, FIRING),
    (HISTORY, DETAIL.history[0]),
    (SILENCES, ON_AND_OVER[0]),
    (RULES, IN_FORCE[0]),
    (AUDIT, DONE[0]),
)


def ids(listing: Listing[Any], records: Any, **choice: Any) -> list[str]:
    wanted = Choice(choice.pop("order", listing.first), **choice)
    found = arrange(listing, records, wanted, LOOK).records
    return [listing.key(one) for one in found]


@pytest.mark.parametrize(("listing", "record"), LISTS, ids=lambda one: str(one)[:20])
def test_every_column_shows_sorts_and_filters(
    listing: Listing[Any], record: Any
) -> None:
    for column in listing.columns:
        assert column.cell(record, LOOK).text
        assert column.cell(record, Look()).text
        assert ids(listing, [record, record], order=Order(column.key))
    assert set(listing.words(record, LOOK)) == listing.keys
    assert listing.address(record).startswith("nexa://")
    assert any("nexa" in line for line in listing.empty)


@pytest.mark.parametrize(("listing", "record"), LISTS, ids=lambda one: str(one)[:20])
def test_sorting_goes_once_round(listing: Listing[Any], record: Any) -> None:
    order = listing.first
    seen: set[str] = set()
    for _ in listing.columns:
        order = listing.next_order(order)
        seen.add(order.column)

    assert seen == listing.keys


def test_the_most_urgent_agent_comes_first_and_ties_by_name() -> None:
    agents = [
        agent("b"),
        agent("a"),
        agent("broken", state="error"),
        agent("off", state="offline", connected=False),
    ]

    assert ids(AGENTS, agents) == ["broken", "a", "b", "off"]


def test_numbers_are_sorted_as_numbers() -> None:
    agents = [
        agent("a", completed=9),
        agent("b", completed=10),
        agent("c", completed=1),
    ]

    assert ids(AGENTS, agents, order=Order("done", True)) == ["b", "a", "c"]


def test_problems_only() -> None:
    agents = [agent("a"), agent("b", state="draining")]
    tasks = [
        summary("ok", status="completed"),
        summary("bad", status="failed"),
        summary("again", status="pending", attempts=2),
    ]

    assert ids(AGENTS, agents, problems=True) == ["b"]
    assert set(ids(TASKS, tasks, problems=True)) == {"bad", "again"}
    assert ids(PARTS, [Part(node(), Seen(None))], problems=True) == []
    assert ids(EVENTS, [event(severity="critical")], problems=True)


def test_a_filter_reads_what_is_shown() -> None:
    agents = [agent("a", state="busy"), agent("b")]
    typed = parse("state:busy", AGENTS.keys)
    arranged = arrange(AGENTS, agents, Choice(AGENTS.first, typed), LOOK)

    assert [one.id for one in arranged.records] == ["a"]
    assert arranged.total == 2


def test_the_newest_task_and_event_come_first() -> None:
    tasks = [summary("old"), summary("new", submitted=NOW)]
    events = [event("1"), event("2"), event("0", time=NOW + timedelta(seconds=1))]

    assert ids(TASKS, tasks) == ["new", "old"]
    assert ids(EVENTS, events) == ["0", "2", "1"]


def test_foreign_words_are_harmless_in_every_cell() -> None:
    evil = "\x1b]52;c;eA==\x07\u202e[/red]\n"
    records: Sequence[tuple[Listing[Any], Any]] = (
        (AGENTS, agent(evil, name=evil, node=evil, version=evil)),
        (TASKS, summary(evil, type=evil, note=evil)),
        (PARTS, Part(node(evil, url=evil, version=evil), Seen(None))),
        (
            STREAMS,
            StreamPlace(
                name=evil, leader=evil, replicas=(Replica(node=evil, current=False),)
            ),
        ),
        (EVENTS, event(evil, message=evil, kind=evil, subject=evil, node=evil)),
    )
    for listing, record in records:
        for word in listing.words(record, LOOK).values():
            assert word.isprintable(), word


def test_a_running_task_says_how_far_it_is_a_finished_one_how_it_ended() -> None:
    running = summary(status="running", pct=40.0, note="page 4 of 10")
    done = summary(status="completed", result="42 words")

    assert says(running) == "40% page 4 of 10"
    assert says(summary()) == "waits for wc"
    assert says(done) == "42 words"
    assert took_ms(running, LOOK) == 60_000
    assert took_ms(summary(), LOOK) is None


def test_ids_are_shown_by_the_end_that_differs() -> None:
    assert short_id("01jn8qk000000000000000000a") == "…0000000a"
    assert short_id("t-1") == "t-1"


def test_what_runs_out_is_seen_before_it_has() -> None:
    assert [fullness(share) for share in (None, 0.5, 0.9, 0.97)] == [
        "muted",
        "text",
        "warn",
        "crit",
    ]
    assert share_cell(node(host=None), "cpu").text.strip() == "-"


@pytest.mark.parametrize("listing", [AGENTS, TASKS, PARTS, STREAMS, EVENTS])
def test_every_title_has_room_for_the_arrow_of_the_order(listing: Listing[Any]) -> None:
    for column in listing.columns:
        assert len(column.title) < column.width, column.key
