import asyncio
import contextlib
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from nexa_node.adapters.asgi import alert_examples
from nexa_node.contract.access import (
    ROLES,
    NewCertificate,
    NewRole,
    NewToken,
    Permission,
    RenewCertificate,
    RotateToken,
)
from nexa_node.contract.alerts import NewAck, NewNote
from nexa_node.contract.errors import (
    Conflict,
    Draining,
    Forbidden,
    NotFound,
    Unauthorized,
    Unavailable,
)
from nexa_node.contract.events import (
    ClusterChanged,
    Sampled,
    SelfTested,
    Snapshot,
    TaskChanged,
)
from nexa_node.contract.ids import DEFAULT_NAMESPACE
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.contract.quotas import Quota
from nexa_node.contract.shared import NewValue
from nexa_node.contract.tasks import Redrive
from nexa_node.core.access import API_ACTIONS, PUBLIC
from nexa_node.core.authorization import authorize
from nexa_node.services.alert_api import AlertFilter, ChangeFilter
from nexa_node.services.api import (
    AgentFilter,
    DeliveryFilter,
    EventFilter,
    PostedFilter,
    PrometheusCall,
    TaskFilter,
)
from nexa_node.services.audit_api import AuditFilter
from nexa_node.services.log_api import LogFilter
from tests import builders
from tests.builders import TASK_ID, identity
from tests.fakes import MemoryStore, settle
from tests.node_scene import Scene, running, take

OPERATOR, ADMIN, VIEWER = identity("operator"), identity("admin"), identity("viewer")
AGENT = identity("agent")
MESSAGE = NewMessage(to=Address(agent="wc-1"), type="note")

