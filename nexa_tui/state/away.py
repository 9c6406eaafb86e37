"""What changed while nobody looked: what was remembered, held against what is known now."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from nexa_node.contract.alerts import Alert, urgency
from nexa_node.contract.events import Event
from nexa_tui.state.detail import Field, Heading, Line, Words
from nexa_tui.state.events import is_problem
from nexa_tui.state.formats import age, clock, date
from nexa_tui.state.severity import mark
from nexa_tui.state.store import ClusterState
from nexa_tui.state.text import clean

EVENTS_MAX = 40
ALERTS_MAX = 30
NAMES_MAX = 12
COUNTED: tuple[tuple[str, str], ...] = (
    ("new alert", "new alerts"),
    ("alert fired and over, unseen", "alerts fired and over, unseen"),
    ("node gone", "nodes gone"),
    ("agent gone", "agents gone"),
    ("event to look at", "events to look at"),
)
"""What the one sentence counts, in its order: one of it, and several."""


class Seen(msgspec.Struct, frozen=True):
    """What a console knew when it was last looked at; kept for each cluster."""

    time: datetime
    """By the node's clock."""
    nodes: tuple[str, ...] = ()
    """Those that ran."""
    agents: tuple[str, ...] = ()
    """Those that were connected."""
    alerts: tuple[str, ...] = ()
    """Fingerprints of those that were on."""
    completed: int = 0
    failed: int = 0
    ids: tuple[str, ...] = ()
    """Of all its nodes: two clusters may have the same name, and share no node."""


class Changes(msgspec.Struct, frozen=True):
    """The difference between then and now."""

    fired: tuple[Alert, ...]
    """On now and not then, what needs somebody first; neither silenced nor explained."""
    unseen: tuple[Alert, ...]
    """Fired since then and over by now, and nobody saw it."""
    over: int
    """On then and not now."""
    nodes: tuple[tuple[str, ...], tuple[str, ...]]
    """Gone, and come."""
    agents: tuple[tuple[str, ...], tuple[str, ...]]
    events: tuple[Event, ...]
    """Those worth a look, the oldest first."""


def seen_now(state: ClusterState, time: datetime) -> Seen:
    """What is known now, at `time` by the node's clock."""
    nodes = state.cluster.nodes if state.cluster else ()
    return Seen(
        time,
        tuple(sorted(node.name for node in nodes if node.state == "running")),
        tuple(sorted(a.id for a in state.agents.values() if a.connected)),
        tuple(sorted(a.fingerprint for a in state.alerts.values() if _is_on(a))),
        state.counts.completed,
        state.counts.failed,
        tuple(sorted(str(node.id) for node in nodes)),
    )


def same_cluster(one: Seen, other: Seen) -> bool:
    """Whether both are of one cluster, as far as its nodes tell."""
    return bool(set(one.ids) & set(other.ids))


def changes(before: Seen, state: ClusterState) -> Changes:
    """Hold what was remembered against what is known."""
    today = seen_now(state, before.time)
    known = set(before.alerts)
    alerts = sorted(state.alerts.values(), key=urgency)
    return Changes(
        fired=tuple(
            a
            for a in alerts
            if _is_on(a) and not _is_covered(a) and a.fingerprint not in known
        ),
        unseen=tuple(
            a for a in alerts if a.unseen and a.fired and a.fired > before.time
        ),
        over=len(known - set(today.alerts)),
        nodes=_difference(before.nodes, today.nodes),
        agents=_difference(before.agents, today.agents),
        events=tuple(e for e in state.events if e.time > before.time and is_problem(e)),
    )


