"""One session of an agent in the whole cluster, the newest."""

import asyncio

import msgspec

from nexa_node.contract.errors import Unavailable
from nexa_node.contract.version import PROTOCOL
from tests.fakes import settle
from tests.rig import FakeAgent
from tests.two_nodes import Town

HELLO = {
    "method": "session.hello",
    "params": {
        "protocol": PROTOCOL,
        "agent": {"id": "wc-1"},
        "capabilities": [{"name": "wc"}],
    },
}


async def test_the_older_of_two_connections_at_two_nodes_is_closed() -> None:
    async with Town("alpha", "beta") as town:
        older = FakeAgent(town["alpha"], "wc-1", incarnation="1")
        await older.hello()
        newer = FakeAgent(town["beta"], "wc-1", incarnation="2")
        await newer.hello()
        await settle()

        assert older.closed is not None
        assert (older.closed.code, older.closed.reason) == (4409, "taken_over:2")
        assert newer.closed is None
        assert town.store.agents.now("wc-1").node == "beta"
        assert town["alpha"].sessions.connected() == 0


async def test_of_two_that_come_at_once_one_stays_and_all_agree() -> None:
    async with Town("alpha", "beta") as town:
        both = [FakeAgent(town[name], "wc-1") for name in ("alpha", "beta")]
        for each in both:
            each.open()
        said = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, **HELLO})
        connections = [each.connection for each in both if each.connection]
        await asyncio.gather(*(each.receive(said) for each in connections))
        await town.clock.advance(2)

        record = town.store.sessions.bucket.entries["default.wc-1"].value
        stayed = [each for each in both if each.closed is None]
        assert len(stayed) == 1
        assert record.node == f"id-{stayed[0].rig.name}"
        registered = town.store.agents.now("wc-1")
        assert (registered.node, registered.connected) == (stayed[0].rig.name, True)


async def test_a_session_resumed_elsewhere_is_closed_where_it_was() -> None:
    async with Town("alpha", "beta") as town:
        agent = await town["alpha"].agent()
        twin = FakeAgent(town["beta"], "wc-1")
        twin.welcome = agent.welcome
        await twin.resume()
        await settle()

        assert agent.closed is not None
        assert agent.closed.code == 4409
        assert twin.closed is None


async def test_a_node_that_hears_late_changes_nothing_of_what_goes_on_elsewhere() -> (
    None
):
    """Its own writes come after the newer node's: the registry is put right."""
    async with Town("alpha", "beta", fenced=False) as town:
        older = await town["alpha"].agent()
        newer = FakeAgent(town["beta"], "wc-1")
        town["beta"].directory.subscribe(town["beta"].fences.told)
        newer.welcome = older.welcome
        await newer.resume()
        await older.call("agent.report", load=0.5)
        await town.clock.advance(2)

        record = town.store.agents.now("wc-1")
        assert (record.node, record.connected) == ("beta", True)
        assert newer.closed is None


async def test_a_node_that_is_cut_off_doubts_until_it_knows() -> None:
    async with Town("alpha", "beta") as town:
        older = await town["alpha"].agent()
        newer = FakeAgent(town["beta"], "wc-1")
        newer.welcome = older.welcome
        asked = town["alpha"].wire.check
        town["alpha"].wire.check = refuse
        await newer.resume()
        await town.clock.advance(2)
        assert older.closed is None
        town["alpha"].wire.check = asked
        await town.clock.advance(1)

        assert older.closed is not None
        assert older.closed.code == 4409


def refuse() -> None:
    raise Unavailable("it hears, and is not heard")
