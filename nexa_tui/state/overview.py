"""The Overview in figures and sentences: what is wrong first, and nothing that lies.

A verdict that can't be known any more is not shown as if it were: a lost feed comes
before what the node last said, and says how old that is.
"""

from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap

import msgspec

from nexa_node.contract.alerts import urgency
from nexa_node.contract.nodes import HostSample
from nexa_tui.state.alerts import is_problem, says
from nexa_tui.state.formats import age, duration, per_second
from nexa_tui.state.severity import Mark, mark
from nexa_tui.state.store import (
    BEAT_S,
    ClusterState,
    Denied,
    Gone,
    Live,
    NoNode,
    Opening,
)
from nexa_tui.state.text import clean
from nexa_tui.state.touched import Doubt, PanelName, doubts

Piece = tuple[str, str]
"""Clean text and its style key."""
_GAP = 2.5
"""Beats between two samples, over which something is missing between them."""
_GAP_MAX = 300
_ALARMS_MAX = 4
"""Alerts that the verdict names."""
_FOLDS, _UNFOLDED = 4, 400
"""Of fewer lines than these none is folded: each says the beginning of something else."""


class Headline(msgspec.Struct, frozen=True):
    """What matters most, in one line, and why."""

    mark: Mark
    title: str
    """The verdict as a sentence."""
    reasons: tuple[str, ...] = ()
    remedy: str | None = None
    """The command that mends it."""


class AgentFigures(msgspec.Struct, frozen=True):
    """How many agents there are, and what they have to do."""

    connected: int = 0
    known: int = 0
    working: int = 0
    slots: int = 0
    used: int = 0
    wrong: int = 0

    @property
    def share(self) -> float | None:
        """Of all slots, how many are taken; None without any."""
        return self.used / self.slots if self.slots else None


def headline(state: ClusterState, now: float, *, ascii_only: bool = False) -> Headline:
    """Say the one thing that should be read first."""
    match state.link:
        case Denied(error):
            return Headline(
                mark("feed", "lost", ascii_only=ascii_only),
                clean(error.message, 300),
                remedy=error.remedy,
            )
        case NoNode():
            return Headline(
                mark("health", "unknown", ascii_only=ascii_only), "no node yet"
            )
        case Gone() as gone:
            return _lost(state, gone, now, ascii_only=ascii_only)
        case Opening(url) if state.empty:
            return Headline(
                mark("feed", "connecting", ascii_only=ascii_only),
                f"connecting to {clean(url)}",
            )
        case Opening() | Live():
            return _verdict(state, now, ascii_only=ascii_only)


def countdown(gone: Gone, now: float) -> str:
    """Say when it is tried again."""
    left = max(0, round(gone.retry_at - now))
    return f"trying again in {left} s" if left else "trying again now"


def affected(state: ClusterState) -> Mapping[PanelName, Doubt]:
    """Say which panels can't be trusted wholly, and why: as the node's self-test has it."""
    return doubts(state.selftest.checks) if state.selftest else {}


def agent_figures(state: ClusterState) -> AgentFigures:
    """Count the agents."""
    agents = state.agents.values()
    here = [agent for agent in agents if agent.connected]
    return AgentFigures(
        connected=len(here),
        known=len(agents),
        working=sum(agent.inflight > 0 for agent in here),
        slots=sum(agent.slots for agent in here),
        used=sum(agent.inflight for agent in here),
        wrong=sum(agent.state == "error" for agent in agents),
    )


def series(
    state: ClusterState, value: Callable[[HostSample], float | None]
) -> list[float | None]:
    """One figure over time, the newest last; missed beats are None, not a line."""
    values: list[float | None] = []
    before: HostSample | None = None
    for sample in state.history:
        if before is not None:
            pause = (sample.time - before.time).total_seconds()
            if pause > _GAP * BEAT_S:
                values.extend([None] * min(_GAP_MAX, int(pause / BEAT_S) - 1))
        values.append(value(sample))
        before = sample
    return values


def _lost(state: ClusterState, gone: Gone, now: float, *, ascii_only: bool) -> Headline:
    reasons = [clean(gone.why, 300)]
    heard, next_ = state.age(now), countdown(gone, now)
    if heard is not None and state.cluster is not None:
        was = state.cluster.verdict
        next_ += f"; what is shown is {age(heard).strip()} old, it was {was} then"
    reasons.append(next_)
    return Headline(
        mark("feed", "lost", ascii_only=ascii_only),
        "node is gone" if state.received is not None else "no node answers",
        tuple(reasons),
        gone.remedy,
    )


def _verdict(state: ClusterState, now: float, *, ascii_only: bool) -> Headline:
    assert state.cluster is not None
    reasons = tuple(clean(reason, 300) for reason in state.cluster.reasons)
    if state.stale(now):
        heard = age(state.age(now)).strip()
        return Headline(
            mark("feed", "stale", ascii_only=ascii_only),
            f"nothing heard for {heard}",
            (f"it was {state.cluster.verdict} then", *reasons),
        )
    verdict = clean(state.cluster.verdict, 20)
    shown = mark("health", verdict, ascii_only=ascii_only)
    return Headline(shown, verdict, reasons, _mends(state))


def _mends(state: ClusterState) -> str | None:
    """What mends the worst thing the self-test found, and which that is if there are more."""
    checks = state.selftest.checks if state.selftest else ()
    bad = [one for one in checks if one.status in {"fail", "warn"} and one.remedy]
    bad.sort(key=lambda one: one.status != "fail")
    if not bad:
        return None
    remedy = clean(bad[0].remedy or "", 200)
    return remedy if len(bad) == 1 else f"{clean(bad[0].title, 40)}: {remedy}"


