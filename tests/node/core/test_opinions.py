"""Where nodes differ about each other, and how that is said."""

from typing import Any

from nexa_node.contract.nodes import Opinion
from nexa_node.core.opinions import disagreements


def told(*said: tuple[str, str, Any]) -> list[str]:
    opinions = [Opinion(by=by, of=of, suspicion=what) for by, of, what in said]
    return [one.words for one in disagreements(opinions)]


def test_nodes_of_one_mind_are_not_told() -> None:
    assert told(("a", "c", "alive"), ("b", "c", "alive")) == []
    assert told(("a", "c", "dead"), ("b", "c", "suspect")) == []
    assert told(("a", "c", "left"), ("b", "c", "alive")) == []
    assert told(("a", "a", "suspect"), ("b", "a", "alive")) == []


def test_who_hears_and_who_does_not_are_named() -> None:
    assert told(
        ("a", "d", "alive"),
        ("b", "d", "suspect"),
        ("c", "d", "dead"),
        ("d", "a", "alive"),
    ) == ["a hears d, b and c do not: the link between d and b and c may be broken"]
    assert told(("a", "d", "alive"), ("b", "d", "alive"), ("c", "d", "dead")) == [
        "a and b hear d, c does not: the link between d and c may be broken"
    ]


def test_a_way_that_is_broken_in_one_direction_is_named() -> None:
    assert told(("a", "b", "suspect"), ("b", "a", "alive")) == [
        "a does not hear b, though b hears a: the way from b to a is broken"
    ]
