"""Nodes as rows."""

from nexa_node.contract.nodes import Node
from nexa_tui.state.formats import age, count, duration, percent, size
from nexa_tui.state.listing import Cell, Column, Listing, Look, Order, how_old, since
from nexa_tui.state.severity import StyleKey, mark
from nexa_tui.state.text import clean

FULL_WARN, FULL_CRIT = 0.85, 0.95


def is_problem(node: Node) -> bool:
    """Say whether somebody should look at it."""
    return node.health != "healthy" or node.state != "running"


def fullness(fraction: float | None) -> StyleKey:
    """How a share of something that runs out looks."""
    if fraction is None:
        return "muted"
    if fraction >= FULL_CRIT:
        return "crit"
    return "warn" if fraction >= FULL_WARN else "text"


def _health(node: Node, look: Look) -> Cell:
    shown = mark("health", clean(node.health, 20), ascii_only=look.ascii_only)
    return Cell(shown.text, shown.style)


def _state(node: Node, look: Look) -> Cell:
    shown = mark("node", clean(node.state, 20), ascii_only=look.ascii_only)
    return Cell(shown.text, shown.style)


def _share(node: Node, which: str) -> Cell:
    fraction = None if node.host is None else float(getattr(node.host, which))
    return Cell(percent(fraction), fullness(fraction))


NODES: Listing[Node] = Listing(
    title="Nodes",
    columns=(
        Column("health", "health", 13, _health,
               lambda n: mark("health", n.health).order),
        Column("name", "node", 12, lambda n, _: Cell(clean(n.name), "strong"),
               lambda n: n.name, grows=1),
        Column("state", "state", 13, _state, lambda n: mark("node", n.state).order),
        Column("role", "role", 8, lambda n, _: Cell(clean(n.role, 20)),
               lambda n: n.role),
        Column("agents", "agents", 7, lambda n, _: Cell(count(n.agents)),
               lambda n: n.agents, right=True, descending=True),
        Column("cpu", "cpu", 5, lambda n, _: _share(n, "cpu"),
               lambda n: n.host.cpu if n.host else 0.0, right=True, descending=True),
        Column("memory", "mem", 5, lambda n, _: _share(n, "memory"),
               lambda n: n.host.memory if n.host else 0.0, right=True,
               descending=True),
        Column("disk", "disk", 5, lambda n, _: _share(n, "disk"),
               lambda n: n.host.disk if n.host else 0.0, right=True, rank=2,
               descending=True),
        Column("rss", "rss", 9,
               lambda n, _: Cell(size(n.host.rss_bytes if n.host else None), "muted"),
               lambda n: n.host.rss_bytes if n.host else 0, right=True, rank=3,
               descending=True),
        Column("rtt", "rtt", 8, lambda n, _: Cell(duration(n.rtt_ms), "muted"),
               lambda n: n.rtt_ms or 0.0, right=True, rank=3, descending=True),
        Column("up", "up", 7,
               lambda n, look: Cell(age(since(n.started, look.now)), "muted"),
               lambda n: how_old(n.started), right=True),
        Column("version", "version", 8, lambda n, _: Cell(clean(n.version, 20), "muted"),
               lambda n: n.version, rank=3),
        Column("url", "url", 22, lambda n, _: Cell(clean(n.url, 80), "muted"),
               lambda n: n.url, rank=3, grows=1),
    ),
    key=lambda node: node.id,
    problem=is_problem,
    address=lambda node: f"nexa://nodes/{node.name}",
    first=Order("name"),
    empty=("No node is known.", "nexa node start"),
)  # fmt: skip
"""The list of nodes, by name."""
