"""How far a change of the cluster is, in one line among what there is to say of it."""

import msgspec
import pytest

from nexa_node.contract.nodes import Growth
from nexa_tui.state.topology import topology
from nexa_tui.state.topology_told import findings, growth_told
from tests.tui import clusters

COPY = Growth(action="replicas", phase="copy", done=250, total=1000, node="beta")


@pytest.mark.parametrize(
    ("growth", "text", "style"),
    [
        (COPY, "making copies (beta): copy 25%, 250 of 1,000 messages", "text"),
        (
            Growth(action="join", phase="votes", detail="delta"),
            "joining: votes, delta",
            "text",
        ),
        (
            Growth(action="form", phase="done", node="alpha"),
            "forming the cluster (alpha): done",
            "muted",
        ),
        (
            Growth(
                action="restore",
                phase="failed",
                error="it is damaged",
                remedy="another one",
            ),
            "restoring a backup failed: it is damaged; mend: another one",
            "warn",
        ),
        (
            Growth(action="form", phase="rolled_back"),
            "forming the cluster failed",
            "warn",
        ),
    ],
)
def test_a_change_is_told_with_how_far_it_is(
    growth: Growth, text: str, style: str
) -> None:
    (told,) = growth_told(growth)

    assert (told.text, told.style) == (text, style)


def test_words_from_outside_are_cleaned() -> None:
    (told,) = growth_told(Growth(action="join", phase="x\x1b[31m", detail="\u202ey"))

    assert "\x1b" not in told.text
    assert "\u202e" not in told.text


def test_it_stands_among_the_findings_and_without_one_nothing_does() -> None:
    cluster = msgspec.structs.replace(clusters.THREE, growth=COPY)

    told = [one.text for one in findings(topology(cluster))]
    assert any("making copies" in text for text in told)
    assert not any("making" in one.text for one in findings(topology(clusters.THREE)))


def test_two_nodes_are_advised_once() -> None:
    told = [one.text for one in findings(topology(clusters.TWO))]

    assert sum("join-token" in text for text in told) == 1