NEW_ROLE = NewRole(name="reader", permissions=(Permission(allow="tasks:read"),))
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "status": lambda node, who: node.status(who),
    "cluster": lambda node, who: node.cluster(who),
    "agents": lambda node, who: node.agents(who, AgentFilter()),
    "agent": lambda node, who: node.agent(who, "wc-1"),
    "config": lambda node, who: node.config(who),
    "disconnect": lambda node, who: node.disconnect(who, "wc-1"),
    "drain_agent": lambda node, who: node.drain_agent(who, "wc-1", on=True),
    "submit": lambda node, who: node.submit(who, builders.new_task()),
    "tasks": lambda node, who: node.tasks(who, TaskFilter()),
    "task": lambda node, who: node.task(who, TASK_ID),
    "explain": lambda node, who: node.explain(who, TASK_ID),
    "cancel": lambda node, who: node.cancel(who, TASK_ID),
    "send": lambda node, who: node.send(who, MESSAGE),
    "queues": lambda node, who: node.queues(who),
    "redrive": lambda node, who: node.redrive(who, Redrive(all=True)),
    "purge": lambda node, who: node.purge(who, Redrive(all=True)),
    "posted": lambda node, who: node.posted(who, PostedFilter("a", DEFAULT_NAMESPACE)),
    "put_object": lambda node, who: node.put_object(who, builders.nothing()),
    "get_object": lambda node, who: node.get_object(who, "0"),
    "buckets": lambda node, who: node.buckets(who),
    "declare_bucket": lambda node, who: node.declare_bucket(who, "b", "cas"),
    "shared_values": lambda node, who: node.shared_values(who, "b"),
    "shared_value": lambda node, who: node.shared_value(who, "b", "k"),
    "write_value": lambda node, who: node.write_value(
        who, "b", "k", NewValue(value=1), base=None
    ),
    "delete_value": lambda node, who: node.delete_value(who, "b", "k", base=2),
    "conflicts": lambda node, who: node.conflicts(who),
    "conflict": lambda node, who: node.conflict(who, "c"),
    "events": lambda node, who: node.events(who, EventFilter()),
    "selftest": lambda node, who: node.selftest(who),
    "run_selftest": lambda node, who: node.run_selftest(who),
    "metrics": lambda node, who: node.metrics(who),
    "prometheus": lambda node, who: node.prometheus(who, PrometheusCall("rules", {})),
    "targets": lambda node, who: node.targets(who),
    "create_token": lambda node, who: node.create_token(who, NewToken(role="viewer")),
    "list_tokens": lambda node, who: node.list_tokens(who),
    "revoke_token": lambda node, who: node.revoke_token(who, "nobody"),
    "rotate_token": lambda node, who: node.rotate_token(who, "nobody", RotateToken()),
    "roles": lambda node, who: node.roles(who),
    "create_role": lambda node, who: node.create_role(who, NEW_ROLE),
    "delete_role": lambda node, who: node.delete_role(who, "nobody"),
    "explain_access": lambda node, who: node.explain_access(
        who, "viewer", "tasks:read", "*"
    ),
    "namespaces": lambda node, who: node.namespaces(who),
    "audit": lambda node, who: node.audit(who, AuditFilter()),
    "verify_audit": lambda node, who: node.verify_audit(who),
    "feed": lambda node, who: node.feed(who),
    "profile": lambda node, who: node.profile(who, "beta", cpu_s=1.0),
    "set_namespace": lambda node, who: node.set_namespace(who, Quota(name="a")),
    "delete_namespace": lambda node, who: node.delete_namespace(who, "nobody"),
    "certificates": lambda node, who: node.certificates(who),
    "issue_certificate": lambda node, who: node.issue_certificate(
        who, NewCertificate(role="viewer", name="a", csr="none")
    ),
    "renew_certificate": lambda node, who: node.renew_certificate(
        who, "nobody", RenewCertificate(csr="none")
    ),
    "logs": lambda node, who: node.logs(who, LogFilter()),
    "list_topics": lambda node, who: node.list_topics(who, DEFAULT_NAMESPACE),
    "list_inboxes": lambda node, who: node.list_inboxes(who, DEFAULT_NAMESPACE),
    "peek": lambda node, who: node.peek(who, DEFAULT_NAMESPACE, "a", after=0, limit=1),
    "maintain": lambda node, who: node.maintain(who, "beta", on=True),
    "join_token": lambda node, who: node.join_token(who, expires_s=60),
    "leave": lambda node, who: node.leave(who, dry_run=True),
    "remove_node": lambda node, who: node.remove_node(who, "beta", dry_run=True),
    "rotate_keys": lambda node, who: node.rotate_keys(who, dry_run=True),
    "set_replicas": lambda node, who: node.set_replicas(who, 3, dry_run=True),
    "growth": lambda node, who: node.growth(who),
    "backup": lambda node, who: node.backup(who),
    "restore": lambda node, who: node.restore(who, builders.nothing()),
    "notifications": lambda node, who: node.notifications(who, DeliveryFilter()),
    "test_receivers": lambda node, who: node.test_receivers(who, "nobody"),
    "alerts": lambda node, who: node.alerts(who, AlertFilter()),
    "alert": lambda node, who: node.alert(who, "0" * 16),
    "ack_alert": lambda node, who: node.ack_alert(who, "0" * 16, NewAck()),
    "unack_alert": lambda node, who: node.unack_alert(who, "0" * 16),
    "note_alert": lambda node, who: node.note_alert(who, "0" * 16, NewNote(text="a")),
    "dismiss_alert": lambda node, who: node.dismiss_alert(who, "0" * 16),
    "alert_history": lambda node, who: node.alert_history(who, ChangeFilter()),
    "handover": lambda node, who: node.handover(who, since_s=60),
    "silences": lambda node, who: node.silences(who),
    "create_silence": lambda node, who: node.create_silence(
        who, alert_examples.NEW_SILENCE
    ),
    "expire_silence": lambda node, who: node.expire_silence(who, "nobody"),
    "preview_silence": lambda node, who: node.preview_silence(
        who, alert_examples.NEW_SILENCE
    ),
    "rules": lambda node, who: node.rules(who),
    "reload_rules": lambda node, who: node.reload_rules(who),
    "watchdog": lambda node, who: node.watchdog(who, "uptime"),
    "drain": lambda node, who: node.drain(who),
    "connect_agent": lambda node, who: node.connect_agent(
        who, text=True, address="10.0.0.1"
    ),
}


def stocked() -> MemoryStore:
    store = MemoryStore()
    store.tasks.seed(builders.task())
    store.agents.seed(builders.agent())
    return store


async def call(name: str, scene: Scene, who: Any) -> Any:
    made = CALLS[name](scene.node, who)
    return await made if inspect.iscoroutine(made) else made


def test_every_call_of_the_api_is_tried_below() -> None:
    open_calls = {name for name, needed in API_ACTIONS.items() if needed == PUBLIC}

    assert set(CALLS) | open_calls == set(API_ACTIONS)


