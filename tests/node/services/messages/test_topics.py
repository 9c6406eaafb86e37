"""Topics: subscribing, replays, resumption, and what a session is told in which order."""

from typing import Any

import pytest

from nexa_node.contract.errors import Unavailable
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.core.policies import RetentionPolicy, SessionPolicy
from nexa_node.core.topics import SUBSCRIPTIONS_LIMIT
from nexa_node.ports import SessionRecord
from nexa_node.services.messages import delivery
from tests.fakes import MemoryStore, settle
from tests.rig import FakeAgent, Rig

FAST = SessionPolicy(messages_per_s=1e6, messages_burst=1_000_000)


async def post(rig: Rig, topic: str, data: Any = None, **fields: Any) -> int | None:
    message = NewMessage(to=Address(topic=topic), type="note", data=data, **fields)
    return (await rig.messages.send("token:op1", message)).seq


async def letter(rig: Rig, agent: str, data: Any = None) -> int | None:
    message = NewMessage(to=Address(agent=agent), type="note", data=data)
    return (await rig.messages.send("token:op1", message)).seq


async def subscribe(agent: FakeAgent, topic: str, start: Any = "new") -> str:
    answer = await agent.call("topic.subscribe", topic=topic, **{"from": start})
    return answer["result"]["subscription"]


def seqs(agent: FakeAgent) -> list[int]:
    return [each["seq"] for each in agent.told("message.deliver")]


def data(agent: FakeAgent) -> list[Any]:
    return [each["data"] for each in agent.told("message.deliver")]


def _delivered(agent: FakeAgent) -> list[dict[str, Any]]:
    return agent.told("message.deliver")


async def test_a_subscriber_is_told_what_comes_and_by_which_subscription() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await post(rig, "jobs.done", "before")
        subscription = await subscribe(agent, "jobs.*")
        await post(rig, "jobs.done", "after")
        await post(rig, "jobs", "too short")
        await post(rig, "jobs.done.now", "too long")
        await settle()

        (told,) = agent.told("message.deliver")
        assert told["subject"] == "jobs.done"
        assert told["to"] == {"topic": "jobs.done"}
        assert told["subscription"] == subscription
        assert (told["seq"], told["data"], told["attempts"]) == (2, "after", 1)


async def test_several_that_match_tell_a_message_once_by_the_first() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        first = await subscribe(agent, "jobs.>")
        second = await subscribe(agent, "jobs.*")
        await post(rig, "jobs.a")
        await settle()
        assert [each["subscription"] for each in agent.told("message.deliver")] == [
            first
        ]
        await agent.call("topic.unsubscribe", subscription=first)
        await post(rig, "jobs.b")
        await settle()

        assert [each["subscription"] for each in agent.told("message.deliver")] == [
            first,
            second,
        ]


async def test_the_same_topic_again_is_the_same_subscription() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await post(rig, "a", 1)
        first = await subscribe(agent, "a")
        assert await subscribe(agent, "a") == first
        assert data(agent) == []
        assert await subscribe(agent, "a", "all") == first
        await post(rig, "a", 2)
        await settle()

        assert data(agent) == [1, 2]


async def test_nothing_comes_after_unsubscribing() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        subscription = await subscribe(agent, "a.b")
        answer = await agent.call("topic.unsubscribe", topic="a.b")
        assert answer["result"] == {"subscription": subscription}
        await post(rig, "a.b")
        await settle()
        assert data(agent) == []
        again = await agent.call("topic.unsubscribe", topic="a.b")

        assert again["error"]["data"]["reason"] == "not_found"
        record = rig.store.sessions.bucket.entries["default.wc-1"].value
        assert record.subscriptions == ()


@pytest.mark.parametrize(
    ("start", "wanted"),
    [
        ("new", []),
        ("all", [1, 2, 3]),
        ({"seq": 2}, [2, 3]),
        ({"seq": 99}, []),
        ({"time": "2026-03-01T12:00:05Z"}, [2, 3]),
        ({"time": "2027-01-01T00:00:00+02:00"}, []),
    ],
)
async def test_a_subscription_begins_where_it_is_asked_to(
    start: Any, wanted: list[int]
) -> None:
    async with Rig() as rig:
        for n in (1, 2, 3):
            await post(rig, "a.b", n)
            await rig.clock.advance(5)
        agent = await rig.agent()
        await subscribe(agent, "a.>", start)
        await settle()

        assert data(agent) == wanted


