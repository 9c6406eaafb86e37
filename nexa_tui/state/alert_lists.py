"""What surrounds the board: what became of alerts, silences, and the rules that watch."""

from collections.abc import Sequence

from nexa_node.contract.alerts import AlertChange, Rule, Silence
from nexa_node.contract.matchers import written
from nexa_tui.state.detail import Field, Heading, Line, Words, moment
from nexa_tui.state.formats import TIMES, age, clock, date, duration
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
from nexa_tui.state.severity import StyleKey, mark
from nexa_tui.state.text import clean, clean_lines

_CHANGED: dict[str, StyleKey] = {
    "firing": "crit", "escalated": "crit", "reopened": "warn", "flapping": "warn",
    "pending": "warn", "resolved": "ok", "acknowledged": "ok", "steady": "ok",
}  # fmt: skip
_HEALTH: dict[str, str] = {"ok": "pass", "err": "fail", "unknown": "pending"}


def _change(change: AlertChange, _: Look) -> Cell:
    return Cell(change.change, _CHANGED.get(change.change, "muted"))


HISTORY: Listing[AlertChange] = Listing(
    title="What became of alerts",
    columns=(
        Column("time", "time", 20, lambda c, _: Cell(date(c.time), "muted"),
               lambda c: (stamp(c.time), c.id), descending=True, narrow=9),
        Column("change", "change", 14, _change, lambda c: c.change),
        Column("name", "alert", 20, lambda c, _: Cell(clean(c.name, 80), "strong"),
               lambda c: c.name, grows=2),
        Column("by", "by", 12, lambda c, _: Cell(clean(c.by or "its rule", 40), "muted"),
               lambda c: c.by, rank=2),
        Column("text", "says", 16, lambda c, _: Cell(clean(c.text, 300) or "-"),
               lambda c: c.text, grows=3, rank=2),
        Column("severity", "severity", 10,
               lambda c, look: Cell(
                   mark("alert", c.severity, ascii_only=look.ascii_only).text, "muted"),
               lambda c: mark("alert", c.severity).order, rank=3),
        Column("age", "ago", 7,
               lambda c, look: Cell(age(since(c.time, look.now)), "muted"),
               lambda c: how_old(c.time), right=True, rank=3),
    ),
    key=lambda change: change.id,
    problem=lambda change: change.change in {"firing", "escalated", "flapping"},
    address=lambda change: f"nexa://alerts/{change.fingerprint}",
    first=Order("time", descending=True),
    empty=("No alert has ever changed here.", "nexa alerts history"),
    note=TIMES,
)  # fmt: skip
"""The newest first."""


def conditions(silence: Silence) -> str:
    """What it hides, as it is typed."""
    return clean(" ".join(written(one) for one in silence.matchers), 500)


def _state(silence: Silence, look: Look) -> Cell:
    if look.now is None:
        return Cell("-", "muted")
    if look.now >= silence.ends:
        return Cell("over", "muted")
    return (
        Cell("planned", "accent") if look.now < silence.starts else Cell("on", "warn")
    )


SILENCES: Listing[Silence] = Listing(
    title="Silences",
    columns=(
        Column("state", "state", 8, _state, lambda s: stamp(s.ends), descending=True),
        Column("what", "hides", 24, lambda s, _: Cell(conditions(s), "strong"),
               conditions, grows=3),
        Column("left", "left", 7,
               lambda s, look: Cell(age(since(look.now, s.ends)), "text"),
               lambda s: stamp(s.ends), right=True),
        Column("by", "by", 12, lambda s, _: Cell(clean(s.by, 40), "muted"),
               lambda s: s.by, rank=2),
        Column("why", "because", 16, lambda s, _: Cell(clean(s.comment, 200)),
               lambda s: s.comment, grows=2, rank=2),
        Column("ends", "ends", 20, lambda s, _: Cell(date(s.ends), "muted"),
               lambda s: stamp(s.ends), rank=3),
        Column("id", "id", 10, lambda s, _: Cell(clean(s.id, 40), "muted"),
               lambda s: s.id, rank=4),
    ),
    key=lambda silence: silence.id,
    problem=lambda _: False,
    address=lambda silence: f"nexa://silences/{silence.id}",
    first=Order("state", descending=True),
    empty=("Nothing is silenced: every alert is told.",
           "nexa silences add alertname=NAME --duration 2h --comment WHY"),
    note=TIMES,
)  # fmt: skip
"""What ends last comes first."""