@pytest.mark.parametrize("role", ROLES)
async def test_every_call_asks_whether_the_role_may(role: str) -> None:
    async with running(stocked()) as it:
        for name in CALLS:
            if authorize(identity(role), name).allowed:
                with contextlib.suppress(NotFound, Draining, Conflict):
                    await call(name, it, identity(role))
            else:
                with pytest.raises(Forbidden):
                    await call(name, it, identity(role))


async def test_a_denied_call_is_noted_once_a_minute_and_always_counted() -> None:
    async with running() as it:
        for _ in range(5):
            with pytest.raises(Forbidden):
                await it.node.submit(VIEWER, builders.new_task())
        await settle()
        assert it.kinds().count("access.denied") == 1
        assert sum(it.permissions.denied.values()) == 5
        assert it.desk.asked == []

        await it.clock.advance(61)
        with pytest.raises(Forbidden):
            await it.node.submit(VIEWER, builders.new_task())
        await settle()
        assert it.kinds().count("access.denied") == 2


async def test_a_caller_that_tries_everything_fills_no_memory() -> None:
    async with running() as it:
        for number in range(1100):
            with pytest.raises(Forbidden):
                it.permissions.allow(identity("viewer", id=f"token:{number}"), "drain")

        assert len(it.permissions._noted) <= 1000


async def test_a_token_is_made_used_listed_and_ended_with_what_hangs_on_it() -> None:
    async with running() as it:
        made = await it.node.create_token(ADMIN, NewToken(role="viewer", name="ann"))
        who = await it.node.authenticate(made.token, address="10.0.0.1")
        watching = it.node.feed(who)
        await anext(watching)
        assert [view.name for view in it.node.list_tokens(ADMIN).items] == ["ann"]

        await it.node.revoke_token(ADMIN, made.id)

        with pytest.raises(Unauthorized):
            await anext(watching)
        with pytest.raises(Unauthorized):
            await it.node.authenticate(made.token, address="10.0.0.1")
        assert ("revoked", who.id, "the token was revoked") in it.desk.asked


async def test_status_says_who_is_asked_and_who_asks() -> None:
    async with running(stocked()) as it:
        status = it.node.status(OPERATOR)

        assert (status.name, status.state, status.health) == (
            "alpha",
            "running",
            "healthy",
        )
        assert (status.whoami, status.role) == (OPERATOR.id, "operator")
        assert (status.tasks.pending, status.agents) == (1, 1)
        assert status.host is not None


async def test_a_single_node_is_a_whole_cluster() -> None:
    async with running() as it:
        cluster = it.node.cluster(VIEWER)

        assert (cluster.verdict, cluster.controller) == ("healthy", "alpha")
        assert [node.role for node in cluster.nodes] == ["single"]


async def test_it_is_not_ready_before_it_runs_and_while_the_store_is_away() -> None:
    assert Scene().node.ready().status == "not_ready"

    async with running() as it:
        assert it.node.ready().status == "ready"
        it.store.available = False
        told = it.node.ready()
        assert told.status == "not_ready"
        assert "store" in told.reasons[0]
        assert it.node.cluster(VIEWER).verdict == "unhealthy"


async def test_a_failed_check_degrades_and_a_required_one_does_more() -> None:
    async with running() as it:
        failed = builders.check("connectivity.db", status="fail", cause="refused")
        it.checks.result = builders.selftest(failed)
        assert it.node.ready().status == "degraded"

        it.checks.required = ("connectivity.db",)
        assert it.node.ready().status == "not_ready"


async def test_tasks_go_to_who_takes_them_in_with_the_caller_as_submitter() -> None:
    async with running() as it:
        submitted = await it.node.submit(OPERATOR, builders.new_task())
        cancelled = await it.node.cancel(OPERATOR, TASK_ID)
        await it.node.send(OPERATOR, MESSAGE)

        assert (submitted.status, cancelled.status) == ("pending", "cancelled")
        assert it.desk.asked == [
            ("submit", OPERATOR.id, "wc", None),
            ("cancel", TASK_ID, OPERATOR.id),
            ("send", OPERATOR.id, "note"),
        ]


async def test_a_task_is_told_with_its_payloads_and_waited_for() -> None:
    async with running(stocked()) as it, asyncio.TaskGroup() as group:
        assert (await it.node.task(VIEWER, TASK_ID)).data == "some words"
        with pytest.raises(NotFound):
            await it.node.task(VIEWER, "nothing")

        waiting = group.create_task(it.node.task(VIEWER, TASK_ID, wait_s=60))
        await it.clock.advance(5)
        it.store.tasks.seed(builders.task(status="completed"))
        await settle()

        assert waiting.result().result == {"words": 2}
        done = await it.node.task(VIEWER, TASK_ID, wait_s=60)
        assert done.status == "completed"