@pytest.mark.parametrize(
    "start",
    [
        {"seq": -1},
        {"seq": "1"},
        {"seq": True},
        {"time": "yesterday"},
        {"time": "2026-03-01T12:00:05"},
        {"time": 1},
        {"seq": 1, "time": "2026-03-01T12:00:05Z"},
        {},
        "old",
    ],
)
async def test_a_start_that_means_nothing_is_refused(start: Any) -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        answer = await agent.call("topic.subscribe", topic="a", **{"from": start})

        assert answer["error"]["code"] in (1004, -32602)


async def test_a_replay_comes_in_order_before_what_is_new() -> None:
    async with Rig(sessions=FAST) as rig:
        for n in range(200):
            await post(rig, "a.b", n)
        agent = await rig.agent()
        await letter(rig, "wc-1", "letter")
        number = 99
        await agent.send(
            {
                "id": number,
                "method": "topic.subscribe",
                "params": {"topic": "a.*", "from": "all"},
            }
        )
        for n in range(200, 250):
            await post(rig, "a.b", n)
        await settle()

        told = [each for each in data(agent) if each != "letter"]
        assert told == list(range(250))
        assert data(agent).count("letter") == 1


async def test_what_one_subscription_replays_another_still_tells_as_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "READ_AT_ONCE", 2)
    async with Rig(sessions=FAST) as rig:
        for n in range(6):
            await post(rig, "a", n)
        agent = await rig.agent()
        first = await subscribe(agent, "a")
        second = await subscribe(agent, ">")
        await agent.notify("flow.credit", scope="inbox", n=2)
        await subscribe(agent, "a", "all")
        await post(rig, "a", 6)
        await agent.notify("flow.credit", scope="inbox", n=99)
        await settle()

        told = [(each["data"], each["subscription"]) for each in _delivered(agent)]
        assert [n for n, by in told if by == first] == list(range(7))
        assert [n for n, by in told if by == second] == [6]


async def test_an_ack_of_a_topic_s_message_changes_nothing() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await subscribe(agent, "a")
        await letter(rig, "wc-1")
        await post(rig, "a")
        await letter(rig, "wc-1")
        await settle()
        assert seqs(agent) == [1, 2, 3]
        assert (await agent.call("inbox.ack", seq=2))["result"] == {}
        assert 2 in rig.store.inboxes.kept
        await agent.call("inbox.ack", upto=3)

        assert set(rig.store.inboxes.kept) == {2}


async def test_a_resumed_session_goes_on_where_the_highest_seq_was() -> None:
    async with Rig() as rig, Rig(store=rig.store, name="beta") as other:
        agent = await rig.agent()
        await subscribe(agent, "a.>")
        await post(rig, "a.b", 1)
        await letter(rig, "wc-1", 2)
        await settle()
        last = max(seqs(agent))
        await agent.lose()
        await post(rig, "a.c", 3)
        await letter(rig, "wc-1", 4)
        await post(rig, "b", "not asked for")
        agent.rig = other
        answer = await agent.resume(last_seq=last)
        await post(rig, "a.d", 5)
        await settle()

        assert answer["result"]["resumed"]
        assert data(agent) == [3, 4, 5]


async def test_a_fresh_session_has_no_subscriptions() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await subscribe(agent, "a")
        await agent.lose()
        await agent.hello()
        await post(rig, "a")
        await settle()

        assert data(agent) == []


async def test_bye_ends_subscriptions() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await subscribe(agent, "a")
        await agent.call("session.bye")
        await settle()
        answer = await agent.resume()
        await post(rig, "a")
        await settle()

        assert not answer["result"]["resumed"]
        assert data(agent) == []


async def test_a_replay_that_was_cut_off_is_told_again_after_a_resume() -> None:
    async with Rig(sessions=FAST) as rig:
        for n in range(10):
            await post(rig, "a", n)
        agent = await rig.agent()
        await letter(rig, "wc-1", "newer")
        await settle()
        await agent.notify("flow.credit", scope="inbox", n=4)
        await subscribe(agent, "a", "all")
        assert data(agent) == ["newer", 0, 1, 2, 3]
        await agent.lose()
        await agent.resume(last_seq=11)

        assert data(agent) == list(range(10))


