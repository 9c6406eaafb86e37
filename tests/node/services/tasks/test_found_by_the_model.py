"""What the model of tasks and inboxes found, each by itself."""

from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId
from tests.fakes import settle
from tests.rig import Rig


async def test_a_letter_that_was_put_off_twice_comes_once_and_at_the_later_time() -> (
    None
):
    async with Rig() as rig:
        agent = await rig.agent()
        await agent.call("message.send", to={"agent": "wc-1"}, type="x", data=1)
        (letter,) = agent.told("message.deliver")
        for delay_ms in (1000, 3000):
            put_off = {"seq": letter["seq"], "delay_ms": delay_ms}
            assert (await agent.call("inbox.nack", **put_off))["result"] == {}
        await rig.clock.advance(2)
        too_early = len(agent.told("message.deliver")) - 1
        await rig.clock.advance(2)

        assert too_early == 0
        assert [one["attempts"] for one in agent.told("message.deliver")] == [1, 2]


async def test_an_agent_lost_while_the_store_was_silent_was_lost_all_the_same() -> None:
    """The history says why an attempt ended, also when it is written later."""
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        await rig.clock.advance(1.5)
        rig.store.available = False
        await agent.lose()
        await rig.clock.advance(4)  # the grace ends, and nothing can be stored
        rig.store.available = True
        await rig.clock.advance(4)

        (attempt,) = rig.task(submitted.id).history
        assert attempt.outcome == "agent_lost"


async def test_a_slot_is_taken_while_its_claim_may_be_stored() -> None:
    """The store took a claim and could not say so: the agent gets no second task."""
    async with Rig() as rig:
        agent = await rig.agent(slots=1)
        await agent.call("agent.report", state="maintenance")
        first = await rig.submit()
        await settle()
        rig.store.lose_answers = True
        await agent.call("agent.report", state="idle")
        await settle()
        unknown = rig.task(first.id).status, agent.assigned()
        live = rig.sessions.find(DEFAULT_NAMESPACE, AgentId("wc-1"))
        assert live is not None
        taken = live.seat.inflight
        rig.store.lose_answers = False
        await rig.clock.advance(1)

        assert unknown == ("assigned", [])
        assert taken == 1
        assert [one["task"]["id"] for one in agent.assigned()] == [first.id]
