"""Sessions: hello, resuming, taking over, grace, farewell, and the registry's records."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from nexa_node.contract.errors import (
    Draining,
    Forbidden,
    NotFound,
    RateLimited,
    Unavailable,
)
from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId
from nexa_node.core.policies import LeasePolicy, SessionPolicy
from nexa_node.services.api import Close
from nexa_node.services.sessions.live import state_of
from tests.builders import agent as agent_record, identity
from tests.fakes import settle
from tests.rig import FakeAgent, Rig

WC1 = AgentId("wc-1")


async def test_the_welcome_says_all_an_agent_needs() -> None:
    async with Rig() as rig:
        agent = await rig.agent(features=["resume", "magic"])

        welcome = agent.welcome
        assert welcome is not None
        assert welcome["protocol"] == "1.0"
        assert welcome["resumed"] is False
        assert welcome["next_seq"] == 1
        assert welcome["epoch"] == "epoch-1"
        assert welcome["node"] == {"id": "id-alpha", "name": "alpha"}
        assert welcome["cluster"] == ["ws://127.0.0.1:6392/v1/agent"]
        assert welcome["lease_ms"] == 30_000
        assert welcome["limits"]["inflight"] == 64
        assert welcome["features"] == ["resume"]


async def test_only_the_hash_of_the_resume_token_is_kept() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        assert agent.welcome is not None
        token = agent.welcome["resume_token"]
        (record,) = rig.store.sessions.bucket.entries.values()

        assert record.value.token_sha256 == hashlib.sha256(token.encode()).hexdigest()
        assert token not in msgspec.json.encode(record.value).decode()


async def test_a_token_in_hello_is_as_good_as_one_on_the_upgrade() -> None:
    async with Rig() as rig:
        agent = FakeAgent(rig, "wc-1")
        agent.connection = rig.sessions.connect(None, text=True, address="10.0.0.1")
        rig.spawn(agent._read(agent.connection))
        params = {"protocol": "1.0", "agent": {"id": "wc-1"}}
        auth = {"token": "agent-token"}
        answer = await agent.call("session.hello", **params, auth=auth)

        assert "session" in answer["result"]


@pytest.mark.parametrize("auth", [None, {"token": "wrong"}])
async def test_nobody_is_refused_and_closed(auth: Any) -> None:
    async with Rig() as rig:
        agent = FakeAgent(rig, "wc-1")
        agent.connection = rig.sessions.connect(None, text=True, address="10.0.0.1")
        rig.spawn(agent._read(agent.connection))
        params: dict[str, Any] = {"protocol": "1.0", "agent": {"id": "wc-1"}}
        if auth:
            params["auth"] = auth
        answer = await agent.call("session.hello", **params)

        assert answer["error"]["data"]["reason"] == "unauthorized"
        assert agent.closed is not None
        assert agent.closed.code == 4501


async def test_a_role_without_sessions_is_refused_at_the_upgrade_and_in_hello() -> None:
    async with Rig() as rig:
        with pytest.raises(Forbidden):
            rig.sessions.connect(identity("viewer"), text=True, address="10.0.0.1")
        rig.tokens["viewer-token"] = identity("viewer")
        agent = FakeAgent(rig, "wc-1")
        agent.connection = rig.sessions.connect(None, text=True, address="10.0.0.1")
        rig.spawn(agent._read(agent.connection))
        answer = await agent.call(
            "session.hello",
            protocol="1.0",
            agent={"id": "wc-1"},
            auth={"token": "viewer-token"},
        )

        assert answer["error"]["data"]["reason"] == "forbidden"
        assert agent.closed is not None
        assert agent.closed.code == 4502


async def test_without_hello_the_connection_is_closed_in_time() -> None:
    async with Rig() as rig:
        agent = FakeAgent(rig, "wc-1")
        agent.open()
        await rig.clock.advance(5.5)

        assert agent.closed is not None
        assert agent.closed.code == 4501


async def test_a_silent_store_lets_the_agent_come_back_later() -> None:
    async with Rig() as rig:
        rig.store.available = False
        agent = FakeAgent(rig, "wc-1")
        answer = await agent.hello()

        assert answer["error"]["data"] == {"reason": "unavailable", "retryable": True}
        assert agent.closed is not None
        assert agent.closed.code == 4413


async def test_a_resumed_session_is_the_same_session() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        before = agent.welcome
        await agent.lose()
        answer = await agent.resume(last_seq=7)

        assert before is not None
        assert answer["result"]["resumed"] is True
        assert answer["result"]["session"] == before["session"]
        assert answer["result"]["next_seq"] == 8
        assert rig.journal.kinds() == ["agent.joined", "agent.resumed"]


async def test_a_session_is_resumed_on_another_node() -> None:
    first = Rig()
    async with first:
        agent = await first.agent()
    async with Rig(store=first.store, name="beta") as second:
        agent.rig = second
        answer = await agent.resume()

        assert answer["result"]["resumed"] is True
        assert answer["result"]["node"]["name"] == "beta"


@pytest.mark.parametrize("part", ["token", "session"])
async def test_a_wrong_resumption_begins_a_new_session(part: str) -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        assert agent.welcome is not None
        wrong = {"token": "resume_token", "session": "session"}[part]
        before = dict(agent.welcome)
        agent.welcome[wrong] = "forged"
        await agent.lose()
        answer = await agent.resume(last_seq=5)

        assert answer["result"]["resumed"] is False
        assert answer["result"]["session"] != before["session"]
        assert answer["result"]["next_seq"] == 1


async def test_a_gap_is_told() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await agent.lose()
        rig.store.inboxes.lose_everything("epoch-2")
        answer = await agent.resume(last_seq=5)

        gap = {"from": 6, "to": 6, "reason": "epoch_changed"}
        assert answer["result"]["gap"] == gap
        assert answer["result"]["epoch"] == "epoch-2"
        assert answer["result"]["next_seq"] == 1


async def test_the_newer_connection_takes_over() -> None:
    async with Rig() as rig:
        old = await rig.agent()
        new = await rig.agent()

        assert old.closed is not None
        assert old.closed.code == 4409
        assert new.closed is None
        assert rig.sessions.connected() == 1
        assert "agent.taken_over" in rig.journal.kinds()
        await rig.clock.advance(10)
        assert rig.store.agents.now("wc-1").connected


async def test_the_same_id_in_another_namespace_is_another_agent() -> None:
    async with Rig() as rig:
        one = await rig.agent()
        two = await rig.agent(namespace="other")

        assert (one.closed, two.closed) == (None, None)
        assert rig.sessions.connected() == 2


async def test_a_lost_agent_is_offline_after_the_grace() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await agent.lose()
        await agent.lose()
        await rig.clock.advance(2)
        assert rig.store.agents.now("wc-1").connected
        await rig.clock.advance(1.5)

        record = rig.store.agents.now("wc-1")
        assert (record.connected, record.state) == (False, "offline")
        assert rig.journal.last("agent.left").severity == "warning"
        assert rig.sessions.find(DEFAULT_NAMESPACE, WC1) is None


async def test_bye_is_answered_and_ends_the_session_at_once() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        answer = await agent.call("session.bye")

        assert answer["result"] == {}
        assert agent.closed is not None
        assert agent.closed.code == 1000
        assert not rig.store.agents.now("wc-1").connected
        assert rig.journal.last("agent.left").severity == "info"


async def test_a_report_is_written_with_the_next_pass() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        said = {
            "state": "maintenance",
            "load": 0.5,
            "slots": 4,
            "metrics": {"cpu": 0.25},
        }
        await agent.notify("agent.report", **said)
        await agent.call("agent.report", load=0.75)
        await rig.clock.advance(1.1)

        record = rig.store.agents.now("wc-1")
        assert (record.state, record.load, record.slots) == ("maintenance", 0.75, 4)
        assert record.metrics is not None
        assert record.metrics.cpu == 0.25


async def test_a_quiet_agent_costs_the_store_nothing() -> None:
    async with Rig() as rig:
        await rig.agent()
        await rig.clock.advance(2)
        before = rig.store.door.calls.count("agents.put")
        await rig.clock.advance(60)

        assert rig.store.door.calls.count("agents.put") == before == 1


async def test_the_record_shows_what_the_agent_has() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=2)
        await rig.submit()
        await rig.clock.advance(1.1)
        record = rig.store.agents.now("wc-1")
        assert (record.inflight, record.state) == (1, "active")
        await rig.submit()
        await rig.clock.advance(1.1)
        assert rig.store.agents.now("wc-1").state == "busy"
        for assigned in agent.assigned():
            await agent.complete(assigned)
        await rig.clock.advance(1.1)

        record = rig.store.agents.now("wc-1")
        assert (record.inflight, record.state, record.completed) == (0, "idle", 2)


async def test_what_the_store_did_not_take_is_written_later() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        rig.store.available = False
        await agent.call("session.bye")
        await rig.clock.advance(5)
        rig.store.available = True
        await rig.clock.advance(2)

        assert not rig.store.agents.now("wc-1").connected


async def test_agents_an_earlier_run_left_connected_are_tidied_up() -> None:
    rig = Rig()
    rig.store.agents.seed(agent_record("gone"), agent_record("far", node="beta"))
    async with rig:
        await rig.agent("here")
        await rig.clock.advance(4)

        assert not rig.store.agents.now("gone").connected
        assert rig.store.agents.now("far").connected
        assert rig.store.agents.now("here").connected


async def test_an_agent_that_went_to_another_node_stays_connected() -> None:
    first = Rig(leases=LeasePolicy(grace_ms=2000))
    async with first, Rig(store=first.store, name="beta") as second:
        agent = await first.agent()
        await agent.lose()
        agent.rig = second
        await agent.resume()
        await first.clock.advance(5)

        record = first.store.agents.now("wc-1")
        assert (record.node, record.connected) == ("beta", True)


async def test_a_revoked_identity_is_disconnected_for_good() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        rig.sessions.revoked("token:somebody", "revoked")
        assert agent.closed is None
        rig.sessions.revoked("token:agent1", "the token was revoked")
        await settle()

        assert agent.closed is not None
        assert agent.closed.code == 4505


@pytest.mark.parametrize(("after_s", "code"), [(9, 4505), (10, 4501)])
async def test_a_token_that_ended_by_itself_is_no_revoked_one(
    after_s: float, code: int
) -> None:
    async with Rig() as rig:
        expires = rig.clock.now() + timedelta(seconds=10)
        agent = FakeAgent(rig, "wc-1")
        agent.open(caller=msgspec.structs.replace(identity("agent"), expires=expires))
        hello = {"protocol": "1.0", "agent": {"id": agent.id}}
        assert "result" in await agent.call("session.hello", **hello)
        rig.clock.move(after_s)
        rig.sessions.revoked("token:agent1", "the token is over")
        await settle()

        assert agent.closed == Close(code, "the token is over")


async def test_an_operator_may_disconnect_an_agent_which_may_come_back() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        rig.sessions.disconnect(DEFAULT_NAMESPACE, WC1)
        await settle()
        assert agent.closed is not None
        assert agent.closed.code == 4413
        with pytest.raises(NotFound):
            rig.sessions.disconnect(DEFAULT_NAMESPACE, WC1)

        assert (await agent.resume())["result"]["resumed"] is True


async def test_a_drained_agent_gets_nothing_new_whatever_it_reports() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=4)
        await rig.submit()
        await settle()
        assigned = await agent.accept()
        rig.sessions.drain(DEFAULT_NAMESPACE, WC1, on=True)
        await rig.submit()
        await agent.notify("agent.report", state="idle")
        await rig.clock.advance(2)
        live = rig.sessions.find(DEFAULT_NAMESPACE, WC1)
        assert live is not None
        assert state_of(live.seat) == "draining"
        assert await agent.complete(assigned)
        assert len(agent.assigned()) == 1

        rig.sessions.drain(DEFAULT_NAMESPACE, WC1, on=False)
        await settle()
        assert len(agent.assigned()) == 2


async def test_a_drain_outlives_a_lost_connection_and_not_the_process() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        rig.sessions.drain(DEFAULT_NAMESPACE, WC1, on=True)
        await agent.lose()
        with pytest.raises(NotFound):
            rig.sessions.drain(DEFAULT_NAMESPACE, WC1, on=False)
        assert (await agent.resume())["result"]["resumed"] is True
        live = rig.sessions.find(DEFAULT_NAMESPACE, WC1)
        assert live is not None
        assert live.seat.drained

        anew = FakeAgent(rig, "wc-1", incarnation="another process")
        assert "result" in await anew.hello()
        live = rig.sessions.find(DEFAULT_NAMESPACE, WC1)
        assert live is not None
        assert not live.seat.drained


async def test_a_draining_node_asks_agents_to_move() -> None:
    async with Rig() as rig:
        one, two = await rig.agent("wc-1"), await rig.agent("wc-2")
        rig.sessions.go_away("drain")
        await settle()
        told = [*one.told("session.go_away"), *two.told("session.go_away")]
        assert {each["reason"] for each in told} == {"drain"}
        assert len({each.get("reconnect_after_ms") for each in told}) == 2
        with pytest.raises(Draining):
            rig.connect()
        rig.sessions.close_all("drained")
        await settle()

        assert one.closed is not None
        assert one.closed.code == 4413


async def test_a_node_takes_no_more_agents_than_it_may() -> None:
    async with Rig(sessions=SessionPolicy(connections=2)) as rig:
        one = await rig.agent("wc-1")
        await rig.agent("wc-2")
        third = FakeAgent(rig, "wc-3")
        answer = await third.hello()
        again = await rig.agent("wc-2")

        assert answer["error"]["data"]["reason"] == "unavailable"
        assert answer["error"]["data"]["details"] == {"limit": "sessions.connections"}
        assert third.closed is not None
        assert third.closed.code == 4413
        assert again.closed is None
        await one.lose()
        await rig.agent("wc-3")
        noted = rig.journal.last("connections.refused")
        assert noted.data == {"limit": "sessions.connections"}


async def test_an_identity_has_no_more_connections_than_it_may() -> None:
    async with Rig(sessions=SessionPolicy(connections_per_identity=2)) as rig:
        rig.connect()
        one = rig.connect()
        for _ in range(3):
            with pytest.raises(RateLimited, match="token:agent1 has 2 connections"):
                rig.connect()
        assert rig.journal.kinds().count("connections.refused") == 1
        rig.connect(caller=identity("agent", id="token:other"))
        await one.lost()

        rig.connect()


async def test_sockets_that_never_say_hello_keep_nobody_out() -> None:
    policy = SessionPolicy(waiting=4, waiting_per_address=3, connections=2)
    async with Rig(sessions=policy) as rig:
        waiting = [rig.sessions.connect(None, text=True, address="x") for _ in range(3)]
        with pytest.raises(RateLimited, match="3 connections from x"):
            rig.sessions.connect(None, text=True, address="x")
        rig.sessions.connect(None, text=True, address="y")
        with pytest.raises(Unavailable, match="4 connections"):
            rig.sessions.connect(None, text=True, address="z")
        await rig.agent("wc-1")
        await rig.agent("wc-2")
        await rig.clock.advance(1)
        rig.sessions.connect(None, text=True, address="x")

        assert [one.is_over for one in waiting] == [True, False, False]
        output = await waiting[0].next_output()
        assert isinstance(output, Close)
        assert output.code == 4413
        assert rig.sessions.crowd.strangers == 4


async def test_a_slow_store_is_no_agent_s_fault() -> None:
    async with Rig() as rig:
        get, go_on = rig.store.sessions.get, asyncio.Event()

        async def slow(*key: Any) -> Any:
            await go_on.wait()
            return await get(*key)

        rig.store.sessions.get = slow  # type: ignore[method-assign]
        agent = FakeAgent(rig, "wc-1")
        agent.open()
        assert agent.connection is not None
        params = {"protocol": "1.0", "agent": {"id": "wc-1"}}
        frame = {"jsonrpc": "2.0", "id": 1, "method": "session.hello", "params": params}
        rig.spawn(agent.connection.receive(msgspec.json.encode(frame)))
        await rig.clock.advance(30)
        assert agent.closed is None
        go_on.set()
        await settle()

        assert "session" in agent.answer(1)["result"]
        assert agent.closed is None


async def test_before_it_runs_a_node_takes_nobody() -> None:
    rig = Rig()
    with pytest.raises(Unavailable):
        rig.connect()


async def test_a_refreshed_token_is_who_one_is_from_now_on() -> None:
    async with Rig() as rig:
        rig.tokens["newer"] = identity("agent", id="token:newer")
        agent = await rig.agent()
        answer = await agent.call("session.refresh", token="newer")
        assert answer["result"] == {}
        wrong = await agent.call("session.refresh", token="nonsense")
        assert wrong["error"]["data"]["reason"] == "unauthorized"
        rig.sessions.revoked("token:agent1", "revoked")
        await settle()
        assert agent.closed is None
        rig.sessions.revoked("token:newer", "revoked")
        await settle()

        assert agent.closed is not None


async def test_a_slow_agent_is_closed_and_may_resume() -> None:
    async with Rig(sessions=SessionPolicy(outbound_frames=4)) as rig:
        agent = await rig.agent()
        live = rig.sessions.find(DEFAULT_NAMESPACE, WC1)
        assert live is not None
        for _ in range(6):
            rig.sessions.go_away("drain")
        await settle()

        assert agent.closed is not None
        assert agent.closed.code == 4408


async def test_a_question_that_was_not_sent_is_not_answered_too() -> None:
    async with Rig(sessions=SessionPolicy(outbound_frames=2)) as rig:
        connection = rig.connect()
        replies: list[int] = []
        asked = [
            connection.request(
                "task.assign",
                {"task": number},
                replies=lambda *told, number=number: replies.append(number),
                timeout_s=5,
            )
            for number in range(4)
        ]

        assert asked == [True, True, False, False]
        assert replies == [0, 1]


async def test_a_fault_of_ours_ends_one_call_and_nothing_else() -> None:
    async with Rig() as rig:
        agent = await rig.agent()

        async def broken(*_: Any) -> None:
            raise RuntimeError("oops: secret")

        rig.store.tasks.get = broken
        answer = await agent.call("task.get", id="x")
        assert answer["error"]["code"] == -32603
        assert "secret" not in answer["error"]["message"]
        assert rig.journal.last("node.fault").severity == "critical"

        assert (await agent.call("agents.find"))["result"]["agents"]


async def test_agents_find_each_other() -> None:
    async with Rig() as rig:
        agent = await rig.agent("wc-1")
        await rig.agent(
            "gpu-1", capabilities=[{"name": "draw", "labels": {"gpu": "yes"}}]
        )
        await rig.agent("far", namespace="other")
        everybody = await agent.call("agents.find")
        able = await agent.call("agents.find", capability="draw")
        labelled = await agent.call("agents.find", labels={"gpu": "yes"})

        assert _ids(everybody) == ["gpu-1", "wc-1"]
        assert _ids(able) == ["gpu-1"]
        assert _ids(labelled) == ["gpu-1"]


def _ids(answer: dict[str, Any]) -> list[str]:
    return sorted(each["id"] for each in answer["result"]["agents"])


async def test_msgpack_agents_are_served_too() -> None:
    async with Rig() as rig:
        connection = rig.connect(text=False)
        frame = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "session.hello",
            "params": {"protocol": "1.0", "agent": {"id": "wc-1"}},
        }
        await connection.receive(msgspec.msgpack.encode(frame))
        output = await connection.next_output()

        assert output.text is False  # type: ignore[union-attr] - no Close here
        answer = msgspec.msgpack.decode(output.data)  # type: ignore[union-attr]
        assert answer["result"]["session"]


async def test_after_the_end_frames_are_ignored() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        connection = agent.connection
        assert connection is not None
        await connection.lost()
        await connection.receive(b"{")

        assert not connection.notify("x", msgspec.defstruct("P", [])())
        assert connection.is_over
