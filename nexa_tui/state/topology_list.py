"""Nodes and streams of a cluster as rows."""

from nexa_node.contract.nodes import Replica, StreamPlace
from nexa_tui.state.formats import age, count, duration, size
from nexa_tui.state.listing import Cell, Column, Listing, Look, Order, how_old, since
from nexa_tui.state.nodes import health_cell, share_cell
from nexa_tui.state.severity import StyleKey, mark
from nexa_tui.state.text import clean
from nexa_tui.state.topology import Part, behind, lag
from nexa_tui.state.topology_loss import JOIN_HERE
from nexa_tui.state.topology_told import seen_words

CONTROLLER = ("◆", "*")
"""The sign of the controller; the second is ASCII."""


def _state(part: Part, look: Look) -> Cell:
    """What it says of itself, unless the others know better."""
    word, style = seen_words(part)
    if word != "alive":
        glyph = {"crit": "fail", "warn": "warn"}.get(style, "skipped")
        shown = mark("check", glyph, ascii_only=look.ascii_only)
        return Cell(f"{shown.glyph} {word}", style)
    told = mark("node", clean(part.node.state, 20), ascii_only=look.ascii_only)
    return Cell(told.text, told.style)


def _role(part: Part, look: Look) -> Cell:
    sign = CONTROLLER[look.ascii_only] if part.controller else " "
    style: StyleKey = "strong" if part.node.role == "leader" else "text"
    return Cell(f"{sign} {clean(part.node.role, 12)}", style)


def _leads(part: Part, _look: Look) -> Cell:
    return Cell(str(len(part.leads)) if part.copies else "-", "text")


def _lag(part: Part, _look: Look) -> Cell:
    if not part.behind:
        return Cell("0" if part.copies else "-", "muted")
    return Cell(count(part.lag).strip() if part.lag else "behind", "warn")


def _rtt(part: Part, _look: Look) -> Cell:
    return Cell(duration(part.rtt_ms), "warn" if part.slow else "muted")


PARTS: Listing[Part] = Listing(
    title="Nodes",
    columns=(
        Column("health", "health", 12, lambda p, look: health_cell(p.node, look),
               lambda p: (not p.wrong, mark("health", p.node.health).order, p.name)),
        Column("name", "node", 8, lambda p, _: Cell(clean(p.name), "strong"),
               lambda p: p.name, grows=1),
        Column("state", "state", 13, _state,
               lambda p: (p.seen.word or "alive", mark("node", p.node.state).order)),
        Column("role", "role", 10, _role, lambda p: p.node.role),
        Column("agents", "agents", 7, lambda p, _: Cell(count(p.node.agents)),
               lambda p: p.node.agents, right=True, descending=True),
        Column("leads", "leads", 6, _leads, lambda p: len(p.leads), right=True,
               descending=True),
        Column("lag", "lag", 6, _lag, lambda p: (len(p.behind), p.lag), right=True,
               descending=True),
        Column("rtt", "rtt", 7, _rtt, lambda p: p.rtt_ms or 0.0, right=True,
               descending=True),
        Column("cpu", "cpu", 5, lambda p, _: share_cell(p.node, "cpu"),
               lambda p: p.node.host.cpu if p.node.host else 0.0, right=True, rank=2,
               descending=True),
        Column("memory", "mem", 5, lambda p, _: share_cell(p.node, "memory"),
               lambda p: p.node.host.memory if p.node.host else 0.0, right=True,
               rank=2, descending=True),
        Column("disk", "disk", 5, lambda p, _: share_cell(p.node, "disk"),
               lambda p: p.node.host.disk if p.node.host else 0.0, right=True, rank=2,
               descending=True),
        Column("up", "up", 6,
               lambda p, look: Cell(age(since(p.node.started, look.now)), "muted"),
               lambda p: how_old(p.node.started), right=True, rank=2),
        Column("version", "version", 9,
               lambda p, _: Cell(clean(p.node.version, 20), "muted"),
               lambda p: p.node.version, rank=3),
        Column("url", "url", 22, lambda p, _: Cell(clean(p.node.url, 80), "muted"),
               lambda p: p.node.url, rank=4),
    ),
    key=lambda part: part.node.id,
    problem=lambda part: part.wrong,
    address=lambda part: f"nexa://nodes/{part.name}",
    first=Order("health"),
    empty=("No node is known.", JOIN_HERE),
)  # fmt: skip
"""The list of nodes: those with something wrong first, then by name."""


def _copies(stream: StreamPlace, look: Look) -> Cell:
    wrong = behind(stream)
    ordered = sorted(stream.replicas, key=lambda one: one.node)
    told = "  ".join(_copy(one, look) for one in ordered)
    style: StyleKey = "crit" if stream.leader is None else "warn" if wrong else "text"
    return Cell(told or "-", style)


def _copy(one: Replica, look: Look) -> str:
    name = clean(one.node, 20)
    if one.offline:
        return f"{mark('check', 'fail', ascii_only=look.ascii_only).glyph} {name}"
    if not one.current:
        sign = mark("check", "warn", ascii_only=look.ascii_only).glyph
        return f"{sign} {name} -{count(one.lag).strip()}"
    return f"{mark('check', 'pass', ascii_only=look.ascii_only).glyph} {name}"


def _leader(stream: StreamPlace, _look: Look) -> Cell:
    if stream.leader is None:
        return Cell("none", "crit")
    return Cell(clean(stream.leader, 20), "strong")


STREAMS: Listing[StreamPlace] = Listing(
    title="Streams",
    columns=(
        Column("name", "stream", 14, lambda s, _: Cell(clean(s.name), "text"),
               lambda s: s.name, grows=1),
        Column("leader", "leader", 10, _leader, lambda s: s.leader or "", grows=1),
        Column("copies", "copies", 20, _copies, lambda s: (len(behind(s)), lag(s)),
               descending=True, grows=4),
        Column("messages", "messages", 9, lambda s, _: Cell(count(s.messages), "muted"),
               lambda s: s.messages, right=True, rank=2, descending=True),
        Column("bytes", "size", 8, lambda s, _: Cell(size(s.bytes), "muted"),
               lambda s: s.bytes, right=True, rank=3, descending=True),
    ),
    key=lambda stream: stream.name,
    problem=lambda stream: stream.leader is None or bool(behind(stream)),
    address=lambda stream: f"nexa://streams/{stream.name}",
    first=Order("name"),
    empty=("Nothing is known of the streams yet.", ""),
)  # fmt: skip
"""Where each stream is kept."""
