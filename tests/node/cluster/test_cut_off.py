"""A node that was only cut off: what it did not hear is over, and it learns so."""

from typing import Any

from nexa_node.contract.messages import NewMessage, Sent
from nexa_node.services.cluster.isolation import AFTER_S
from tests.fakes import settle
from tests.node.cluster.test_agents_move import at_work, progress
from tests.rig import FakeAgent
from tests.two_nodes import BURIED_S, Town


async def cut_with_work(town: Town) -> tuple[FakeAgent, dict[str, Any]]:
    """Alpha is cut off while its agent works, and long enough to be given up."""
    agent, assigned = await at_work(town)
    await town.cut("alpha")
    await town.clock.advance(BURIED_S)
    return agent, assigned


async def test_its_claims_are_over_when_it_comes_back_and_its_agents_are_told() -> None:
    async with Town("alpha", "beta") as town:
        agent, assigned = await cut_with_work(town)
        other = await town["beta"].agent("wc-2")
        await town.clock.advance(8)
        second = await other.accept()
        await town.heal("alpha")
        await town.clock.advance(1)

        task_id = assigned["task"]["id"]
        assert agent.told("task.cancelled") == [{"id": task_id, "claim_epoch": 1}]
        late = await agent.complete(assigned, "from the cut off one")
        done = await other.complete(second, "from the other one")
        assert late["error"]["data"]["reason"] == "lease_lost"
        assert done["result"] == {}
        assert town["beta"].task(task_id).result == "from the other one"
        assert town["alpha"].dispatch.in_hand() == 0
        await town.clock.advance(10)
        assert town.store.queue.entries == {}


async def test_what_is_completed_while_cut_off_is_refused_at_once_and_never_twice() -> (
    None
):
    async with Town("alpha", "beta") as town:
        agent, assigned = await cut_with_work(town)
        refused = await agent.complete(assigned)
        await town.heal("alpha")
        await settle()
        late = await agent.complete(assigned)

        assert refused["error"]["data"]["reason"] == "unavailable"
        assert refused["error"]["data"]["retryable"] is True
        assert late["error"]["data"]["reason"] == "lease_lost"
        history = town["beta"].task(assigned["task"]["id"]).history
        assert [each.outcome for each in history][:1] == ["node_lost"]


async def test_its_agents_are_on_the_registry_again_when_it_is_back() -> None:
    async with Town("alpha", "beta") as town:
        agent, _ = await cut_with_work(town)
        assert not town.store.agents.now("wc-1").connected
        await town.heal("alpha")
        await town.clock.advance(1)

        record = town.store.agents.now("wc-1")
        assert (record.node, record.connected) == ("alpha", True)
        await town.clock.advance(8)
        assert [each["claim_epoch"] for each in agent.assigned()][:2] == [1, 2]


async def test_an_agent_that_left_it_meanwhile_is_let_go() -> None:
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        old = agent.connection
        await town.cut("alpha")
        await town.move(agent, "beta")
        await agent.accept()
        await progress(agent, assigned)
        await town.clock.advance(BURIED_S)
        await town.heal("alpha")
        await town.clock.advance(3)

        record = town.store.agents.now("wc-1")
        task = town["beta"].task(assigned["task"]["id"])
        assert old is not None
        assert old.is_over
        assert (record.node, record.connected) == ("beta", True)
        assert (task.status, task.node, task.claim_epoch) == ("running", "beta", 1)
        assert town["alpha"].sessions.connected() == 0
        assert (await agent.complete(assigned))["result"] == {}


async def test_a_cut_off_node_refuses_at_once_what_it_can_not_store() -> None:
    async with Town("alpha", "beta") as town:
        agent = await town["alpha"].agent()
        await town.cut("alpha")
        before = len(town.store.door.calls)
        for method, said in (
            ("task.submit", {"type": "wc"}),
            ("message.send", {"to": {"agent": "x"}, "type": "n"}),
            ("inbox.ack", {"seq": 1}),
        ):
            answer = await agent.call(method, **said)
            assert answer["error"]["data"]["reason"] == "unavailable", method
            assert "too few nodes" in answer["error"]["message"]
            assert answer["error"]["data"]["retry_after_ms"] == 1000
        stranger = FakeAgent(town["alpha"], "wc-9")
        assert "error" in await stranger.hello()

        assert town.store.door.calls[before:] == [], "nothing waited for the store"
        assert stranger.closed is not None
        assert stranger.closed.code == 4413, "it may try another node"


async def test_a_signal_needs_no_quorum() -> None:
    async with Town("alpha", "beta") as town:
        agent = await town["alpha"].agent()
        wrote: list[Any] = []
        town["alpha"].messages.send = lambda *said, **_: _noted(wrote, said)
        town["alpha"].wire.cut()
        said = {"to": {"agent": "x"}, "type": "n", "durable": False}
        await agent.call("message.send", **said)

        assert [each.durable for _, each in wrote] == [False]


async def _noted(wrote: list[Any], said: tuple[str, NewMessage]) -> Any:
    wrote.append(said)
    return Sent(id="m-1")


async def test_what_a_cut_off_node_shows_is_marked_stale() -> None:
    async with Town("alpha", "beta") as town:
        here, there = town["alpha"].directory, town["beta"].directory
        assert not here.is_stale
        await town.cut("alpha")
        assert here.is_stale
        assert not there.is_stale
        await town.heal("alpha")
        assert here.is_stale, "its watches have not told yet what they missed"
        await town.clock.advance(2)
        assert not here.is_stale


async def test_agents_of_a_cut_off_node_are_asked_to_go_where_work_goes_on() -> None:
    async with Town("alpha", "beta", "gamma") as town:
        agent, assigned = await at_work(town)
        town["alpha"].wire.cut()
        await town.clock.advance(AFTER_S / 2)
        assert agent.told("session.go_away") == []
        await town.clock.advance(AFTER_S)
        (told,) = agent.told("session.go_away")
        assert told["reason"] == "the node is cut off from its cluster"
        assert "ws://beta:6392/v1/agent" in told["cluster"]
        await town.move(agent, "beta")
        await agent.accept()
        await town.bury("alpha")
        await town.clock.advance(BURIED_S)

        assert (await agent.complete(assigned))["result"] == {}
        assert town["beta"].task(assigned["task"]["id"]).claim_epoch == 1
        assert town["alpha"].kinds()["node.isolated"] == 1


async def test_agents_stay_where_nobody_else_could_work_either() -> None:
    async with Town("alpha", "beta") as town:
        agent = await town["alpha"].agent()
        town["alpha"].wire.cut()
        await town.clock.advance(10)
        assert agent.told("session.go_away") == []


async def test_they_are_asked_once_each_time() -> None:
    async with Town("alpha", "beta", "gamma") as town:
        agent = await town["alpha"].agent()
        for _ in range(2):
            town["alpha"].wire.cut()
            await town.clock.advance(5)
            town["alpha"].wire.heal()
            await town.clock.advance(5)
        assert len(agent.told("session.go_away")) == 2
        await agent.call("session.bye")
        town["alpha"].wire.cut()
        await town.clock.advance(5)
        assert town["alpha"].kinds()["node.isolated"] == 2, "there was nobody to ask"