async def test_a_wait_that_is_over_tells_the_task_as_it_is() -> None:
    async with running(stocked()) as it, asyncio.TaskGroup() as group:
        waiting = group.create_task(it.node.task(VIEWER, TASK_ID, wait_s=3))
        await it.clock.advance(3)

        assert waiting.result().status == "pending"


async def test_a_waiting_task_is_explained() -> None:
    store = MemoryStore()
    store.tasks.seed(builders.task())
    async with running(store) as it:
        told = await it.node.explain(VIEWER, TASK_ID)
        assert "no agent has connected" in told.verdict
        with pytest.raises(NotFound):
            await it.node.explain(VIEWER, "nothing")

        other = builders.agent("s-1", capabilities=(builders.capability("sum"),))
        it.store.agents.seed(other)
        await settle()
        told = await it.node.explain(VIEWER, TASK_ID)
        assert told.verdict == "waits: no connected agent has the capability 'wc'"
        assert [each.agent for each in told.considered] == ["s-1"]


async def test_agents_are_listed_and_sent_away_by_name() -> None:
    async with running(stocked()) as it:
        assert [a.id for a in it.node.agents(VIEWER, AgentFilter()).items] == ["wc-1"]
        assert it.node.agent(VIEWER, "wc-1").name == "wc-1"

        await it.node.disconnect(OPERATOR, "wc-1")
        await settle()

        assert ("disconnect", "default", "wc-1") in it.desk.asked
        assert "agent.disconnected" in it.kinds()
        found = it.node.events(VIEWER, EventFilter(kind="agent.")).items
        assert [event.data for event in found] == [
            {"by": OPERATOR.id, "namespace": "default"}
        ]


async def test_an_agent_is_drained_and_resumed_by_name() -> None:
    async with running(stocked()) as it:
        drained = await it.node.drain_agent(OPERATOR, "wc-1", on=True)
        resumed = await it.node.drain_agent(OPERATOR, "wc-1", on=False)
        await settle()

        assert (drained.state, drained.drained) == ("draining", True)
        assert (resumed.state, resumed.drained) == ("idle", False)
        assert it.desk.asked == [
            ("drain_agent", "default", "wc-1", True),
            ("drain_agent", "default", "wc-1", False),
        ]
        assert {"agent.drained", "agent.undrained"} <= set(it.kinds())


async def test_an_agent_may_connect_and_prove_itself_later() -> None:
    async with running() as it:
        it.node.connect_agent(None, text=False, address="10.0.0.1")
        it.node.connect_agent(AGENT, text=True, address="10.0.0.1")

        assert it.desk.asked == [
            ("connect", None, False, "10.0.0.1"),
            ("connect", AGENT.id, True, "10.0.0.1"),
        ]


async def test_a_self_test_is_run_and_told_to_who_watches() -> None:
    async with running() as it:
        stream = it.node.feed(OPERATOR)
        assert (await anext(stream)).selftest is None

        found = [check.id async for check in it.node.run_selftest(OPERATOR)]
        one = [c.id async for c in it.node.run_selftest(OPERATOR, only="node.rest")]

        assert (found, one) == (["node.store", "node.rest"], ["node.rest"])
        told = await take(stream, SelfTested)
        assert told.selftest == it.node.selftest(OPERATOR)
        await stream.aclose()


async def test_the_feed_is_a_snapshot_then_what_changes() -> None:
    async with running(stocked()) as it:
        stream = it.node.feed(VIEWER)
        first = await anext(stream)
        assert isinstance(first, Snapshot)
        assert (first.seq, len(first.agents), len(first.tasks)) == (0, 1, 1)
        assert first.counts.pending == 1
        assert (first.node.whoami, len(first.history)) == (VIEWER.id, 1)

        it.store.tasks.seed(builders.task(status="running"))
        await settle()
        changed = await take(stream, TaskChanged)
        assert (changed.task.status, changed.counts.running) == ("running", 1)

        await it.clock.advance(2)
        beat = await take(stream, Sampled)
        assert beat.counts.running == 1
        await stream.aclose()


