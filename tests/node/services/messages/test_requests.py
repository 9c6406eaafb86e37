"""Requests: a message that waits, and the one answer that ends it."""

from typing import Any

import pytest

from nexa_node.contract.errors import Invalid, NotFound
from nexa_node.contract.ids import AgentId
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.core.policies import SessionPolicy
from tests.fakes import settle
from tests.rig import FakeAgent, Rig

WC2 = {"agent": "wc-2"}


async def reply(agent: FakeAgent, data: Any = "yes", *, kind: str = "topic") -> Any:
    """Answer the newest message that was delivered."""
    address = agent.told("message.deliver")[-1]["reply_to"]
    return await agent.call(
        "message.send", to={kind: address}, type="answer", data=data
    )


@pytest.mark.parametrize("kind", ["topic", "agent"])
@pytest.mark.parametrize("durable", [True, False])
async def test_the_answer_s_data_is_the_result(kind: str, durable: bool) -> None:
    async with Rig() as rig:
        one, two = await rig.agent("wc-1"), await rig.agent("wc-2")
        number = await one.ask(
            "message.request", to=WC2, type="ask", data=[1], durable=durable
        )
        assert not one.is_answered(number)
        answered = await reply(two, {"sum": 1}, kind=kind)

        assert one.answer(number)["result"] == {"sum": 1}
        assert set(answered["result"]) == {"id", "duplicate", "seq"}
        assert two.told("message.deliver")[0]["data"] == [1]
        assert len(rig.store.inboxes.kept) == (1 if durable else 0)


async def test_null_is_an_answer() -> None:
    async with Rig() as rig:
        one, two = await rig.agent("wc-1"), await rig.agent("wc-2")
        number = await one.ask("message.request", to=WC2, type="ask")
        await reply(two, None)

        assert one.answer(number)["result"] is None


async def test_answers_cross_nodes() -> None:
    async with Rig() as rig, Rig(store=rig.store, name="beta") as other:
        one, two = await rig.agent("wc-1"), await other.agent("wc-2")
        for durable in (True, False):
            number = await one.ask(
                "message.request", to=WC2, type="ask", durable=durable
            )
            await settle()
            await reply(two, durable)
            assert one.answer(number)["result"] is durable
        late = await reply(two)

        assert late["error"]["data"]["reason"] == "not_found"


async def test_the_first_answer_wins_and_later_ones_are_told_so() -> None:
    async with Rig() as rig:
        asker = await rig.agent("asker")
        others = [await rig.agent(f"wc-{n}") for n in range(3)]
        for each in others:
            await each.call("topic.subscribe", topic="questions")
        number = await asker.ask(
            "message.request", to={"topic": "questions"}, type="ask"
        )
        said = [await reply(each, n) for n, each in enumerate(others)]

        assert asker.answer(number)["result"] == 0
        assert "result" in said[0]
        assert [each["error"]["data"]["reason"] for each in said[1:]] == [
            "not_found",
            "not_found",
        ]


async def test_without_an_answer_the_time_is_over() -> None:
    async with Rig() as rig:
        one, two = await rig.agent("wc-1"), await rig.agent("wc-2")
        number = await one.ask("message.request", to=WC2, type="ask", timeout_ms=2000)
        await rig.clock.advance(1.9)
        assert not one.is_answered(number)
        await rig.clock.advance(0.2)
        assert one.answer(number)["error"]["data"]["reason"] == "deadline_exceeded"
        late = await reply(two)

        assert late["error"]["data"]["reason"] == "not_found"


@pytest.mark.parametrize(
    "address", ["nx-reply-x", "nx-reply-" + "0" * 12 + "-" + "0" * 32]
)
async def test_addresses_that_never_were_are_not_found(address: str) -> None:
    async with Rig() as rig:
        for to in (Address(topic=address), Address(agent=AgentId(address))):
            with pytest.raises(NotFound):
                await rig.messages.send("token:op1", NewMessage(to=to, type="x"))
        assert rig.store.inboxes.kept == {}


async def test_an_answer_from_another_namespace_is_none() -> None:
    async with Rig() as rig:
        one, two = await rig.agent("wc-1"), await rig.agent("wc-2")
        stranger = await rig.agent("wc-3", namespace="other")
        number = await one.ask("message.request", to=WC2, type="ask")
        address = two.told("message.deliver")[-1]["reply_to"]
        said = await stranger.call("message.send", to={"topic": address}, type="x")

        assert said["error"]["data"]["reason"] == "not_found"
        assert not one.is_answered(number)
        await reply(two)
        assert one.answer(number)["result"] == "yes"


async def test_names_of_answers_can_not_be_taken() -> None:
    async with Rig() as rig:
        answer = await FakeAgent(rig, "nx-reply-me").hello()
        assert answer["error"]["data"]["reason"] == "invalid"
        agent = await rig.agent()
        said = await agent.call("topic.subscribe", topic="nx-reply-me.*")

        assert said["error"]["data"]["reason"] == "invalid"


async def test_a_request_chooses_no_address_of_its_own() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        answer = await agent.call(
            "message.request", to=WC2, type="ask", reply_to="my.topic"
        )

        assert answer["error"]["data"]["reason"] == "invalid"
        assert rig.store.inboxes.kept == {}