async def test_what_is_new_waits_for_the_replay_of_its_topic_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "READ_AT_ONCE", 2)
    async with Rig(sessions=FAST) as rig:
        for n in range(10):
            await post(rig, "a", n)
        agent = await rig.agent()
        await subscribe(agent, "b")
        await agent.notify("flow.credit", scope="inbox", n=4)
        await subscribe(agent, "a", "all")
        await post(rig, "a", 10)
        await post(rig, "b", "b")
        await letter(rig, "wc-1", "letter")
        await agent.notify("flow.credit", scope="inbox", n=99)
        await settle()

        told = data(agent)
        assert [each for each in told if each not in ("b", "letter")] == list(range(11))
        assert told.index("b") < told.index("letter") < told.index(10)


async def test_a_replay_that_was_told_is_not_told_again() -> None:
    async with Rig(sessions=FAST) as rig:
        for n in range(10):
            await post(rig, "a", n)
        agent = await rig.agent()
        await letter(rig, "wc-1", "x")
        await settle()
        await subscribe(agent, "a", "all")
        await settle()
        last = max(seqs(agent))
        await agent.lose()
        await post(rig, "a", 10)
        await agent.resume(last_seq=last)

        assert data(agent) == [10]


async def test_positions_of_another_epoch_mean_that_all_is_wanted() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        for n in range(5):
            await post(rig, "b", n)
        await subscribe(agent, "a")
        await post(rig, "a", "lost")
        await agent.lose()
        rig.store.inboxes.lose_everything("epoch-2")
        await post(rig, "a", "kept")
        answer = await agent.resume(last_seq=6)

        assert answer["result"]["gap"]["reason"] == "epoch_changed"
        assert data(agent) == ["kept"]


async def test_a_session_has_so_many_subscriptions_and_no_more() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        for n in range(SUBSCRIPTIONS_LIMIT):
            await subscribe(agent, f"t{n}")
        answer = await agent.call("topic.subscribe", topic="one.more")
        assert answer["error"]["data"]["details"] == {"limit": SUBSCRIPTIONS_LIMIT}
        assert "256" in answer["error"]["message"]
        assert "result" in await agent.call("topic.subscribe", topic="t7")
        for n in range(0, SUBSCRIPTIONS_LIMIT, 50):
            await post(rig, f"t{n}", n)
        await agent.lose()
        await agent.resume(last_seq=0)

        assert data(agent) == list(range(0, SUBSCRIPTIONS_LIMIT, 50))


@pytest.mark.parametrize(
    "topic", ["a..b", "x" * 256, ".".join("a" * 17), ">.a", "A", "nx-reply-x"]
)
async def test_what_is_no_topic_is_refused(topic: str) -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        answer = await agent.call("topic.subscribe", topic=topic)

        assert answer["error"]["data"]["reason"] == "invalid"
        assert answer["error"]["message"].startswith("topic: ")


async def test_namespaces_do_not_hear_each_other() -> None:
    async with Rig() as rig:
        here = await rig.agent("wc-1")
        there = await rig.agent("wc-2", namespace="other")
        await subscribe(here, ">")
        await subscribe(there, ">")
        await here.call("message.send", to={"topic": "a"}, type="note", data="here")
        await there.call("message.send", to={"topic": "a"}, type="note", data="there")
        await settle()

        assert data(here) == ["here"]
        assert data(there) == ["there"]


async def test_signals_of_a_topic_reach_who_listens_on_any_node() -> None:
    async with Rig() as rig, Rig(store=rig.store, name="beta") as other:
        here, there = await rig.agent("wc-1"), await other.agent("wc-2")
        await subscribe(here, "a.*")
        await subscribe(there, "a.>")
        await subscribe(there, "a.b")
        await post(rig, "a.b", 1, durable=False)
        await settle()

        assert (seqs(here), seqs(there)) == ([0], [0])
        assert rig.store.inboxes.kept == {}


async def test_messages_of_a_topic_go_when_their_time_is_over() -> None:
    keep = RetentionPolicy(topics_hours=1, topics_hours_of={"other": 0.001})
    async with Rig(store=MemoryStore(retention=keep)) as rig:
        here = await rig.agent("wc-1")
        there = await rig.agent("wc-2", namespace="other")
        await here.call("message.send", to={"topic": "a"}, type="note", data=1)
        await there.call("message.send", to={"topic": "a"}, type="note", data=2)
        await rig.clock.advance(10)
        await subscribe(here, "a", "all")
        await subscribe(there, "a", "all")
        await settle()
        assert (data(here), data(there)) == ([1], [])
        await rig.clock.advance(3600)

        assert not await rig.store.inboxes.read_topics("default", ">", after=0, limit=9)


