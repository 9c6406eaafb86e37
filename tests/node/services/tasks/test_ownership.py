"""An agent's id is its identity's: who may take it over, and when it is free again."""

import asyncio
from typing import Any

import msgspec
import pytest

from nexa_node.contract.access import Identity
from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId
from nexa_node.core.policies import SessionPolicy
from nexa_node.ports import StandingSubscription
from nexa_node.services.sessions.once import AGAIN_AFTER_S, KEYS_MAX, Once
from tests.builders import identity
from tests.fakes import FakeClock, settle
from tests.rig import FakeAgent, Rig

OURS = identity("agent", id="token:ours")
THEIRS = identity("agent", id="token:theirs")
ADMIN = identity("admin", id="token:admin")
HOLD_S = 60.0
POLICY = SessionPolicy(hold_ms=60_000)


async def hello(rig: Rig, who: Identity, **fields: Any) -> FakeAgent:
    """Say hello as wc-1, by the token of `who`."""
    agent = FakeAgent(rig, "wc-1", incarnation=fields.pop("incarnation", None))
    agent.open(caller=who)
    params = {"protocol": "1.0", "agent": {"id": "wc-1"}, **fields}
    answer = await agent.call("session.hello", **params)
    agent.welcome = answer.get("result")
    return agent


def resumption(agent: FakeAgent) -> dict[str, Any]:
    """What it says to take up its session."""
    assert agent.welcome is not None
    return {
        "session": agent.welcome["session"],
        "token": agent.welcome["resume_token"],
        "epoch": agent.welcome["epoch"],
        "last_seq": 0,
    }


def refusal(agent: FakeAgent) -> tuple[str, int]:
    """Why it was refused, and how it was closed."""
    (answer,) = [each for each in agent.frames if "error" in each]
    assert agent.closed is not None
    return answer["error"]["data"]["reason"], agent.closed.code


async def test_another_identity_may_not_take_a_connected_agent_over() -> None:
    async with Rig() as rig:
        ours = await hello(rig, OURS)
        theirs = await hello(rig, THEIRS)
        again = await hello(rig, THEIRS)

        assert refusal(theirs) == refusal(again) == ("forbidden", 4502)
        assert ours.closed is None
        noted = rig.journal.last("agent.refused")
        assert rig.journal.kinds().count("agent.refused") == 1
        assert noted.data == {"by": "token:theirs", "address": "127.0.0.1"}
        assert "token:ours" not in theirs.frames[0]["error"]["message"]


async def test_not_in_its_grace_nor_while_it_can_be_resumed() -> None:
    async with Rig(sessions=POLICY) as rig:
        ours = await hello(rig, OURS)
        await ours.lose()
        assert refusal(await hello(rig, THEIRS)) == ("forbidden", 4502)
        await rig.clock.advance(10)
        assert rig.sessions.everybody() == ()
        assert refusal(await hello(rig, THEIRS)) == ("forbidden", 4502)
        back = await hello(rig, OURS, resume=resumption(ours))

        assert back.welcome is not None
        assert back.welcome["resumed"] is True


async def test_on_another_node_it_is_as_much_theirs() -> None:
    first = Rig()
    async with first, Rig(store=first.store, name="beta") as second:
        await hello(first, OURS)
        await settle()

        assert refusal(await hello(second, THEIRS)) == ("forbidden", 4502)


async def test_the_same_identity_takes_over_and_an_admin_too() -> None:
    async with Rig() as rig:
        first = await hello(rig, OURS)
        second = await hello(rig, OURS)
        third = await hello(rig, ADMIN)
        fourth = await hello(rig, OURS)

        assert [one.closed.code for one in (first, second) if one.closed] == [4409] * 2
        assert third.closed is None
        assert refusal(fourth) == ("forbidden", 4502)


async def test_after_bye_the_id_is_free_and_the_session_over() -> None:
    async with Rig() as rig:
        ours = await hello(rig, OURS)
        await ours.call("session.bye")
        theirs = await hello(rig, THEIRS)

        assert theirs.welcome is not None
        await theirs.call("session.bye")
        back = await hello(rig, OURS, resume=resumption(ours))
        assert back.welcome is not None
        assert back.welcome["resumed"] is False


