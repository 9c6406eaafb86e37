"""How far a reader of several nodes' logs has come: `alpha:1730,beta:1712`."""

from collections.abc import Mapping

from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import is_slug

CURSOR_MAX = 8000


def read_cursor(text: str) -> dict[str, int]:
    """Read a cursor: the position of the last line that was told, by node.

    Raises:
        Invalid: It is none of ours.
    """
    found: dict[str, int] = {}
    for part in text.split(",") if text else ():
        node, _, position = part.rpartition(":")
        if not is_slug(node) or not (position.isascii() and position.isdigit()):
            raise Invalid(
                "after: it is none of our cursors",
                remedy="take next_cursor of the page before",
                details={"field": "after"},
            )
        found[node] = int(position[:20])
    return found


def write_cursor(positions: Mapping[str, int]) -> str:
    """Write a cursor, nodes in the order of their names."""
    return ",".join(f"{node}:{at}" for node, at in sorted(positions.items()))