def _health(rule: Rule, look: Look) -> Cell:
    shown = mark("check", _HEALTH[rule.health], ascii_only=look.ascii_only)
    return Cell(f"{shown.glyph} {rule.health}", shown.style)


RULES: Listing[Rule] = Listing(
    title="Rules",
    columns=(
        Column("health", "health", 10, _health,
               lambda r: mark("check", _HEALTH[r.health]).order, narrow=8),
        Column("name", "rule", 24, lambda r, _: Cell(clean(r.name, 100), "strong"),
               lambda r: r.name, grows=2),
        Column("on", "on", 4,
               lambda r, _: Cell(str(r.alerts), "crit" if r.alerts else "muted"),
               lambda r: r.alerts, right=True, descending=True),
        Column("for", "for", 7, lambda r, _: Cell(age(r.for_s), "muted"),
               lambda r: r.for_s, right=True, rank=3),
        Column("took", "took", 7, lambda r, _: Cell(duration(r.duration_ms), "muted"),
               lambda r: r.duration_ms, right=True, rank=3, descending=True),
        Column("expression", "expression", 20,
               lambda r, _: Cell(clean(" ".join(r.expression.split()), 400)),
               lambda r: r.expression,
               grows=4, rank=2),
        Column("group", "group", 14, lambda r, _: Cell(clean(r.group, 60), "muted"),
               lambda r: r.group, rank=4),
        Column("where", "where", 8,
               lambda r, _: Cell("each node" if r.local else "cluster", "muted"),
               lambda r: r.local, rank=4),
    ),
    key=lambda rule: f"{rule.group}/{rule.name}/{rule.expression}",
    problem=lambda rule: rule.health == "err" or rule.alerts > 0,
    address=lambda rule: f"nexa://rules/{rule.name}",
    first=Order("health"),
    empty=("No rule is in force.", "nexa rules list"),
)  # fmt: skip
"""What can't be evaluated comes first."""


def change_lines(change: AlertChange, look: Look) -> Sequence[Line]:
    """One change in full."""
    return (
        Field("change", change.change, _CHANGED.get(change.change, "text")),
        Field("alert", clean(change.name, 200), "strong"),
        Field("time", moment(change.time, look)),
        Field("by", clean(change.by or "its rule", 100)),
        *(Words(one) for one in clean_lines(change.text, 2000, 20)),
        Field("id", clean(change.fingerprint), "muted"),
    )


def silence_lines(silence: Silence, look: Look) -> Sequence[Line]:
    """One silence in full."""
    return (
        Field("hides", conditions(silence), "strong"),
        Field("because", clean(silence.comment, 1000)),
        Field("by", clean(silence.by, 100)),
        Field("from", moment(silence.starts, look)),
        Field("to", f"{date(silence.ends)} ({clock(silence.ends)} UTC)"),
        Field("end it", f"nexa silences expire {clean(silence.id, 60)}", "accent"),
    )


def rule_lines(rule: Rule, look: Look) -> Sequence[Line]:
    """One rule in full."""
    lines: list[Line] = [
        Field("rule", clean(rule.name, 200), "strong"),
        Field("health", rule.health, "crit" if rule.health == "err" else "ok"),
    ]
    if rule.error:
        lines.append(Field("error", clean(rule.error, 1000), "crit"))
    lines += [
        Field(
            "group", f"{clean(rule.group, 100)}, each {age(rule.interval_s).strip()}"
        ),
        Field("file", clean(rule.file, 300), "muted"),
        Field("fires", f"after {age(rule.for_s).strip()} without a break"),
        Field("stays", f"{age(rule.keep_firing_for_s).strip()} after that is over"),
        Field("evaluated", moment(rule.evaluated, look)),
        Heading("expression"),
        *(Words(one, "accent") for one in clean_lines(rule.expression, 2000, 40)),
    ]
    for title, told in (("labels", rule.labels), ("annotations", rule.annotations)):
        if told:
            lines.append(Heading(title))
            lines += [Field(clean(k, 40), clean(v, 1000)) for k, v in told.items()]
    return lines
