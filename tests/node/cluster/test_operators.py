"""What an operator asks of one node and another one does."""

import msgspec
import pytest

from nexa_node.contract.errors import Conflict, Invalid, NotFound, Unavailable
from nexa_node.contract.ids import TaskId
from nexa_node.services.cluster.relay import DISCONNECT, DRAIN_AGENT, EXPLAIN
from nexa_node.services.health.draining import MOVE_S
from tests.builders import agent as agent_record, task
from tests.fakes import settle
from tests.node.cluster.test_agents_move import at_work
from tests.two_nodes import Town

BY = "token:op1"


async def test_an_agent_of_another_node_is_disconnected_and_may_come_back() -> None:
    async with Town("alpha", "beta") as town:
        agent = await town["beta"].agent()
        await town["alpha"].relay.disconnect(town.store.agents.now("wc-1"))
        await settle()

        assert agent.closed is not None
        assert (agent.closed.code, agent.closed.reason) == (
            4413,
            "disconnected by an operator",
        )
        assert (await agent.resume())["result"]["resumed"] is True


async def test_an_agent_of_another_node_is_drained_and_stays_so_when_it_moves() -> None:
    async with Town("alpha", "beta") as town:
        agent = await town["beta"].agent()
        relay = town["alpha"].relay
        await relay.drain_agent(town.store.agents.now("wc-1"), on=True)
        await settle()
        assert town.store.agents.now("wc-1").state == "draining"
        await town["alpha"].submit()
        await town.move(agent, "alpha")
        await town.clock.advance(2)
        moved = town.store.agents.now("wc-1")
        assert (moved.node, moved.drained, agent.assigned()) == ("alpha", True, [])

        await relay.drain_agent(moved, on=False)
        await town.clock.advance(2)
        assert len(agent.assigned()) == 1
        assert town.calls.asked == [("beta", DRAIN_AGENT)]


async def test_an_agent_of_this_node_is_disconnected_without_asking_anybody() -> None:
    async with Town("alpha", "beta") as town:
        agent = await town["alpha"].agent()
        await town["alpha"].relay.disconnect(town.store.agents.now("wc-1"))
        await settle()

        assert agent.closed is not None
        assert town.calls.asked == []


async def test_who_is_not_connected_anywhere_is_not_found() -> None:
    async with Town("alpha", "beta") as town:
        relay = town["alpha"].relay
        for record in (
            agent_record("gone", node="beta", connected=False),
            agent_record("mine", node="alpha"),
            agent_record("dead", node="gamma"),
            agent_record("moved", node="beta"),
        ):
            with pytest.raises(NotFound):
                await relay.disconnect(record)
        assert town.calls.asked == [("beta", DISCONNECT)]


async def test_another_node_is_drained() -> None:
    async with Town("alpha", "beta") as town:
        agent = await town["beta"].agent()
        await town["alpha"].relay.drain("beta", by=BY)
        await settle()

        assert town["beta"].way_out.begun
        assert not town["alpha"].way_out.begun
        assert (
            "drained by token:op1" in town["beta"].journal.last("node.draining").message
        )
        told = agent.told("session.go_away")
        assert [each["cluster"] for each in told] == [["ws://alpha:6392/v1/agent"]]
        await town["alpha"].relay.drain("alpha", by=BY)
        await settle()
        assert town["alpha"].way_out.begun


async def test_another_node_looks_where_it_spends_its_time() -> None:
    async with Town("alpha", "beta") as town:
        relay = town["alpha"].relay
        near = await relay.profile("alpha", cpu_s=2)
        far = await relay.profile("beta", cpu_s=2)

        assert (near.node, far.node) == ("alpha", "beta")
        assert far.stacks == near.stacks
        assert (far.cpu_s, far.samples, far.stacks[0].frames[-1]) == (1, 10, "b:work")
        with pytest.raises(NotFound):
            await relay.profile("zeta", cpu_s=1)


async def test_another_node_is_maintained() -> None:
    async with Town("alpha", "beta") as town:
        await town["alpha"].relay.maintain("beta", on=True, by=BY)
        assert town["beta"].state.state == "maintenance"
        await town["alpha"].relay.maintain("alpha", on=True, by=BY)
        assert town["alpha"].state.state == "maintenance"
        await town["alpha"].relay.maintain("beta", on=False, by=BY)
        assert town["beta"].state.state == "running"


async def test_what_the_other_node_refuses_is_refused() -> None:
    async with Town("alpha", "beta") as town:
        town["beta"].state.enter("stopping")
        with pytest.raises(Conflict):
            await town["alpha"].relay.maintain("beta", on=True, by=BY)
        with pytest.raises(NotFound, match="no living node 'zeta'"):
            await town["alpha"].relay.drain("zeta", by=BY)
        town["beta"].wire.cut()
        with pytest.raises(Unavailable):
            await town["alpha"].relay.drain("beta", by=BY)