async def test_a_subscription_the_store_did_not_take_is_none() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        rig.store.available = False
        answer = await agent.call("topic.subscribe", topic="a")
        assert answer["error"]["data"]["reason"] == "unavailable"
        rig.store.available = True
        await rig.clock.advance(1)
        await post(rig, "a")
        await settle()
        assert data(agent) == []
        await subscribe(agent, "a")
        await post(rig, "a", "now")
        await settle()

        assert data(agent) == ["now"]


async def test_a_lost_answer_of_the_store_does_not_cost_the_session_its_record() -> (
    None
):
    async with Rig() as rig:
        agent = await rig.agent()
        rig.store.lose_answers = True
        answer = await agent.call("topic.subscribe", topic="a")
        assert answer["error"]["data"]["reason"] == "unavailable"
        rig.store.lose_answers = False
        await subscribe(agent, "b")
        await post(rig, "b", "b")
        await settle()

        assert data(agent) == ["b"]
        record = rig.store.sessions.bucket.entries["default.wc-1"].value
        assert [each.topic for each in record.subscriptions] == ["b"]


async def test_a_session_that_went_elsewhere_can_not_be_changed_here() -> None:
    async with Rig(fenced=False) as rig, Rig(store=rig.store, name="beta") as other:
        old = await rig.agent()
        new = FakeAgent(other, "wc-1")
        new.welcome = old.welcome
        await new.resume()
        answer = await old.call("topic.subscribe", topic="a")
        assert answer["error"]["data"]["reason"] == "conflict"
        await subscribe(new, "b")

        record = rig.store.sessions.bucket.entries["default.wc-1"].value
        assert [each.topic for each in record.subscriptions] == ["b"]


async def test_a_last_seq_that_never_was_makes_nobody_deaf() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await subscribe(agent, "a")
        await agent.lose()
        await agent.resume(last_seq=2**53)
        await post(rig, "a", 1)
        await letter(rig, "wc-1", 2)
        await settle()

        assert data(agent) == [1, 2]


async def test_deliveries_go_on_after_a_crash_of_the_loops() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await subscribe(agent, "a")
        crashed = rig.group.create_task(rig.post.run())
        await settle()
        crashed.cancel()
        await post(rig, "a", 1)
        await settle()

        assert data(agent)[0] == 1


async def test_a_store_that_is_silent_for_a_while_loses_nothing_of_a_topic() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await subscribe(agent, "a")
        await agent.notify("flow.credit", scope="inbox", n=0)
        await post(rig, "a", 1)
        rig.store.available = False
        with pytest.raises(Unavailable):
            await post(rig, "a", 2)
        await agent.notify("flow.credit", scope="inbox", n=9)
        await rig.clock.advance(3)
        assert data(agent) == []
        rig.store.available = True
        await rig.clock.advance(1)

        assert data(agent) == [1]


async def test_a_record_that_could_not_be_tidied_is_tidied_later() -> None:
    async with Rig(sessions=FAST) as rig:
        for n in range(5):
            await post(rig, "a", n)
        agent = await rig.agent()
        await letter(rig, "wc-1")
        await settle()
        await agent.notify("flow.credit", scope="inbox", n=2)
        await subscribe(agent, "a", "all")
        writes = rig.store.sessions.put

        async def silent(*_: Any, **__: Any) -> int:
            raise Unavailable("silent")

        rig.store.sessions.put = silent  # type: ignore[method-assign]  # a store in trouble
        await agent.notify("flow.credit", scope="inbox", n=9)
        await rig.clock.advance(1)
        assert not _record(rig).subscriptions[0].settled
        rig.store.sessions.put = writes  # type: ignore[method-assign]  # it is back
        await rig.clock.advance(1)

        assert _record(rig).subscriptions[0].settled


async def test_a_session_that_is_over_is_not_tidied() -> None:
    async with Rig() as rig, Rig(store=rig.store, name="beta") as other:
        await post(rig, "a")
        old = await rig.agent()
        await letter(rig, "wc-1")
        await settle()
        await subscribe(old, "a", "all")
        box = next(iter(rig.post.delivery._boxes.values()))
        new = FakeAgent(other, "wc-1")
        new.welcome = old.welcome
        await new.resume()
        box.put_off[7] = 1
        rig.post.topics.tidy(box)
        await settle()
        assert _record(rig).again == {}
        await old.lose()
        rig.post.topics.tidy(box)
        await settle()

        assert _record(rig).again == {}


def _record(rig: Rig) -> SessionRecord:
    return rig.store.sessions.bucket.entries["default.wc-1"].value