async def test_a_bye_the_store_does_not_hear_is_a_bye() -> None:
    async with Rig() as rig:
        ours = await hello(rig, OURS)
        rig.store.available = False
        answer = await ours.call("session.bye")

        assert answer["result"] == {}
        assert ours.closed is not None
        assert ours.closed.code == 1000
        assert rig.sessions.everybody() == ()


async def test_a_bye_does_not_end_the_session_that_came_after_it() -> None:
    first = Rig(fenced=False)
    async with first, Rig(store=first.store, name="beta") as second:
        old = await hello(first, OURS)
        new = await hello(second, OURS)
        await old.call("session.bye")
        (record,) = first.store.sessions.bucket.entries.values()

        assert new.welcome is not None
        assert record.value.session == new.welcome["session"]
        assert record.value.token_sha256


async def test_who_stays_away_too_long_loses_the_id() -> None:
    async with Rig(sessions=POLICY) as rig:
        ours = await hello(rig, OURS)
        await rig.clock.advance(2 * HOLD_S)
        assert refusal(await hello(rig, THEIRS)) == ("forbidden", 4502)
        await ours.lose()
        await rig.clock.advance(HOLD_S - 5)
        assert refusal(await hello(rig, THEIRS)) == ("forbidden", 4502)
        await rig.clock.advance(10)
        theirs = await hello(rig, THEIRS)

        assert theirs.welcome is not None


async def test_an_id_that_no_registry_knows_is_held_since_its_hello() -> None:
    async with Rig(sessions=POLICY) as rig:
        ours = await hello(rig, OURS)
        await ours.lose()
        await rig.clock.advance(10)
        await rig.store.agents.delete(DEFAULT_NAMESPACE, AgentId("wc-1"))
        await settle()
        assert rig.directory.agent(DEFAULT_NAMESPACE, AgentId("wc-1")) is None
        assert refusal(await hello(rig, THEIRS)) == ("forbidden", 4502)
        await rig.clock.advance(HOLD_S)

        assert (await hello(rig, THEIRS)).welcome is not None


async def test_what_a_revoked_identity_held_is_free() -> None:
    async with Rig() as rig:
        await hello(rig, OURS)
        rig.sessions.revoked("token:ours", "the token was revoked")
        await rig.clock.advance(10)

        assert (await hello(rig, THEIRS)).welcome is not None


async def test_a_renewed_token_keeps_the_id() -> None:
    async with Rig(sessions=POLICY) as rig:
        rig.tokens["newer"] = THEIRS
        agent = await hello(rig, OURS)
        assert (await agent.call("session.refresh", token="newer"))["result"] == {}
        await agent.lose()
        await rig.clock.advance(10)
        assert refusal(await hello(rig, OURS)) == ("forbidden", 4502)

        assert (await hello(rig, THEIRS)).welcome is not None


async def test_a_token_that_has_all_it_may_can_not_be_renewed_to() -> None:
    async with Rig(sessions=SessionPolicy(connections_per_identity=1)) as rig:
        rig.tokens["newer"] = THEIRS
        agent = await hello(rig, OURS)
        rig.connect(caller=THEIRS)
        answer = await agent.call("session.refresh", token="newer")

        assert answer["error"]["data"]["reason"] == "rate_limited"
        assert agent.closed is None


async def test_records_of_an_older_nexa_belong_to_nobody() -> None:
    async with Rig() as rig:
        agent = await hello(rig, OURS)
        await agent.lose()
        await rig.clock.advance(10)
        ((key, seen),) = rig.store.sessions.bucket.entries.items()
        old = msgspec.structs.replace(seen.value, identity=None, opened=None)
        rig.store.sessions.bucket.set(key, old)

        assert (await hello(rig, THEIRS)).welcome is not None


