import unicodedata
from itertools import combinations
from typing import get_args

import pytest

from nexa_node.contract import agents, checks, events, nodes, tasks
from nexa_tui.state.severity import STYLE_KEYS, Kind, mark, states

KINDS = get_args(Kind)
SPOKEN = {
    "health": get_args(nodes.Health),
    "node": get_args(nodes.NodeState),
    "agent": get_args(agents.AgentState),
    "task": get_args(tasks.TaskStatus),
    "check": get_args(checks.CheckStatus),
    "event": get_args(events.Severity),
}


@pytest.mark.parametrize("kind", SPOKEN)
def test_every_state_of_the_language_has_its_mark(kind: Kind) -> None:
    assert set(SPOKEN[kind]) == set(states(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_mark_is_one_cell_a_word_and_a_known_style(kind: Kind) -> None:
    for state in states(kind):
        for ascii_only in (False, True):
            shown = mark(kind, state, ascii_only=ascii_only)
            assert len(shown.glyph) == 1
            assert shown.word
            assert shown.style in STYLE_KEYS
            assert unicodedata.east_asian_width(shown.glyph) in {"N", "Na"}


@pytest.mark.parametrize("kind", KINDS)
def test_ascii_is_ascii(kind: Kind) -> None:
    assert all(
        mark(kind, state, ascii_only=True).text.isascii() for state in states(kind)
    )


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_differs_in_urgency_differs_in_shape(kind: Kind, ascii_only: bool) -> None:
    marks = [mark(kind, state, ascii_only=ascii_only) for state in states(kind)]
    alarming = [one for one in marks if one.order <= 2]

    assert all(
        one.glyph != other.glyph
        for one, other in combinations(marks, 2)
        if one.order != other.order and (one in alarming or other in alarming)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_listed_worst_first(kind: Kind) -> None:
    orders = [mark(kind, state).order for state in states(kind)]

    assert orders == sorted(orders)


def test_a_word_of_a_newer_node_is_shown_as_unknown() -> None:
    shown = mark("node", "hibernating")

    assert (shown.word, shown.style) == ("hibernating", "unknown")
    assert mark("node", "hibernating", ascii_only=True).glyph == "?"
    assert shown.text == "? hibernating"
