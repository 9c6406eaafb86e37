"""Whoever says hello is found at once; nobody waits for the store's watch to come round."""

from tests.rig import Rig


async def test_an_agent_finds_itself_right_after_hello() -> None:
    async with Rig() as rig:
        agent = await rig.agent("wc-1", capabilities=[{"name": "wc"}])
        found = await agent.call("agents.find", capability="wc")

    (me,) = found["result"]["agents"]
    assert (me["id"], me["connected"], me["state"]) == ("wc-1", True, "idle")


async def test_an_agent_that_said_bye_is_offline_for_everybody_at_once() -> None:
    async with Rig() as rig:
        leaver = await rig.agent("wc-1", capabilities=[{"name": "wc"}])
        watcher = await rig.agent("boss-1", capabilities=[{"name": "boss"}])
        await leaver.call("session.bye")
        found = await watcher.call("agents.find", capability="wc")

    assert [each["connected"] for each in found["result"]["agents"]] == [False]
