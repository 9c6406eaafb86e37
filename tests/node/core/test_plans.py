"""A plan's name stands for one deed on one state, and for nothing else."""

from datetime import UTC, datetime

import pytest

from nexa_node.contract.access import Permission, Role, Scope, TokenView
from nexa_node.contract.cluster import ClusterChange, Copies
from nexa_node.contract.errors import Conflict
from nexa_node.contract.nodes import Quorum
from nexa_node.contract.tasks import Redriven
from nexa_node.core import outlooks, plans
from nexa_node.core.plans import Deed
from tests import builders

DEED = Deed("set_replicas", "", Copies(copies=1))
FACTS = {"nodes": ["a", "b"], "copies": "3"}
ENDS = 1_800_000_000


def known(text: str) -> plans.Known:
    read = plans.read_id(text)
    assert read is not None
    return read


def test_a_plan_holds_for_its_deed_and_its_facts() -> None:
    name = plans.plan_id(DEED, FACTS, ENDS)

    assert known(name).ends == ENDS
    assert plans.holds(known(name), DEED, dict(reversed(FACTS.items())))


@pytest.mark.parametrize(
    ("deed", "facts"),
    [
        (Deed("set_replicas", "", Copies(copies=3)), FACTS),
        (Deed("leave", "", Copies(copies=1)), FACTS),
        (Deed("set_replicas", "beta", Copies(copies=1)), FACTS),
        (Deed("set_replicas"), FACTS),
        (DEED, {**FACTS, "nodes": ["a"]}),
        (DEED, {**FACTS, "more": "x"}),
        (DEED, {}),
    ],
)
def test_a_plan_holds_for_nothing_else(deed: Deed, facts: dict[str, object]) -> None:
    assert not plans.holds(known(plans.plan_id(DEED, FACTS, ENDS)), deed, facts)


def test_its_end_cannot_be_moved() -> None:
    name = plans.plan_id(DEED, FACTS, ENDS)
    later = name.replace(f"{ENDS:08x}", f"{ENDS + 600:08x}")

    assert not plans.holds(known(later), DEED, FACTS)


@pytest.mark.parametrize(
    "text", ["", "plan-", "plan-1-2", "x" * 90, "plan-6b49d200-" + "g" * 32]
)
def test_what_is_no_name_is_none(text: str) -> None:
    assert plans.read_id(text) is None


def test_differences_say_what_came_and_what_went() -> None:
    before = {"nodes": ["a", "b"], "copies": "3", "same": "x", "role": ""}
    after = {"nodes": ["a", "c"], "copies": "1", "same": "x", "role": "admin"}

    assert plans.differences(before, after) == (
        "copies: was 3, is 1",
        "nodes: c is new",
        "nodes: b is gone",
        "role: was nothing, is admin",
    )
    assert plans.differences({"n": 1}, {"n": [2]}) == ("n: was 1, is [2]",)


def test_of_very_many_differences_the_number_is_told() -> None:
    told = plans.differences({"n": []}, {"n": [str(each) for each in range(100)]})

    assert len(told) == plans.TOLD_MAX + 1
    assert told[-1] == "and 80 more differences"


def test_a_very_long_value_is_cut() -> None:
    (told,) = plans.differences({"n": "x" * 500}, {"n": "y"})

    assert len(told) < 150


# -- what a deed would do ----------------------------------------------------------


def three(**overrides: object) -> object:
    nodes = tuple(builders.node(name) for name in ("alpha", "beta", "gamma"))
    fields = {"nodes": nodes, "quorum": Quorum(have=3, need=2), **overrides}
    return builders.cluster(**fields)


def test_a_drain_tells_agents_tasks_and_the_quorum() -> None:
    agents = (
        builders.agent("wc-1", inflight=2),
        builders.agent("wc-2", inflight=1, connected=False),
        builders.agent("wc-3", node="beta"),
    )

    told = outlooks.of_drain(three(), builders.node("alpha"), agents)

    assert told.counts == {"agents": 1, "tasks": 2}
    assert told.facts["agents"] == ["default.wc-1"]
    assert "quorum holds: 2 nodes left, 2 needed" in told.effects


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"quorum": Quorum(have=2, need=2)}, "QUORUM BREAKS: 1 of 2"),
        ({"store": "attached"}, "the other nodes go on"),
        ({"nodes": (builders.node(),)}, "it is the only node"),
    ],
)
def test_a_drain_says_what_becomes_of_writes(
    fields: dict[str, object], words: str
) -> None:
    told = outlooks.of_drain(three(**fields), builders.node("alpha"), ())

    assert words in told.effects[-1]


def test_what_is_in_hand_is_a_figure_and_no_fact() -> None:
    idle = outlooks.of_drain(three(), builders.node(), (builders.agent(inflight=0),))
    busy = outlooks.of_drain(three(), builders.node(), (builders.agent(inflight=2),))

    assert idle.counts != busy.counts
    assert idle.facts == busy.facts


def test_what_can_not_be_done_has_no_plan() -> None:
    stopping = builders.node(state="stopping")
    with pytest.raises(Conflict, match="stopping already"):
        outlooks.of_drain(three(), stopping, ())
    with pytest.raises(Conflict, match="built-in"):
        outlooks.of_role(Role(name="viewer", permissions=(), built_in=True), ())
    with pytest.raises(Conflict, match="1 tokens have"):
        outlooks.of_role(Role(name="x", permissions=()), ("t1",))
    with pytest.raises(Conflict, match="not connected"):
        outlooks.of_disconnect(builders.agent(connected=False))


def test_each_other_deed_tells_its_figures() -> None:
    change = outlooks.of_change(
        three(), ClusterChange(done=False, what="3 copies", effects=("a",))
    )
    letters = outlooks.of_dead_letters(
        "purge", Redriven(done=("t2", "t1"), failed={"t3": "why"})
    )
    role = Role(name="x", permissions=(Permission(allow="tasks:read"),))
    token = TokenView(
        id="t1",
        role="agent",
        name="",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        expires=None,
        scope=Scope(namespaces=("lab",)),
    )
    told = outlooks.of_token(token, agents=2, sessions=1)

    assert change.effects == ("a",)
    assert change.counts["nodes"] == 3
    assert letters.facts["tasks"] == ["t1", "t2"]
    assert letters.what == "2 dead letters would be forgotten for good"
    assert outlooks.of_role(role, ()).facts == {"permissions": ["tasks:read on >"]}
    assert told.effects[-2:] == (
        "2 agents of this node connected by it",
        "1 short-lived token end with it",
    )
    assert outlooks.of_disconnect(builders.agent(inflight=1)).counts["tasks"] == 1
    assert outlooks.of_restore("alpha", {"tasks": 0}).counts == {"tasks": 0}