def away_words(before: Seen, state: ClusterState, time: datetime) -> str | None:
    """One sentence for a person who comes back; None if nothing is worth one.

    Args:
        before: What was known then.
        state: What is known now.
        time: Now, by the node's clock.
    """
    told = changes(before, state)
    counts = (
        len(told.fired), len(told.unseen), len(told.nodes[0]), len(told.agents[0]),
        len(told.events),
    )  # fmt: skip
    words = [
        f"{count:,} {one if count == 1 else several}"
        for count, (one, several) in zip(counts, COUNTED, strict=True)
        if count
    ]
    if not words:
        return None
    gone = age((time - before.time).total_seconds()).strip()
    return f"while you were away ({gone}): {', '.join(words)}; w tells"


def away_lines(
    before: Seen, state: ClusterState, time: datetime, *, ascii_only: bool = False
) -> Sequence[Line]:
    """What changed since then, the worst first; sentences, no guesses.

    Args:
        before: What was known then.
        state: What is known now.
        time: Now, by the node's clock.
        ascii_only: Whether only ASCII may be drawn.
    """
    told = changes(before, state)
    ago = age((time - before.time).total_seconds()).strip()
    return [
        Field("since", f"{date(before.time)}, {ago} ago"),
        _tasks(before, state),
        *_alerts(told, ascii_only=ascii_only),
        *_came_and_went("nodes", told.nodes),
        *_came_and_went("agents", told.agents),
        *_events(before, told, state, ascii_only=ascii_only),
    ]


def _tasks(before: Seen, state: ClusterState) -> Line:
    completed = state.counts.completed - before.completed
    failed = state.counts.failed - before.failed
    if completed < 0 or failed < 0:
        return Field("tasks", "counted anew since then: the node began again", "muted")
    style = "warn" if failed else "text"
    return Field("tasks", f"{completed:,} completed, {failed:,} failed", style)


def _alerts(told: Changes, *, ascii_only: bool) -> Iterator[Line]:
    yield Heading("alerts")
    for word, alerts in (("fires", told.fired), ("was on, unseen", told.unseen)):
        for one in alerts[:ALERTS_MAX]:
            shown = mark("alert", one.severity, ascii_only=ascii_only)
            when = clock(one.fired or one.since)
            who = "" if one.ack is None else f", {clean(one.ack.by, 40)} has it"
            said = f"{when} {shown.glyph} {clean(one.name, 60)} {word}{who}"
            yield Words(said, "muted" if one.ack else shown.style)
        if len(alerts) > ALERTS_MAX:
            yield Words(f"and {len(alerts) - ALERTS_MAX} more: 6", "muted")
    yield Words(f"{len(told.fired)} new, {told.over} over", "muted")


def _came_and_went(
    title: str, told: tuple[tuple[str, ...], tuple[str, ...]]
) -> Iterator[Line]:
    gone, come = told
    if gone or come:
        yield Heading(title)
    if gone:
        yield Words(f"gone: {_names(gone)}", "warn")
    if come:
        yield Words(f"came: {_names(come)}", "ok")


def _events(
    before: Seen, told: Changes, state: ClusterState, *, ascii_only: bool
) -> Iterator[Line]:
    yield Heading(f"events to look at: {len(told.events)}")
    for one in reversed(told.events[-EVENTS_MAX:]):
        shown = mark("event", one.severity, ascii_only=ascii_only)
        said = f"{clock(one.time)} {shown.glyph} {clean(one.message, 200)}"
        yield Words(said, shown.style)
    whole = not state.events or state.events[0].time <= before.time
    if not whole or len(told.events) > EVENTS_MAX:
        yield Words("older ones: nexa events --severity warning", "muted")


def _is_on(alert: Alert) -> bool:
    return alert.state in ("firing", "recovering") and alert.severity != "none"


def _is_covered(alert: Alert) -> bool:
    return bool(alert.silenced_by or alert.inhibited_by)


def _difference(
    before: tuple[str, ...], today: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    then, now = set(before), set(today)
    return tuple(sorted(then - now)), tuple(sorted(now - then))


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(clean(one, 40) for one in names[:NAMES_MAX])
    more = len(names) - NAMES_MAX
    return f"{shown} and {more} more" if more > 0 else shown
