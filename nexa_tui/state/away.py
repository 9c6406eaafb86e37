"""What changed while nobody looked: what was remembered, held against what is known now."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from nexa_tui.state.detail import Field, Heading, Line, Words
from nexa_tui.state.events import is_problem
from nexa_tui.state.formats import age, clock, date
from nexa_tui.state.severity import mark
from nexa_tui.state.store import ClusterState
from nexa_tui.state.text import clean

EVENTS_MAX = 40


class Seen(msgspec.Struct, frozen=True):
    """What a console knew when it was last looked at; kept for each cluster."""

    time: datetime
    """By the node's clock."""
    nodes: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    """Those that were connected."""
    alerts: tuple[str, ...] = ()
    """Fingerprints of those that were on."""
    completed: int = 0
    failed: int = 0


def seen_now(state: ClusterState, now: datetime) -> Seen:
    """What is known now."""
    nodes = state.cluster.nodes if state.cluster else ()
    return Seen(
        now,
        tuple(sorted(node.name for node in nodes if node.state == "running")),
        tuple(sorted(a.id for a in state.agents.values() if a.connected)),
        tuple(sorted(a.fingerprint for a in state.alerts.values())),
        state.counts.completed,
        state.counts.failed,
    )


def away_lines(
    before: Seen, state: ClusterState, now: datetime, *, ascii_only: bool = False
) -> Sequence[Line]:
    """What changed since then, the worst first; sentences, no guesses."""
    today = seen_now(state, now)
    gone = (now - before.time).total_seconds()
    lines: list[Line] = [
        Field("since", f"{date(before.time)} {clock(before.time)}, {age(gone).strip()} ago"),
        Field("tasks", f"{max(0, today.completed - before.completed):,} completed,"
                       f" {max(0, today.failed - before.failed):,} failed"),
    ]  # fmt: skip
    fired = [one for one in state.alerts.values() if one.fingerprint not in before.alerts]
    over = len(set(before.alerts) - set(today.alerts))
    lines.append(Heading("alerts"))
    lines += [
        Words(f"new: {clean(one.name, 60)} ({clean(one.severity, 20)})", "warn")
        for one in fired
    ]
    lines.append(Words(f"{len(fired)} new, {over} over", "muted"))
    for title, old, new in (
        ("nodes", before.nodes, today.nodes),
        ("agents", before.agents, today.agents),
    ):
        left, came = sorted(set(old) - set(new)), sorted(set(new) - set(old))
        if left or came:
            lines.append(Heading(title))
            lines += [Words(f"gone: {_names(left)}", "warn")] if left else []
            lines += [Words(f"came: {_names(came)}", "ok")] if came else []
    told = [one for one in state.events if one.time > before.time and is_problem(one)]
    lines.append(Heading(f"events to look at: {len(told)}"))
    for one in reversed(told[-EVENTS_MAX:]):
        shown = mark("event", one.severity, ascii_only=ascii_only)
        lines.append(Words(f"{clock(one.time)} {shown.glyph} {clean(one.message, 200)}", shown.style))
    if len(told) > EVENTS_MAX:
        lines.append(Words("older ones: nexa events", "muted"))
    return lines


def away_words(before: Seen, state: ClusterState, now: datetime) -> str | None:
    """One sentence for a person who comes back; None if nothing is worth one."""
    today = seen_now(state, now)
    told = [one for one in state.events if one.time > before.time and is_problem(one)]
    parts = [
        (len(set(today.alerts) - set(before.alerts)), "new alert"),
        (len(set(before.nodes) - set(today.nodes)), "node gone", "nodes gone"),
        (len(set(before.agents) - set(today.agents)), "agent gone", "agents gone"),
        (len(told), "event to look at", "events to look at"),
    ]
    words = [f"{p[0]} {p[1] if p[0] == 1 else p[-1] if len(p) > 2 else p[1] + 's'}" for p in parts if p[0]]  # noqa: E501,PLR2004
    if not words:
        return None
    gone = age((now - before.time).total_seconds()).strip()
    return f"while you were away ({gone}): {', '.join(words)}; w tells"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(clean(one, 40) for one in names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown
