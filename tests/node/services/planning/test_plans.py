"""A plan is made by who may do it, and refused once something has changed."""

from typing import Any

import pytest

from nexa_node.contract.access import NewRole, NewToken, Permission
from nexa_node.contract.cluster import Copies
from nexa_node.contract.errors import Conflict, Forbidden, Invalid, NotFound
from nexa_node.contract.plans import Plan
from nexa_node.contract.tasks import Redrive
from nexa_node.core.access import API_ACTIONS
from nexa_node.core.plans import LIFE_S, Deed
from nexa_node.services.planning.book import REMEMBERED
from nexa_node.services.planning.plan_calls import PlanCalls
from tests import builders
from tests.builders import identity
from tests.fakes import MemoryStore, settle
from tests.node_scene import Scene, running

ADMIN = identity("admin")
DRAIN = Deed("drain", "alpha")


def stocked(*agents: Any) -> MemoryStore:
    store = MemoryStore()
    for agent in agents or (builders.agent("wc-1", inflight=2),):
        store.agents.seed(agent)
    return store


async def deed_of(action: str, scene: Scene) -> Deed:
    """A deed that can be done."""
    if action == "revoke_token":
        made = await scene.node.create_token(ADMIN, NewToken(role="viewer"))
        return Deed(action, made.id)
    if action == "delete_role":
        allowed = (Permission(allow="tasks:read"),)
        await scene.node.create_role(ADMIN, NewRole(name="odd", permissions=allowed))
        return Deed(action, "odd")
    bodies = {
        "set_replicas": Copies(copies=1),
        "redrive": Redrive(all=True),
        "purge": Redrive(all=True),
    }
    targets = {"disconnect": "wc-1", "drain": "alpha", "remove_node": "beta"}
    return Deed(action, targets.get(action, ""), bodies.get(action))


@pytest.mark.parametrize("action", sorted(PlanCalls.plannable()))
async def test_every_dangerous_deed_has_a_plan_that_holds_while_nothing_changes(
    action: str,
) -> None:
    async with running(stocked()) as it:
        deed = await deed_of(action, it)

        plan = await it.node.plan(ADMIN, deed)
        again = await it.node.plan(ADMIN, deed, agreed=plan.id)

        assert plan.what
        assert plan.action == API_ACTIONS[action]
        assert (again.what, again.counts) == (plan.what, plan.counts)


@pytest.mark.parametrize("action", sorted(PlanCalls.plannable()))
async def test_who_may_not_do_it_is_told_no_plan(action: str) -> None:
    async with running(stocked()) as it:
        deed = await deed_of(action, it)

        with pytest.raises(Forbidden):
            await it.node.plan(identity("viewer"), deed)


async def test_a_plan_is_stale_once_another_agent_would_be_hit() -> None:
    async with running(stocked()) as it:
        plan = await it.node.plan(ADMIN, DRAIN)
        it.store.agents.seed(builders.agent("wc-2"))
        await settle()

        with pytest.raises(
            Conflict, match=r"stale: agents: default\.wc-2 is new"
        ) as no:
            await it.node.plan(ADMIN, DRAIN, agreed=plan.id)

        assert no.value.details["changed"] == ["agents: default.wc-2 is new"]
        now: Plan = no.value.details["now"]
        assert now.counts["agents"] == 2
        await it.node.plan(ADMIN, DRAIN, agreed=now.id)


async def test_a_plan_is_for_ten_minutes() -> None:
    async with running(stocked()) as it:
        plan = await it.node.plan(ADMIN, DRAIN)
        await it.clock.advance(LIFE_S - 1)
        await it.node.plan(ADMIN, DRAIN, agreed=plan.id)
        await it.clock.advance(1)

        with pytest.raises(Conflict, match="the plan is over"):
            await it.node.plan(ADMIN, DRAIN, agreed=plan.id)


async def test_a_plan_of_one_deed_is_none_of_another() -> None:
    async with running(stocked()) as it:
        plan = await it.node.plan(ADMIN, Deed("set_replicas", "", Copies(copies=1)))

        other = Deed("set_replicas", "", Copies(copies=3))
        with pytest.raises(Conflict, match="made for something else"):
            await it.node.plan(ADMIN, other, agreed=plan.id)
        with pytest.raises(Invalid, match="is no plan"):
            await it.node.plan(ADMIN, DRAIN, agreed="yesterday's")


async def test_another_node_can_check_a_plan_though_not_say_what_changed() -> None:
    async with running(stocked()) as one, running(stocked()) as other:
        plan = await one.node.plan(ADMIN, DRAIN)
        later = Deed("disconnect", "wc-1")
        agreed = (await one.node.plan(ADMIN, later)).id
        await other.node.plan(ADMIN, later, agreed=agreed)
        other.store.agents.seed(builders.agent("wc-2"))
        await settle()

        with pytest.raises(Conflict, match="something changed since"):
            await other.node.plan(ADMIN, DRAIN, agreed=plan.id)


async def test_asking_for_plans_fills_no_memory() -> None:
    async with running(stocked()) as it:
        for copies in range(3 * REMEMBERED):
            deed = Deed("set_replicas", "", Copies(copies=copies))
            await it.node.plan(ADMIN, deed)

        assert len(it.node.plans._facts) == REMEMBERED


async def test_a_plan_for_a_token_counts_what_ends_with_it() -> None:
    async with running(stocked()) as it:
        made = await it.node.create_token(ADMIN, NewToken(role="agent", name="fleet"))
        who = await it.node.authenticate(made.token, address="10.0.0.1")
        await it.access.open_session(who, seconds=60)
        await settle()
        it.desk.identity_of = lambda _namespace, _agent: who  # type: ignore[method-assign]  # a stand-in

        plan = await it.node.plan(ADMIN, Deed("revoke_token", made.id))

        assert plan.counts == {"agents": 1, "sessions": 1}
        assert "fleet" in plan.what
        with pytest.raises(NotFound):
            await it.node.plan(ADMIN, Deed("revoke_token", "nobody"))


async def test_a_plan_for_what_is_not_there_is_refused() -> None:
    async with running(stocked()) as it:
        with pytest.raises(NotFound, match="no node nowhere"):
            await it.node.plan(ADMIN, Deed("drain", "nowhere"))
        with pytest.raises(NotFound):
            await it.node.plan(ADMIN, Deed("delete_role", "nobody"))
        with pytest.raises(Conflict, match="built-in"):
            await it.node.plan(ADMIN, Deed("delete_role", "viewer"))
        with pytest.raises(NotFound):
            await it.node.plan(ADMIN, Deed("disconnect", "nobody"))
