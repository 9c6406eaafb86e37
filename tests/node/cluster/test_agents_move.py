"""An agent resumes on another node: its claims, its letters and its topics go with it."""

from typing import Any

from nexa_node.contract.errors import Unavailable
from nexa_node.contract.messages import Address, NewMessage
from tests.fakes import settle
from tests.rig import FakeAgent
from tests.two_nodes import BURIED_S, GRACE_S, Town

LEASE_S = 10.0


async def progress(agent: FakeAgent, assigned: dict[str, Any], **said: Any) -> Any:
    return await agent.call(
        "task.progress",
        id=assigned["task"]["id"],
        claim_epoch=assigned["claim_epoch"],
        **said,
    )


async def at_work(town: Town, node: str = "alpha", **hello: Any) -> Any:
    """An agent of a node, at work on a task; and the assignment."""
    agent = await town[node].agent(**hello)
    await town[node].submit()
    await settle()
    return agent, await agent.accept()


async def letter(town: Town, node: str, number: int) -> None:
    to = Address(agent="wc-1")
    await town[node].messages.send(
        "token:op1", NewMessage(to=to, type="n", data=number)
    )
    await settle()


async def post(town: Town, node: str, number: int) -> None:
    to = Address(topic="news")
    await town[node].messages.send(
        "token:op1", NewMessage(to=to, type="n", data=number)
    )
    await settle()


def numbers(agent: FakeAgent) -> list[Any]:
    return [each["data"] for each in agent.told("message.deliver")]


async def test_an_agent_whose_node_died_completes_on_another_one() -> None:
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        await town.kill("alpha")
        answer = await town.move(agent, "beta")
        done = await agent.complete(assigned)
        await town.clock.advance(20)

        task = town["beta"].task(assigned["task"]["id"])
        assert answer["result"]["resumed"] is True
        assert done["result"] == {}
        assert (task.status, task.attempts, task.claim_epoch) == ("completed", 1, 1)
        assert town["beta"].dispatch.in_hand() == 0
        assert town.store.queue.entries == {}


async def test_a_claim_of_a_dead_node_is_renewed_where_its_agent_is() -> None:
    """The node takes the claim in custody: it has a lease there, as any other."""
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        await town.kill("alpha")
        await town.move(agent, "beta")
        await town.bury("alpha")
        for _ in range(4):
            answer = await progress(agent, assigned, pct=50)
            assert "lease_until" in answer["result"]
            await town.clock.advance(LEASE_S / 2)

        task = town["beta"].task(assigned["task"]["id"])
        assert (task.status, task.node, task.claim_epoch) == ("running", "beta", 1)
        assert town["beta"].dispatch.in_hand() == 1
        await agent.complete(assigned)
        await town.clock.advance(20)
        assert town.store.queue.entries == {}


async def test_a_claim_that_came_with_its_agent_ends_by_its_lease_there() -> None:
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        await town.kill("alpha")
        await town.move(agent, "beta")
        await agent.accept()
        await town.bury("alpha")
        await town.clock.advance(LEASE_S + 1)

        task = town["beta"].task(assigned["task"]["id"])
        assert task.history[0].outcome == "lease_expired"
        assert agent.told("task.cancelled")[0]["claim_epoch"] == 1


async def test_an_agent_that_moved_is_asked_again_for_its_claims_and_has_no_more_room() -> (
    None
):
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town, slots=1)
        await town.kill("alpha")
        await town.move(agent, "beta", slots=1)
        await town["beta"].submit()
        await settle()

        told = [(each["task"]["id"], each["claim_epoch"]) for each in agent.assigned()]
        assert told == [(assigned["task"]["id"], 1)]


async def test_a_new_process_on_another_node_loses_what_the_old_one_had() -> None:
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        await town.kill("alpha")
        agent.rig = town["beta"]
        await agent.hello()
        await town.clock.advance(0.5)

        task = town["beta"].task(assigned["task"]["id"])
        assert (task.status, task.attempts) == ("pending", 1)
        assert task.history[0].outcome == "agent_lost"