async def test_words_that_are_not_understood_are_refused() -> None:
    async with Town("alpha", "beta") as town:
        with pytest.raises(Invalid):
            await town.calls.ask("beta", DISCONNECT, b'{"agent": 1}', timeout_s=1)
        unknown = msgspec.json.encode({"task": "nobody-knows"})
        assert await town.calls.ask("beta", EXPLAIN, unknown, timeout_s=1) == b"[]"


async def test_explain_tells_what_each_node_knows_of_its_own_agents() -> None:
    async with Town("alpha", "beta", "gamma") as town:
        await town["alpha"].agent("near", capabilities=[{"name": "other"}])
        busy = await town["beta"].agent("busy")
        await town["beta"].submit()
        await settle()
        await busy.reject(30_000)
        frugal = await town["gamma"].agent("frugal")
        await frugal.notify("flow.credit", scope="tasks", n=1)
        await town.clock.advance(3)
        await frugal.complete(await frugal.accept())
        submitted = await town["beta"].submit()
        await town.clock.advance(1)
        known = town["alpha"].directory.task(submitted.id)
        assert known is not None
        told = await town["alpha"].relay.explain(known)

        reasons = {each.agent: each.reason for each in told.considered}
        assert "rests for" in reasons["busy"]
        assert "flow.credit" in reasons["frugal"]
        assert "has not the capability" in reasons["near"]
        assert not any(each.eligible for each in told.considered)


async def test_explain_does_with_the_registry_when_a_node_is_silent() -> None:
    async with Town("alpha", "beta") as town:
        await town["beta"].agent("far")
        town.store.tasks.seed(task("t-1"))
        await settle()
        town["beta"].wire.cut()
        known = town["alpha"].directory.task(TaskId("t-1"))
        assert known is not None
        told = await town["alpha"].relay.explain(known)

        assert told.considered[0].reason.endswith("by what beta last told of it")


async def test_a_drained_node_lets_its_agents_take_their_work_along() -> None:
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        town["alpha"].way_out.begin("SIGTERM")
        await settle()
        assert agent.told("session.go_away")[0]["cluster"] == [
            "ws://beta:6392/v1/agent"
        ]
        assert (await agent.call("task.submit", type="other"))["result"]["id"]
        await agent.lose()
        await town.move(agent, "beta")
        await agent.accept()
        await town.clock.advance(1)

        assert town["alpha"].way_out.done.is_set(), "it need not wait for its lease"
        await town.kill("alpha")
        assert (await agent.complete(assigned))["result"] == {}
        await town.clock.advance(10)
        task_id = assigned["task"]["id"]
        assert town["beta"].task(task_id).claim_epoch == 1
        assert [each.task.type for each in town.store.queue.entries.values()] == [
            "other"
        ]


async def test_a_draining_node_gives_back_the_messages_it_minds_for_others() -> None:
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        await agent.lose()
        await town.move(agent, "beta")
        await agent.accept()
        await town.clock.advance(0.5)
        assert len(town["alpha"].custody.claims) == 1
        town["alpha"].way_out.begin("SIGTERM")
        await town.clock.advance(1)

        assert len(town["alpha"].custody.claims) == 0
        assert town["alpha"].way_out.done.is_set()
        assert (await agent.complete(assigned))["result"] == {}
        await town.clock.advance(1)
        assert town.store.queue.entries == {}


async def test_a_node_ends_when_its_agents_have_gone_to_another_one() -> None:
    async with Town("alpha", "beta") as town:
        agents = [await town["alpha"].agent(f"wc-{n}") for n in range(3)]
        town["alpha"].way_out.begin("SIGTERM")
        await town.clock.advance(1)
        assert not town["alpha"].way_out.done.is_set()
        for agent in agents:
            await agent.lose()
            await town.move(agent, "beta")
        await town.clock.advance(0.5)

        assert town["alpha"].way_out.done.is_set()
        assert town["alpha"].stepped_down == 1
        assert town["alpha"].journal.last("node.drained").severity == "info"


async def test_agents_that_stay_are_waited_for_only_so_long() -> None:
    async with Town("alpha", "beta") as town:
        agent = await town["alpha"].agent()
        town["alpha"].way_out.begin("SIGTERM")
        await town.clock.advance(MOVE_S + 0.1)
        assert agent.closed is not None
        assert agent.closed.code == 4413
        await town.clock.advance(1)
        assert town["alpha"].way_out.done.is_set()


async def test_a_lone_node_waits_for_nobody_to_move() -> None:
    async with Town("alpha") as town:
        agent = await town["alpha"].agent()
        town["alpha"].wire.cut()
        town["alpha"].way_out.begin("SIGTERM")
        await town.clock.advance(0.5)

        assert agent.closed is not None
        assert "cluster" not in agent.told("session.go_away")[0]
        assert town["alpha"].way_out.done.is_set(), "the store need not answer"