async def test_what_others_noted_of_a_session_is_kept_when_it_is_resumed() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        ((key, seen),) = rig.store.sessions.bucket.entries.items()
        standing = (StandingSubscription(id="s-1", topic="news.*", after=0),)
        noted = msgspec.structs.replace(seen.value, subscriptions=standing)
        rig.store.sessions.bucket.set(key, noted)
        await agent.lose()
        await agent.resume()
        resumed = rig.store.sessions.bucket.entries[key].value
        await agent.lose()
        await agent.hello()
        begun = rig.store.sessions.bucket.entries[key].value

        assert resumed.subscriptions == standing
        assert begun.subscriptions == ()


async def test_a_record_that_others_keep_changing_is_not_overwritten() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        ((key, seen),) = rig.store.sessions.bucket.entries.items()
        swap = rig.store.sessions.bucket.swap

        async def busy(name: str, record: Any, revision: int) -> int:
            rig.store.sessions.bucket.set(name, seen.value)
            return await swap(name, record, revision)

        rig.store.sessions.bucket.swap = busy  # type: ignore[method-assign]
        other = FakeAgent(rig, "wc-1")
        answer = await other.hello()
        assert answer["error"]["data"]["reason"] == "unavailable"
        assert rig.store.sessions.bucket.entries[key].value == seen.value
        bye = await agent.call("session.bye")

        assert bye["result"] == {}


@pytest.mark.parametrize(
    ("incarnation", "reason"),
    [
        ("01jn8qk000000000000000000a", "taken_over:01jn8qk000000000000000000a"),
        (17, "taken_over:17"),
        (None, "taken_over"),
        ("x" * 65, "taken_over"),
        ("new\x1b[31m", "taken_over"),
        ("größer", "taken_over"),
    ],
)
async def test_a_takeover_names_the_newer_process(
    incarnation: Any, reason: str
) -> None:
    async with Rig() as rig:
        old = await hello(rig, OURS)
        info = {"id": "wc-1", "incarnation": incarnation}
        await hello(rig, OURS, agent=info)

        assert old.closed is not None
        assert (old.closed.code, old.closed.reason) == (4409, reason)


async def test_of_two_at_the_same_moment_the_later_one_stays() -> None:
    async with Rig() as rig:
        put, go_on = rig.store.sessions.put, asyncio.Event()

        async def slow_answer(*what: Any, **how: Any) -> int:
            revision = await put(*what, **how)
            if what[2].incarnation == "slow":
                await go_on.wait()
            return revision

        rig.store.sessions.put = slow_answer  # type: ignore[method-assign]
        slow = FakeAgent(rig, "wc-1")
        slow.open(caller=OURS)
        assert slow.connection is not None
        params = {"protocol": "1.0", "agent": {"id": "wc-1", "incarnation": "slow"}}
        frame = {"jsonrpc": "2.0", "id": 1, "method": "session.hello", "params": params}
        rig.spawn(slow.connection.receive(msgspec.json.encode(frame)))
        await settle()
        quick = await hello(rig, OURS, agent={"id": "wc-1", "incarnation": "quick"})
        go_on.set()
        await settle()

        assert quick.welcome is not None
        assert (quick.closed, slow.frames) == (None, [])
        assert slow.closed is not None
        assert (slow.closed.code, slow.closed.reason) == (4409, "taken_over:quick")
        assert rig.sessions.connected() == 1


async def test_noting_once_remembers_only_so_much() -> None:
    clock = FakeClock()
    once = Once(clock)
    assert [once.first("a"), once.first("a")] == [True, False]
    await clock.advance(AGAIN_AFTER_S)
    assert once.first("a")
    for number in range(KEYS_MAX):
        once.first(number)

    assert once.first("a")


async def test_the_id_can_be_held_without_a_registry() -> None:
    async with Rig(sessions=POLICY) as rig:
        rig.sessions._door._sight = None
        ours = await hello(rig, OURS)
        await ours.lose()
        await rig.clock.advance(3 * HOLD_S)

        assert refusal(await hello(rig, THEIRS)) == ("forbidden", 4502)