async def test_an_agent_that_leaves_a_living_node_keeps_its_claims() -> None:
    """The node it left does not end by its grace what goes on elsewhere."""
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        await agent.lose()
        await town.move(agent, "beta")
        for _ in range(6):
            assert "result" in await progress(agent, assigned)
            await town.clock.advance(LEASE_S / 2)

        assert town["beta"].task(assigned["task"]["id"]).claim_epoch == 1
        assert town["alpha"].dispatch.in_hand() == 0
        assert town["beta"].dispatch.in_hand() == 1
        assert town["alpha"].kinds()["agent.moved"] == 1
        await agent.complete(assigned)
        await town.clock.advance(1)
        assert town.store.queue.entries == {}, "who has the message hears of the end"


async def test_a_claim_left_at_a_living_node_is_done_elsewhere_when_it_fails() -> None:
    """The message is at the old node, which hears of the end and gives it back."""
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        await agent.lose()
        await town.move(agent, "beta")
        await agent.accept()
        other = await town["beta"].agent("wc-2")
        await agent.call("task.release", id=assigned["task"]["id"], claim_epoch=1)
        await town.clock.advance(0.5)

        again = [*agent.assigned(), *other.assigned()]
        assert {each["claim_epoch"] for each in again} == {1, 2}


async def test_an_agent_goes_there_and_back_again_with_its_claim() -> None:
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        for name in ("beta", "alpha", "beta", "alpha"):
            await agent.lose()
            await town.move(agent, name)
            await progress(agent, assigned)
            await town.clock.advance(2 * GRACE_S)
        await agent.complete(assigned)
        await town.clock.advance(1)

        task = town["alpha"].task(assigned["task"]["id"])
        assert (task.status, task.claim_epoch) == ("completed", 1)
        assert town["alpha"].dispatch.in_hand() == town["beta"].dispatch.in_hand() == 0
        assert town.store.queue.entries == {}


async def test_letters_and_topics_go_on_where_they_were_read() -> None:
    async with Town("alpha", "beta") as town:
        agent = await town["alpha"].agent()
        await agent.call("topic.subscribe", topic="news")
        await letter(town, "beta", 1)
        await post(town, "beta", 2)
        await letter(town, "alpha", 3)
        assert numbers(agent) == [1, 2, 3]
        read = agent.told("message.deliver")[1]["seq"]
        await agent.call("inbox.ack", seq=agent.told("message.deliver")[0]["seq"])
        await town.kill("alpha")
        await post(town, "beta", 4)
        await letter(town, "beta", 5)
        await town.move(agent, "beta", last_seq=read)
        await letter(town, "beta", 6)
        await post(town, "beta", 7)

        assert numbers(agent) == [3, 4, 5, 6, 7]


async def test_a_letter_put_off_on_a_dead_node_comes_on_the_next_one() -> None:
    async with Town("alpha", "beta") as town:
        agent = await town["alpha"].agent()
        await letter(town, "alpha", 1)
        seq = agent.told("message.deliver")[0]["seq"]
        await agent.call("inbox.nack", seq=seq, delay_ms=5000)
        await town.kill("alpha")
        await town.move(agent, "beta", last_seq=seq)
        assert numbers(agent) == []
        await town.clock.advance(6)

        assert numbers(agent) == [1]


async def test_no_grace_passes_while_sessions_can_not_be_taken_up_anywhere() -> None:
    """Their stream elects a leader: the agent tries, and nobody may take that from it."""
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        await town.kill("alpha")
        await town.bury("alpha")
        town.can_resume = False
        await town.clock.advance(3 * BURIED_S)
        assert town["beta"].task(assigned["task"]["id"]).attempts == 1

        town.can_resume = True
        await town.move(agent, "beta")
        await agent.accept()
        await agent.complete(assigned)

        task = town["beta"].task(assigned["task"]["id"])
        assert (task.status, task.attempts) == ("completed", 1)


