"""How the lines of the topology view are dealt out among its panels. Pure."""

from typing import NamedTuple

FRAME = 2
"""Lines of a border."""
TABLE = FRAME + 1
"""Lines around rows: a border and the titles."""
_NODES_MIN = 3 + TABLE
_PAIR_MIN, _STREAMS_MIN = 6, 5
_PAIR_MAX_SHARE = 0.5
_PAIR_ROWS = 10
"""Nodes that stand in the square before it scrolls."""


class Heights(NamedTuple):
    """Lines of each row of panels, borders included; 0 is not shown."""

    nodes: int
    pair: int
    """What stands side by side: who hears whom, and what a loss does."""
    streams: int


def heights(room: int, *, nodes: int, told: int, streams: int) -> Heights:
    """Deal out `room` lines; what is most looked at never goes.

    Args:
        room: Lines below the standing.
        nodes: How many there are.
        told: Lines that the loss of one takes in words.
        streams: How many there are.
    """
    table = max(_NODES_MIN, nodes + TABLE)
    pair = max(_PAIR_MIN, min(nodes, _PAIR_ROWS) + TABLE, told + FRAME)
    if room < _NODES_MIN + _PAIR_MIN:
        return Heights(room, 0, 0)
    least = _STREAMS_MIN if streams and room >= table + pair + _STREAMS_MIN else 0
    pair = min(pair, max(_PAIR_MIN, int(room * _PAIR_MAX_SHARE)))
    table = min(table, room - pair - least)
    rest = room - table - pair
    return Heights(table, pair, rest) if least else Heights(table, pair + rest, 0)