def verdict_lines(
    state: ClusterState,
    now: float,
    *,
    width: int,
    lines: int,
    ascii_only: bool = False,
) -> list[tuple[Piece, ...]]:
    """The verdict, its figures, its reasons and what mends it.

    Args:
        state: What is known.
        now: On the clock of ages.
        width: Cells of a line; what is longer is folded, or cut where lines are few.
        lines: At most so many; reasons that do not fit are counted.
        ascii_only: Whether only ASCII may be drawn.
    """
    told = headline(state, now, ascii_only=ascii_only)
    live = isinstance(state.link, Live) and not state.stale(now)
    title = told.title.upper() if live else told.title
    first: list[Piece] = [
        (" ", "text"),
        (f"{told.mark.glyph} {title}", told.mark.style),
    ]
    if live:
        first += [("   ", "text")]
        first += figures(state, room=width - sum(len(text) for text, _ in first))
    if lines < _FOLDS:
        width = _UNFOLDED
    mend = _labelled("mend", told.remedy, "strong", width) if told.remedy else []
    if live and not told.reasons and not state.alerts and (step := _next_step(state)):
        mend = _labelled("next", step, "strong", width)
    room = max(0, lines - 1 - len(mend))
    rest = [
        line for reason in told.reasons for line in _labelled("", reason, "text", width)
    ]
    if live:
        rest += _alarms(state, ascii_only=ascii_only)
    if lines < _FOLDS:
        rest = rest[:room]
    elif len(rest) > room:
        kept = rest[: max(0, room - 1)]
        more = (
            (f"   and more: {len(told.reasons)} reasons in all; 2 shows them", "muted"),
        )
        rest = [*kept, more][:room]
    return [tuple(first), *rest, *mend]


def _alarms(state: ClusterState, *, ascii_only: bool) -> list[tuple[Piece, ...]]:
    """Alerts that wait for somebody, the most urgent first, a line each."""
    waiting = sorted(filter(is_problem, state.alerts.values()), key=urgency)
    lines: list[tuple[Piece, ...]] = []
    for alert in waiting[:_ALARMS_MAX]:
        shown = mark("alert", alert.severity, ascii_only=ascii_only)
        said = f"{clean(alert.name, 60)}: {says(alert)}"
        if alert.unseen:
            said += " (over, and seen by nobody)"
        lines.append(((f"   {shown.glyph} ", shown.style), (said, "text")))
    more = len(waiting) - _ALARMS_MAX
    if more > 0:
        noun = "alert" if more == 1 else "alerts"
        lines.append(((f"   and {more} more {noun}; 6 shows them", "muted"),))
    return lines


def _next_step(state: ClusterState) -> str | None:
    """What to do with a cluster that has nothing to do yet."""
    if not any(agent.connected for agent in state.agents.values()):
        return "nexa agent run --id wc-1 --capability wc -- wc -w"
    if not state.tasks:
        return "nexa task submit wc --data @README.md --wait"
    return None


def _labelled(label: str, text: str, style: str, width: int) -> list[tuple[Piece, ...]]:
    """A label and its text, folded between words."""
    lead = f"   {label}  " if label else "   "
    parts = wrap(text, max(20, width - len(lead) - 1)) or [""]
    return [
        ((lead if n == 0 else " " * len(lead), "muted"), (part, style))
        for n, part in enumerate(parts)
    ]


def figures(state: ClusterState, *, room: int = _UNFOLDED) -> list[Piece]:
    """How much there is and how fast it goes, in one line.

    Where `room` cells are too few, whole figures are left out, what matters least first:
    half a number is another number.
    """
    agents, counts, sample = agent_figures(state), state.counts, state.sample
    waiting = "warn" if _piling(state) else "strong"
    parts: list[tuple[int, list[Piece]]] = [
        (3, [(f"{agents.connected}", "strong"), (" agents", "muted")]),
        (2, [(f"{counts.running + counts.assigned}", "strong"), (" running", "muted")]),
        (1, [(f"{counts.pending}", waiting), (" waiting", "muted")]),
    ]
    if counts.dead_lettered:
        noun = "dead letter" if counts.dead_lettered == 1 else "dead letters"
        parts.append((0, [(f"{counts.dead_lettered} {noun}", "crit")]))
    if sample is not None and sample.task_p50_ms is not None:
        spent = duration(sample.task_p50_ms).strip()
        parts.append((4, [("p50 ", "muted"), (spent, "strong")]))
    while parts and len(_spaced(parts)) > room:
        parts.remove(max(parts, key=lambda part: part[0]))
    line: list[Piece] = []
    for _, (first, *rest) in parts:
        gap = [("  ", "muted")] if line else []
        line += [*gap, first, *rest]
    return line


def _spaced(parts: Sequence[tuple[int, list[Piece]]]) -> str:
    return "  ".join("".join(text for text, _ in pieces) for _, pieces in parts)


def flow_lines(state: ClusterState) -> list[tuple[Piece, ...]]:
    """Throughput and latency, in two lines."""
    sample = state.sample
    if sample is None:
        return [(("no figures yet", "muted"),)]
    failing = sample.tasks_failed_s > 0
    return [
        (
            ("done", "muted"),
            (per_second(sample.tasks_completed_s), "strong"),
            ("   failed", "muted"),
            (per_second(sample.tasks_failed_s), "crit" if failing else "muted"),
        ),
        (
            ("p50", "muted"),
            (duration(sample.task_p50_ms), "strong"),
            ("   p99", "muted"),
            (duration(sample.task_p99_ms), "strong"),
        ),
    ]


def _piling(state: ClusterState) -> bool:
    """Whether work waits that nobody here can do: agents or slots are missing."""
    counts = state.counts
    return counts.pending > 0 and agent_figures(state).connected == 0