async def test_an_agent_that_never_comes_back_is_replaced_once() -> None:
    async with Town("alpha", "beta", "gamma") as town:
        _, assigned = await at_work(town)
        others = [await town[each].agent(f"on-{each}") for each in ("beta", "gamma")]
        await town.kill("alpha")
        await town.bury("alpha")
        assert town.store.agents.now("wc-1").connected
        for _ in range(18):
            await town.clock.advance(0.5)
            for other in others:
                if other.assigned():
                    await other.accept()

        task = town["beta"].task(assigned["task"]["id"])
        assert task.history[0].outcome == "node_lost"
        assert not town.store.agents.now("wc-1").connected
        again = [each for other in others for each in other.assigned()]
        assert [(each["claim_epoch"], each["attempt"]) for each in again] == [(2, 2)]


async def test_within_the_grace_nothing_of_a_dead_node_is_ended() -> None:
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        await town.kill("alpha")
        await town.bury("alpha")
        await town.clock.advance(GRACE_S * 0.8)
        await town.move(agent, "beta")
        await agent.accept()
        await town.clock.advance(BURIED_S)

        task = town["beta"].task(assigned["task"]["id"])
        assert (task.claim_epoch, task.history[0].outcome) == (1, None)
        assert town.store.agents.now("wc-1").connected


async def test_who_comes_back_too_late_is_fenced() -> None:
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        await town.kill("alpha")
        await town.bury("alpha")
        await town.clock.advance(BURIED_S)
        await town.move(agent, "beta", slots=1)
        late = await agent.complete(assigned)

        assert late["error"]["data"]["reason"] == "lease_lost"


async def test_a_session_counts_that_the_registry_could_not_take_yet() -> None:
    """The registry's stream may be without a leader for longer than the grace."""
    async with Town("alpha", "beta", "gamma") as town:
        agent, assigned = await at_work(town)
        await town.kill("alpha")
        await town.bury("alpha")
        town.controller = "gamma"
        agents = town["beta"].registry._records
        town["beta"].registry._records = Silent()
        town["beta"].registry._tell = lambda _agent: None
        await town.move(agent, "beta")
        await agent.accept()
        await town.clock.advance(BURIED_S)

        task_id = assigned["task"]["id"]
        assert town["beta"].task(task_id).claim_epoch == 1
        assert town["beta"].task(task_id).history[0].outcome is None
        town["beta"].registry._records = agents
        await town.clock.advance(2)
        assert town.store.agents.now("wc-1").node == "beta"
        assert (await agent.complete(assigned))["result"] == {}


class Silent:
    """A registry that does not answer."""

    async def put(self, record: Any) -> None:
        raise Unavailable(f"no leader to store {record.id}")


async def test_who_said_bye_at_a_living_node_leaves_its_claims_to_others() -> None:
    async with Town("alpha", "beta") as town:
        agent, assigned = await at_work(town)
        await town.kill("alpha")
        await town.move(agent, "beta")
        await agent.call("session.bye")
        await town.bury("alpha")
        await town.clock.advance(BURIED_S)

        task = town["beta"].task(assigned["task"]["id"])
        assert (task.status, task.history[0].outcome) == ("pending", "released")


async def test_a_dead_nodes_task_does_not_wait_for_the_store_to_hand_it_out_again() -> (
    None
):
    async with Town("alpha", "beta") as town:
        _, assigned = await at_work(town)
        other = await town["beta"].agent("on-beta")
        await town.kill("alpha")
        await town.bury("alpha")
        waited = 0.0
        while not other.assigned():
            await town.clock.advance(0.25)
            waited += 0.25

        # The grace, a look, and the back-off of its retry; not the store's 12 s.
        assert waited <= BURIED_S + 1.0
        await other.accept()
        await other.complete(other.assigned()[0])
        await town.clock.advance(30)
        task = town["beta"].task(assigned["task"]["id"])
        assert (task.status, task.attempts) == ("completed", 2)
        assert len(other.assigned()) == 1, "the first message is dropped: it is done"
        assert not town.store.queue.entries
