"""Events as rows."""

from nexa_node.contract.events import Event
from nexa_tui.state.formats import TIMES, age, clock
from nexa_tui.state.listing import (
    Cell,
    Column,
    Listing,
    Look,
    Order,
    how_old,
    since,
    stamp,
)
from nexa_tui.state.severity import mark
from nexa_tui.state.text import clean

_PROBLEMS = frozenset(("warning", "critical"))


def is_problem(event: Event) -> bool:
    """Say whether somebody should look at it."""
    return event.severity in _PROBLEMS


def _severity(event: Event, look: Look) -> Cell:
    shown = mark("event", clean(event.severity, 20), ascii_only=look.ascii_only)
    return Cell(shown.text, shown.style)


def _message(event: Event, look: Look) -> Cell:
    style = mark("event", event.severity, ascii_only=look.ascii_only).style
    return Cell(clean(event.message, 400), style)


EVENTS: Listing[Event] = Listing(
    title="Events",
    columns=(
        Column("time", "time", 9, lambda e, _: Cell(clock(e.time), "muted"),
               lambda e: (stamp(e.time), e.id), descending=True),
        Column("severity", "severity", 10, _severity,
               lambda e: mark("event", e.severity).order, rank=2),
        Column("kind", "kind", 17, lambda e, _: Cell(clean(e.kind, 40), "muted"),
               lambda e: e.kind, rank=3),
        Column("message", "what happened", 30, _message, lambda e: e.message, grows=5),
        Column("subject", "subject", 16,
               lambda e, _: Cell(clean(e.subject, 60), "muted"),
               lambda e: e.subject, rank=3, grows=1),
        Column("age", "ago", 7,
               lambda e, look: Cell(age(since(e.time, look.now)), "muted"),
               lambda e: how_old(e.time), right=True, rank=2),
        Column("node", "node", 10, lambda e, _: Cell(clean(e.node, 40), "muted"),
               lambda e: e.node, rank=4),
    ),
    key=lambda event: event.id,
    problem=is_problem,
    address=lambda event: f"nexa://events/{event.id}",
    first=Order("time", descending=True),
    empty=("Nothing has happened yet.", "nexa events"),
    note=TIMES,
)  # fmt: skip
"""The list of events: the newest first."""
