"""A node in maintenance takes no agents and hands out nothing; what it has may finish."""

import pytest

from nexa_node.contract.errors import Conflict, Draining, Unavailable
from tests.fakes import settle
from tests.node.cluster.test_agents_move import at_work
from tests.rig import FakeAgent
from tests.two_nodes import Town

BY = "token:op1"


async def test_its_agents_are_asked_to_move_and_no_new_ones_are_taken() -> None:
    async with Town("alpha", "beta") as town:
        agent = await town["alpha"].agent()
        await town["alpha"].maintenance.turn(on=True, by=BY)
        await settle()

        told = agent.told("session.go_away")
        assert [each["reason"] for each in told] == ["the node is in maintenance"]
        assert "ws://beta:6392/v1/agent" in told[0]["cluster"]
        with pytest.raises(Draining):
            await FakeAgent(town["alpha"], "wc-2").hello()
        assert (await town.move(agent, "beta"))["result"]["resumed"] is True


async def test_what_is_in_hand_may_finish_and_nothing_new_is_given() -> None:
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town, slots=2)
        await town["alpha"].maintenance.turn(on=True, by=BY)
        await town["alpha"].submit()
        await town.clock.advance(1)

        assert len(agent.assigned()) == 1
        assert (await agent.complete(assigned))["result"] == {}
        assert town["alpha"].state.state == "maintenance"


async def test_back_in_service_it_goes_on_where_it_stopped() -> None:
    async with Town("alpha") as town:
        agent = await town["alpha"].agent()
        await town["alpha"].maintenance.turn(on=True, by=BY)
        await town["alpha"].maintenance.turn(on=True, by=BY)
        await town["alpha"].submit()
        await town.clock.advance(6)
        assert agent.told("session.go_away") == [], "there is nowhere to go"
        assert agent.assigned() == []
        await town["alpha"].maintenance.turn(on=False, by=BY)
        await town.clock.advance(0.5)

        assert len(agent.assigned()) == 1
        await town["alpha"].agent("wc-2")
        kinds = town["alpha"].kinds()
        assert kinds["node.maintenance"] == kinds["node.in_service"] == 1


async def test_a_restart_does_not_end_it() -> None:
    async with Town("alpha", "beta") as town:
        await town["alpha"].maintenance.begin()
        assert town["alpha"].state.state == "running"
        await town["alpha"].maintenance.turn(on=True, by=BY)
        assert town.entries.kept["alpha"].value.maintenance
        await town.kill("alpha")
        again = await town.start("alpha")
        await again.maintenance.begin()

        assert again.state.state == "maintenance"
        with pytest.raises(Draining):
            await FakeAgent(again, "wc-1").hello()


async def test_a_node_that_stops_can_not_be_maintained() -> None:
    async with Town("alpha", "beta") as town:
        town["alpha"].way_out.begin("SIGTERM")
        await settle()
        with pytest.raises(Conflict, match="alpha is stopping"):
            await town["alpha"].maintenance.turn(on=True, by=BY)


async def test_an_entry_that_others_write_is_written_again() -> None:
    async with Town("alpha", "beta") as town:
        town.entries.busy = 2
        await town["alpha"].maintenance.turn(on=True, by=BY)
        assert town.entries.kept["alpha"].value.maintenance
        town.entries.busy = 99
        with pytest.raises(Unavailable):
            await town["alpha"].maintenance.turn(on=False, by=BY)
        assert town["alpha"].state.state == "maintenance", "nothing has changed"


async def test_a_node_without_an_entry_is_maintained_until_it_stops() -> None:
    async with Town("alpha") as town:
        await town.entries.delete("alpha")
        await town["alpha"].maintenance.turn(on=True, by=BY)
        assert town["alpha"].state.state == "maintenance"