async def test_a_changed_verdict_is_told_once_and_noted() -> None:
    async with running() as it:
        stream = it.node.feed(VIEWER)
        await anext(stream)
        it.store.available = False
        await it.clock.advance(6)

        told = await take(stream, ClusterChanged)
        assert told.cluster.verdict == "unhealthy"
        it.store.available = True
        await it.clock.advance(6)
        assert (await take(stream, ClusterChanged)).cluster.verdict == "healthy"
        noted = [kind for kind in it.kinds() if kind.startswith("node.")]
        assert noted[-2:] == ["node.unhealthy", "node.healthy"]
        await stream.aclose()


async def test_nobody_watches_a_node_that_still_reads() -> None:
    with pytest.raises(Unavailable):
        Scene().node.feed(VIEWER)


async def test_metrics_are_prometheus_text_with_every_label_from_the_start() -> None:
    async with running(stocked()) as it:
        text = it.node.metrics(VIEWER).decode()

        for line in (
            'nexa_tasks{status="pending"} 1',
            'nexa_tasks{status="dead_lettered"} 0',
            "nexa_store_up 1",
            'nexa_node_health{state="healthy"} 1',
            'nexa_auth_failures_total{transport="http",reason="unknown"} 0',
            'nexa_authz_denied_total{action="drain"} 0',
        ):
            assert re.search(f"^{re.escape(line)}(\\.0)?$", text, re.MULTILINE), line
        values = [line.rpartition(" ")[2] for line in text.splitlines()]
        assert not {"True", "False", "None"} & set(values)
        assert "wc-1" not in text


async def test_metrics_tell_the_self_test_once_there_is_one() -> None:
    async with running() as it:
        assert b"nexa_selftest" not in it.node.metrics(VIEWER)
        skipped = builders.check("cluster.peers", status="skipped")
        failed = builders.check("connectivity.db", status="fail")
        it.checks.result = builders.selftest(builders.check(), failed, skipped)

        text = it.node.metrics(VIEWER).decode()
        assert 'nexa_selftest_success{check="node.store"} 1' in text
        assert 'nexa_selftest_success{check="connectivity.db"} 0' in text
        assert "cluster.peers" not in text


async def test_metrics_are_told_before_the_first_sample_too() -> None:
    assert b"nexa_node_up 1" in Scene().node.metrics(VIEWER)


# Ending


async def test_a_draining_node_takes_nothing_new_and_lets_work_finish() -> None:
    async with running(stocked()) as it:
        it.desk.held = 1
        stream = it.node.feed(VIEWER)
        await anext(stream)

        await it.node.drain(OPERATOR)
        await it.node.drain(OPERATOR)
        await it.clock.advance(2)

        assert it.desk.did() == ["stop_taking", "stop_taking", "go_away"]
        assert it.node.status(VIEWER).state == "stopping"
        assert it.node.ready().status == "not_ready"
        for refused in ("submit", "send", "feed"):
            with pytest.raises(Draining):
                await call(refused, it, OPERATOR)
        with pytest.raises(Draining):
            it.node.connect_agent(None, text=True, address="10.0.0.1")
        assert (await it.node.task(VIEWER, TASK_ID)).id == TASK_ID
        assert not it.drain.done.is_set()

        it.desk.held = 0
        await it.clock.advance(1)

        assert it.drain.done.is_set()
        assert it.desk.did()[-1] == "close_all"
        assert it.kinds()[-1] == "node.drained"
        with pytest.raises(Draining):
            await take(stream, type(None))


async def test_work_that_does_not_finish_is_left_to_its_lease() -> None:
    async with running() as it:
        it.desk.held = 2
        it.drain.begin("SIGTERM")
        await it.clock.advance(it.drain.wait_s + 1)

        assert it.drain.done.is_set()
        assert it.store.events.stored[-1].data == {"in_hand": 2}


async def test_a_node_whose_services_ended_is_drained_at_once() -> None:
    it = Scene()
    it.drain.begin("SIGTERM")

    assert it.drain.done.is_set()


async def test_canaries_and_refused_connections_are_counted() -> None:
    async with running() as it:
        told = it.node.metrics(OPERATOR).decode()

    assert 'nexa_canaries_total{outcome="passed"} 3' in told
    assert 'nexa_canaries_total{outcome="lost"} 1' in told
    assert 'nexa_connections_refused_total{limit="waiting"} 2' in told
    assert "nexa_canary_duration_seconds 0.02" in told
    assert "nexa_events_thinned_total 0" in told
