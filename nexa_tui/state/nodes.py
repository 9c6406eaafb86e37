"""What a node's health and its machine look like in a row."""

from nexa_node.contract.nodes import Node
from nexa_tui.state.formats import percent
from nexa_tui.state.listing import Cell, Look
from nexa_tui.state.severity import StyleKey, mark
from nexa_tui.state.text import clean

FULL_WARN, FULL_CRIT = 0.85, 0.95


def fullness(fraction: float | None) -> StyleKey:
    """How a share of something that runs out looks."""
    if fraction is None:
        return "muted"
    if fraction >= FULL_CRIT:
        return "crit"
    return "warn" if fraction >= FULL_WARN else "text"


def health_cell(node: Node, look: Look) -> Cell:
    """Glyph and word of its health."""
    shown = mark("health", clean(node.health, 20), ascii_only=look.ascii_only)
    return Cell(shown.text, shown.style)


def share_cell(node: Node, which: str) -> Cell:
    """One share of its machine: `cpu`, `memory` or `disk`; unknown is a dash."""
    fraction = None if node.host is None else float(getattr(node.host, which))
    return Cell(percent(fraction), fullness(fraction))