async def test_an_address_may_be_handed_on() -> None:
    """Whoever is asked may let somebody else answer."""
    async with Rig() as rig:
        asker, middle = await rig.agent("asker"), await rig.agent("wc-2")
        last = await rig.agent("wc-3")
        number = await asker.ask("message.request", to=WC2, type="ask")
        address = middle.told("message.deliver")[-1]["reply_to"]
        await middle.call(
            "message.send", to={"agent": "wc-3"}, type="ask", reply_to=address
        )
        await reply(last, "from the last")

        assert asker.answer(number)["result"] == "from the last"


async def test_who_is_nowhere_is_told_at_once() -> None:
    async with Rig() as rig:
        agent = await rig.agent("wc-1")
        answer = await agent.call("message.request", to=WC2, type="ask", durable=False)
        assert answer["error"]["data"]["reason"] == "no_agent_available"
        answer = await agent.call(
            "message.request", to={"capability": "no-such"}, type="ask"
        )

        assert answer["error"]["data"]["reason"] == "no_agent_available"
        assert rig.post.answers._waiting == {}


async def test_a_durable_request_waits_for_an_agent_that_comes_later() -> None:
    async with Rig() as rig:
        one = await rig.agent("wc-1")
        number = await one.ask("message.request", to=WC2, type="ask")
        await rig.clock.advance(5)
        two = await rig.agent("wc-2")
        await reply(two)

        assert one.answer(number)["result"] == "yes"


async def test_an_id_is_asked_once() -> None:
    async with Rig() as rig:
        one, two = await rig.agent("wc-1"), await rig.agent("wc-2")
        number = await one.ask("message.request", to=WC2, type="ask", id="q-1")
        again = await one.call("message.request", to=WC2, type="ask", id="q-1")
        assert again["error"]["data"]["reason"] == "duplicate"
        await reply(two)

        assert one.answer(number)["result"] == "yes"
        assert len(two.told("message.deliver")) == 1


async def test_requests_to_a_capability_are_spread_over_who_has_least_to_answer() -> (
    None
):
    async with Rig() as rig:
        asker = await rig.agent("asker", capabilities=[])
        others = [await rig.agent(f"wc-{n}") for n in range(4)]
        for _ in range(8):
            await asker.ask("message.request", to={"capability": "wc"}, type="ask")
        assert [len(each.told("message.deliver")) for each in others] == [2, 2, 2, 2]
        await reply(others[1])
        assert rig.post.answers.asked("default", AgentId("wc-1")) == 1
        await asker.ask("message.request", to={"capability": "wc"}, type="ask")

        assert len(others[1].told("message.deliver")) == 3


@pytest.mark.parametrize("how", ["lost", "bye", "taken over"])
async def test_a_call_that_waits_ends_with_its_connection(how: str) -> None:
    async with Rig() as rig:
        one, two = await rig.agent("wc-1"), await rig.agent("wc-2")
        for _ in range(3):
            await one.ask("message.request", to=WC2, type="ask")
        assert len(rig.post.answers._waiting) == 3
        if how == "lost":
            await one.lose()
        elif how == "bye":
            await one.call("session.bye")
        else:
            await rig.agent("wc-1")
        await settle()

        assert rig.post.answers._waiting == {}
        assert rig.post.answers._askers == {}
        said = await reply(two)
        assert said["error"]["data"]["reason"] == "not_found"
        await rig.clock.advance(40)
        assert rig.post.answers._times == []


async def test_more_calls_than_the_session_may_have_wait_their_turn() -> None:
    async with Rig(sessions=SessionPolicy(inflight=2, messages_burst=100)) as rig:
        one, two = await rig.agent("wc-1"), await rig.agent("wc-2")
        numbers = [
            await one.ask("message.request", to=WC2, type="ask") for _ in range(3)
        ]
        assert len(two.told("message.deliver")) == 2
        await reply(two)
        await settle()

        assert len(two.told("message.deliver")) == 3
        assert sum(one.is_answered(number) for number in numbers) == 1


async def test_large_data_is_refused_in_a_request_as_in_a_message() -> None:
    async with Rig(sessions=SessionPolicy(data_bytes=100)) as rig:
        agent = await rig.agent()
        answer = await agent.call("message.request", to=WC2, type="ask", data="x" * 200)

        assert answer["error"]["data"]["reason"] == "payload_too_large"


async def test_a_program_s_request_has_no_connection_to_end_with() -> None:
    from nexa_node.contract.frames import RequestMessage

    async with Rig() as rig:
        two = await rig.agent("wc-2")
        asked = RequestMessage(to=Address(agent=AgentId("wc-2")), type="ask")
        waiting = rig.group.create_task(rig.post.requests.request("token:op1", asked))
        await settle()
        await reply(two, 7)

        assert await waiting == 7
        wrong = RequestMessage(to=Address(agent=AgentId("a")), type="x", reply_to="a")
        with pytest.raises(Invalid):
            await rig.post.requests.request("token:op1", wrong)


async def test_answers_are_taken_once_the_store_answers() -> None:
    async with Rig() as first:
        first.store.available = False
        async with Rig(store=first.store, name="beta") as rig:
            await rig.clock.advance(2)
            rig.store.available = True
            await rig.clock.advance(2)
            one, two = await rig.agent("wc-1"), await first.agent("wc-2")
            number = await one.ask("message.request", to=WC2, type="ask")
            await settle()
            await reply(two)

            assert one.answer(number)["result"] == "yes"
