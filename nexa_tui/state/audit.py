"""The audit as rows: who did what, the newest first."""

from collections.abc import Sequence

from nexa_node.contract.audit import AuditRecord
from nexa_tui.state.detail import Field, Heading, Line, moment
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

_MARKS = {"done": "pass", "begun": "running", "denied": "fail", "failed": "warn"}


def who(record: AuditRecord) -> str:
    """Whoever did it."""
    entry = record.entry
    return clean(entry.name or entry.actor or "nobody known", 60)


def _outcome(record: AuditRecord, look: Look) -> Cell:
    shown = mark("check", _MARKS[record.entry.outcome], ascii_only=look.ascii_only)
    return Cell(f"{shown.glyph} {record.entry.outcome}", shown.style)


AUDIT: Listing[AuditRecord] = Listing(
    title="Audit",
    columns=(
        Column("time", "time", 9, lambda r, _: Cell(clock(r.entry.time), "muted"),
               lambda r: (stamp(r.entry.time), r.seq), descending=True),
        Column("outcome", "outcome", 10, _outcome,
               lambda r: mark("check", _MARKS[r.entry.outcome]).order),
        Column("who", "who", 12, lambda r, _: Cell(who(r), "strong"), who, grows=1),
        Column("what", "what", 20, lambda r, _: Cell(clean(r.entry.event, 80)),
               lambda r: r.entry.event, grows=2),
        Column("on", "on", 20,
               lambda r, _: Cell(clean(r.entry.resource, 200), "muted"),
               lambda r: r.entry.resource, grows=3, rank=2, tail=True),
        Column("from", "from", 16, lambda r, _: Cell(clean(r.entry.address, 45), "muted"),
               lambda r: r.entry.address, rank=3),
        Column("role", "role", 9, lambda r, _: Cell(clean(r.entry.role, 20), "muted"),
               lambda r: r.entry.role, rank=4),
        Column("ago", "ago", 7,
               lambda r, look: Cell(age(since(r.entry.time, look.now)), "muted"),
               lambda r: how_old(r.entry.time), right=True, rank=3),
        Column("node", "node", 10,
               lambda r, _: Cell(clean(r.chain.partition("/")[0], 40), "muted"),
               lambda r: r.chain, rank=4),
    ),
    key=lambda record: f"{record.chain}/{record.seq}",
    problem=lambda record: record.entry.outcome in {"denied", "failed"},
    address=lambda record: f"nexa://audit/{record.chain}/{record.seq}",
    first=Order("time", descending=True),
    empty=("Nothing was changed yet, and nobody was refused.", "nexa audit verify"),
    note=TIMES,
)  # fmt: skip


def audit_lines(record: AuditRecord, look: Look) -> Sequence[Line]:
    """One record in full."""
    entry = record.entry
    lines: list[Line] = [
        Field("what", clean(entry.event, 200), "strong"),
        Field("outcome", entry.outcome, mark("check", _MARKS[entry.outcome]).style),
        Field(
            "who", f"{who(record)} ({clean(entry.actor or '-')}, {clean(entry.role)})"
        ),
        Field("from", clean(entry.address or "-", 60)),
        Field("on", clean(entry.resource, 500)),
        Field("time", moment(entry.time, look)),
    ]
    if entry.reason:
        lines.append(Field("why", clean(entry.reason, 1000), "warn"))
    for title, told in (("before", entry.before), ("after", entry.after)):
        if told:
            lines.append(Heading(title))
            lines += [Field(clean(k, 40), clean(str(v), 500)) for k, v in told.items()]
    lines += [
        Heading("in its chain"),
        Field("record", f"{record.seq} of {clean(record.chain, 100)}", "muted"),
        Field("request", clean(entry.request, 100), "muted"),
        Field("hash", clean(record.hash, 64), "muted"),
    ]
    return lines
