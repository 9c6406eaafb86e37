"""How large a cluster should be, and who goes when it shrinks."""

from typing import Any

import pytest

from nexa_node.contract.ids import DEFAULT_NAMESPACE
from nexa_node.contract.tasks import Queue
from nexa_tui.state.scaling import better, plan, standing, wishes
from nexa_tui.state.topology import topology
from tests.tui import clusters


def queue(name: str = "wc", **overrides: Any) -> Queue:
    fields: dict[str, Any] = {
        "name": name, "namespace": DEFAULT_NAMESPACE, "pending": 0, "by_priority": {},
        "delayed": 0, "running": 0, "dead_lettered": 0, "oldest_wait_s": None,
        "agents": 1, "slots": 2, "free_slots": 1, "strategy": "least_loaded",
    }  # fmt: skip
    return Queue(**{**fields, **overrides})


def test_as_large_as_it_is_wanted_is_nothing_to_do() -> None:
    assert plan(topology(clusters.THREE), 3).nothing


def test_more_nodes_have_to_join() -> None:
    wanted = plan(topology(clusters.ONE), 3)

    assert wanted.add == 2
    assert "copied to three by itself" in wanted.notes[0]


@pytest.mark.parametrize(
    ("wanted", "note"), [(4, "no more losses than 3"), (7, "share the work")]
)
def test_sizes_that_survive_no_more_are_told(wanted: int, note: str) -> None:
    assert note in plan(topology(clusters.THREE), wanted).notes[0]


def test_the_dead_go_first_then_who_has_least_and_never_the_leader() -> None:
    five = clusters.cluster_of(
        5, down=("beta",), controller="gamma", agents={"delta": 9}
    )
    wanted = plan(topology(five), 3)

    assert [part.name for part in wanted.strike] == ["beta"]
    assert [part.name for part in wanted.leave] == ["epsilon"]


def test_fewer_nodes_than_copies_and_none_at_all_are_refused() -> None:
    view = topology(clusters.THREE)

    assert plan(view, 2).remedy == "nexa cluster replicas 1, then again"
    assert plan(view, 0).refused == "a cluster has at least one node"


def test_queues_that_could_use_agents() -> None:
    found = wishes(
        (
            queue("idle"),
            queue("late", pending=3, delayed=3),
            queue("young", pending=2, free_slots=0, oldest_wait_s=1.0),
            queue("full", pending=2, free_slots=0, oldest_wait_s=31.0),
            queue("nobody", pending=1, agents=0, slots=0, free_slots=0),
        )
    )

    assert [(one.queue, one.urgent) for one in found] == [
        ("nobody", True),
        ("full", False),
    ]
    assert found[1].why == (
        "2 tasks wait, one for 31 s; all 2 slots of 1 agent are taken"
    )


def test_what_it_survives_and_what_would_survive_more() -> None:
    assert standing(topology(clusters.ONE)) == (
        "1 node, 1 copy of everything, survives no loss"
    )
    assert better(topology(clusters.THREE)) == (
        "with 5 nodes any 2 may stop: nexa cluster scale 5"
    )
    assert better(topology(clusters.SEVEN)) is None
