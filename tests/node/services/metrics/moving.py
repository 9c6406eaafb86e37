"""Every metric there is, and what moves it: a part, and what happens to it.

`Rig` has all meters and readers over parts that the test sets. A family without a mover
here has no test, and `test_moving` says so.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import msgspec

from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.contract.nodes import Replica, StreamPlace, TaskCounts
from nexa_node.contract.quotas import Allowance
from nexa_node.contract.tasks import Queue, Usage
from nexa_node.core import budgets
from nexa_node.core.exposition import Family
from nexa_node.core.instruments import CHILDREN_MAX, Instruments
from nexa_node.core.series import Buckets
from nexa_node.ports import (
    HostFigures,
    InboxMessage,
    ServerFigures,
    StoreHealth,
    StoreShape,
)
from nexa_node.services.alerting import figures as notified
from nexa_node.services.alerting.evaluating import Figures
from nexa_node.services.metrics import auditing, gauges
from nexa_node.services.metrics.meters import (
    AgentMeter,
    ConnectionMeter,
    MessageMeter,
    RttMeter,
    SelfTestMeter,
    TaskMeter,
)
from nexa_node.services.metrics.readings import Readings, families
from nexa_node.services.tasks.claims import Held
from nexa_node.wiring.metering import of_alerting
from tests import builders
from tests.fakes import FakeClock

TO_AGENT = NewMessage(to=Address(agent=AgentId("wc-1")), type="note")


class Live:
    """An agent with a session here."""

    def __init__(self, heard: float = 0.0) -> None:
        self.key = (DEFAULT_NAMESPACE, AgentId("wc-1"))
        self.candidates = {"wc": None}
        self.connection = self
        self.last_heard = heard


class Written:
    """An audit that was written."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        self.missed, self.healthy = 0, True

    def write(self, event: str, outcome: str) -> None:
        self.counts[event, outcome] = self.counts.get((event, outcome), 0) + 1

    def miss(self) -> None:
        self.missed += 1

    def break_(self) -> None:
        self.healthy = False


class Rig:
    """All that measures, over parts that stand still until they are moved."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        made = self.instruments = Instruments()
        self.connections = ConnectionMeter(made)
        self.agents_seen = AgentMeter(made)
        self.messages = MessageMeter(made, self.clock)
        self.tasks = TaskMeter(made, self.clock, self.messages.task_given_up)
        self.selftests = SelfTestMeter(made)
        self.rtt = RttMeter(made)
        self.version, self.role = "1", "node"
        self.agents: list[Any] = [builders.agent()]
        self.live: list[Any] = [Live(self.clock.monotonic())]
        self.connected, self.consoles, self.limit = 0, 0, 10
        self.queues: list[Queue] = [queue()]
        self.held: list[Held] = []
        self.shape = shape()
        self.members = [builders.node("alpha"), builders.node("beta")]
        self.suspicion = "alive"
        self.quorum, self.offset_s = True, 0.0
        self.server, self.host = ServerFigures(), host()
        self.certificates = {"node": builders.NOW}
        self.budgets = {"a": BUDGET}
        self.readings = readings()
        self.logged: dict[tuple[str, str], int] = {}
        self.unwritten, self.series, self.loop_tasks = 0, 0, 0
        self.told = notified.NotificationFigures(
            attempts={("webhook", "error"): 0},
            waiting=0,
            oldest_s=0.0,
            heartbeat=builders.NOW,
            watchdogs={"uptime": builders.NOW},
        )
        self.audit = Written()
        self.evaluated, self.alerts = Figures(), list[Any]()
        self.evaluated.add("nodes", 1, 0, 0.0001)
        self._read()

    def _read(self) -> None:
        read = self.instruments.read
        cluster = gauges.ClusterReader(
            shape=lambda: self.shape,
            members=lambda: self.members,
            suspicion=lambda name: self.suspicion,
            quorum=lambda: self.quorum,
            offset_s=lambda: self.offset_s,
            instruments=self.instruments,
        )
        read(
            lambda: (
                gauges.build_info(self.version, ""),
                gauges.node_info("alpha", "nexa", self.role, ""),
            )
        )
        read(
            lambda: gauges.of_agents(lambda: self.agents, lambda: self.live, self.clock)
        )
        read(
            lambda: gauges.of_connections(
                lambda: self.connected, lambda: self.consoles, self.limit
            )
        )
        read(lambda: gauges.of_queues(lambda: self.queues, lambda: self.held))
        read(cluster.read)
        read(lambda: gauges.of_store(lambda: self.server))
        read(lambda: gauges.of_host(self.host))
        read(gauges.Certificates(lambda: self.certificates).read)
        read(lambda: gauges.of_budgets(self.budgets.items()))
        read(lambda: families(self.readings))
        read(lambda: gauges.of_logs(self.logged, self.unwritten))
        read(lambda: gauges.of_itself(self.series, self.loop_tasks))
        read(lambda: notified.families(self.told))
        read(lambda: auditing.families(self.audit))
        read(of_alerting(self.evaluated, lambda: self.alerts))

    def families(self) -> dict[str, Family]:
        return {one.name: one for one in self.instruments.families()}

    # what a mover says in one line

    def change(self, **fields: Any) -> None:
        self.readings = _with(self.readings, **fields)

    def load(self, **fields: Any) -> None:
        self.host = _with(self.host, **fields)

    def serve(self, **fields: Any) -> None:
        self.server = _with(self.server, **fields)

    def notify(self, **fields: Any) -> None:
        self.told = _with(self.told, **fields)

    def wait(self, **fields: Any) -> None:
        self.queues = [queue(**fields)]

    def lay(self, **fields: Any) -> None:
        self.shape = shape(**fields)

    def deliver(self, attempts: int) -> None:
        arrived = InboxMessage(
            DEFAULT_NAMESPACE, AgentId("wc-1"), 1, builders.message(to=TO_AGENT.to)
        )
        self.messages.told(arrived, attempts)

    def finish(self, **fields: Any) -> None:
        end = builders.NOW + timedelta(seconds=3)
        self.tasks.written(builders.task(status="completed", finished=end, **fields))


def _with(record: Any, **fields: Any) -> Any:
    import dataclasses

    return dataclasses.replace(record, **fields)


def queue(**fields: Any) -> Queue:
    known: dict[str, Any] = {
        "name": "wc",
        "namespace": DEFAULT_NAMESPACE,
        "pending": 0,
        "by_priority": {},
        "delayed": 0,
        "running": 0,
        "dead_lettered": 0,
        "oldest_wait_s": None,
        "agents": 0,
        "slots": 0,
        "free_slots": 0,
        "strategy": "sticky",
        **fields,
    }
    return msgspec.convert(known, Queue)


def shape(**fields: Any) -> StoreShape:
    replicas = fields.pop("copies", (Replica(node="alpha", current=True),))
    leader = fields.pop("stream_leader", "alpha")
    stream = StreamPlace(name="NX_INBOX", leader=leader, replicas=replicas)
    known: dict[str, Any] = {
        "clustered": True,
        "leader": "alpha",
        "peers": (),
        "streams": (stream,),
        "routes": (),
        "replicas": 1,
        "have": 2,
        "need": 2,
        **fields,
    }
    return StoreShape(**known)


def host() -> HostFigures:
    return HostFigures(
        cpu_s={"idle": 1.0},
        cores=2,
        load1=0.1,
        memory_total=100,
        memory_available=50,
        swap_used=0,
        filesystems={"/": (100, 50)},
        disks={"sda": (0, 0, 0.0)},
        networks={"eth0": (0, 0, 0, 0)},
        pressure={"cpu": 0.0},
        process=dict.fromkeys(
            (
                "process_cpu_seconds_total",
                "process_resident_memory_bytes",
                "process_virtual_memory_bytes",
                "process_start_time_seconds",
                "process_open_fds",
                "process_max_fds",
            ),
            1.0,
        ),
    )


def readings() -> Readings:
    return Readings(
        version="1",
        node="alpha",
        cluster="nexa",
        started=1.0,
        health="healthy",
        store=StoreHealth(connected=True, detail="", pid=1, restarts=0),
        counts=TaskCounts(),
        lags=Buckets((0.1, 1.0)),
        auth_failures={"unknown": 0},
        auth_limited=0,
        denied={"drain": 0},
        paced=0,
        over_quota={},
        events_dropped=0,
        events_thinned=0,
        canaries={"passed": 0},
        canary_s=None,
        refused={"waiting": 0},
        crashes=0,
        host=builders.sample(),
        selftest=builders.selftest(builders.check()),
    )


def _lag() -> Buckets:
    made = Buckets((0.1, 1.0))
    made.observe(0.5)
    return made


def _sample(**fields: Any) -> Callable[[Rig], None]:
    return lambda it: it.change(host=builders.sample(**fields))


def _process(name: str) -> Callable[[Rig], None]:
    return lambda it: it.load(process={**it.host.process, name: 2.0})


def _restart(it: Rig) -> None:
    it.agents_seen.joined(it.live[0], restarted=True)
    it.agents_seen.joined(it.live[0], restarted=True)


def _overflow(it: Rig) -> None:
    for number in range(CHILDREN_MAX + 1):
        it.finish(type=f"type-{number}")


def _silence(it: Rig) -> None:
    it.live = [Live(it.clock.monotonic() - 40)]


def _in_hand(it: Rig) -> None:
    held = Held(builders.TASK_ID, agent=it.live[0].key)
    held.task = builders.task(type="wc")
    it.held = [held]


def _hand_out(it: Rig) -> None:
    it.tasks.written(builders.task(status="assigned", claim_epoch=1))


def _spend(it: Rig) -> None:
    used = Usage(model="maker/model", input_tokens=3, cost_usd=0.5)
    it.tasks.spent(builders.task(), AgentId("wc-1"), used)


def _fail_check(it: Rig) -> None:
    it.change(selftest=builders.selftest(builders.check(status="fail")))


def _test_later(it: Rig) -> None:
    later = builders.NOW + timedelta(days=1)
    it.change(selftest=builders.selftest(builders.check(), started=later))


def _took(it: Rig) -> None:
    it.selftests.ran(builders.selftest(builders.check(duration_ms=12.0)))


def _behind(it: Rig) -> None:
    it.lay(copies=(Replica(node="alpha", current=False, lag=7),))


def _alert(it: Rig) -> None:
    from nexa_node.contract.alerts import Alert

    it.alerts.append(
        Alert(
            fingerprint="0" * 16,
            name="X",
            state="firing",
            severity="critical",
            labels={},
            annotations={},
            since=builders.NOW,
        )
    )


LATER = builders.NOW + timedelta(hours=1)
BUDGET = budgets.view(Allowance(tokens=1), (), builders.NOW)
MOVES: dict[str, Callable[[Rig], object]] = {
    "nexa_build_info": lambda it: setattr(it, "version", "2"),
    "nexa_node_info": lambda it: setattr(it, "role", "controller"),
    "nexa_node_start_timestamp_seconds": lambda it: it.change(started=2.0),
    "nexa_node_health": lambda it: it.change(health="degraded"),
    "nexa_store_up": lambda it: it.change(
        store=StoreHealth(connected=False, detail="", pid=None, restarts=0)
    ),
    "nexa_store_restarts_total": lambda it: it.change(
        store=StoreHealth(connected=True, detail="", pid=1, restarts=1)
    ),
    "nexa_event_loop_lag_seconds": lambda it: it.change(lags=_lag()),
    "nexa_service_crashes_total": lambda it: it.change(crashes=1),
    "nexa_events_dropped_total": lambda it: it.change(events_dropped=1),
    "nexa_events_thinned_total": lambda it: it.change(events_thinned=1),
    "nexa_canaries_total": lambda it: it.change(canaries={"passed": 1}),
    "nexa_canary_duration_seconds": lambda it: it.change(canary_s=0.5),
    "nexa_connections_refused_total": lambda it: it.change(refused={"waiting": 1}),
    "nexa_tasks": lambda it: it.change(counts=TaskCounts(pending=1)),
    "nexa_audit_events_total": lambda it: it.audit.write("authz_fail", "denied"),
    "nexa_audit_missed_total": lambda it: it.audit.miss(),
    "nexa_audit_writable": lambda it: it.audit.break_(),
    "nexa_auth_failures_total": lambda it: it.change(auth_failures={"unknown": 1}),
    "nexa_rate_limit_rejections_total": lambda it: it.change(paced=1),
    "nexa_authz_denied_total": lambda it: it.change(denied={"drain": 1}),
    "nexa_node_cpu_ratio": _sample(cpu=0.99),
    "nexa_node_memory_resident_bytes": _sample(rss_bytes=1),
    "nexa_node_filesystem_used_ratio": _sample(disk=0.99),
    "nexa_selftest_success": _fail_check,
    "nexa_selftest_last_run_timestamp_seconds": _test_later,
    "nexa_selftest_duration_seconds": _took,
    # the machine
    "nexa_node_cpu_seconds_total": lambda it: it.load(cpu_s={"idle": 2.0}),
    "nexa_node_cpu_logical_cores": lambda it: it.load(cores=4),
    "nexa_node_load1": lambda it: it.load(load1=2.0),
    "nexa_node_memory_total_bytes": lambda it: it.load(memory_total=200),
    "nexa_node_memory_available_bytes": lambda it: it.load(memory_available=1),
    "nexa_node_swap_used_bytes": lambda it: it.load(swap_used=1),
    "nexa_node_filesystem_size_bytes": lambda it: it.load(filesystems={"/": (9, 50)}),
    "nexa_node_filesystem_avail_bytes": lambda it: it.load(filesystems={"/": (100, 9)}),
    "nexa_node_disk_read_bytes_total": lambda it: it.load(disks={"sda": (1, 0, 0.0)}),
    "nexa_node_disk_written_bytes_total": lambda it: it.load(
        disks={"sda": (0, 1, 0.0)}
    ),
    "nexa_node_disk_io_time_seconds_total": lambda it: it.load(
        disks={"sda": (0, 0, 1.0)}
    ),
    "nexa_node_network_receive_bytes_total": lambda it: it.load(
        networks={"eth0": (1, 0, 0, 0)}
    ),
    "nexa_node_network_transmit_bytes_total": lambda it: it.load(
        networks={"eth0": (0, 1, 0, 0)}
    ),
    "nexa_node_network_receive_drop_total": lambda it: it.load(
        networks={"eth0": (0, 0, 1, 0)}
    ),
    "nexa_node_network_receive_errs_total": lambda it: it.load(
        networks={"eth0": (0, 0, 0, 1)}
    ),
    "nexa_node_pressure_waiting_ratio": lambda it: it.load(pressure={"cpu": 0.5}),
    "nexa_node_clock_offset_seconds": lambda it: setattr(it, "offset_s", 0.7),
    "process_cpu_seconds_total": _process("process_cpu_seconds_total"),
    "process_resident_memory_bytes": _process("process_resident_memory_bytes"),
    "process_virtual_memory_bytes": _process("process_virtual_memory_bytes"),
    "process_start_time_seconds": _process("process_start_time_seconds"),
    "process_open_fds": _process("process_open_fds"),
    "process_max_fds": _process("process_max_fds"),
    # connections and agents
    "nexa_connections": lambda it: setattr(it, "connected", 1),
    "nexa_connections_limit": lambda it: setattr(it, "limit", 11),
    "nexa_connections_opened_total": lambda it: it.connections.opened(),
    "nexa_connections_closed_total": lambda it: it.connections.closed(4408, 1.0),
    "nexa_connection_duration_seconds": lambda it: it.connections.closed(1000, 1.0),
    "nexa_message_bytes_received_total": lambda it: it.connections.received(100),
    "nexa_message_bytes_sent_total": lambda it: it.connections.sent(100),
    "nexa_message_size_bytes": lambda it: it.connections.sent(100),
    "nexa_agents": lambda it: setattr(it, "agents", [builders.agent(state="busy")]),
    "nexa_agent_heartbeat_age_max_seconds": _silence,
    "nexa_agent_restarts_total": _restart,
    # messages
    "nexa_messages_received_total": lambda it: it.messages.taken(TO_AGENT, "wc-2"),
    "nexa_messages_sent_total": lambda it: it.deliver(1),
    "nexa_messages_dropped_total": lambda it: it.messages.refused(
        TO_AGENT, Invalid("no")
    ),
    "nexa_messages_dead_lettered_total": lambda it: it.messages.given_up(),
    "nexa_messages_redelivered_total": lambda it: it.deliver(2),
    "nexa_message_delivery_duration_seconds": lambda it: it.deliver(1),
    # queues and tasks
    "nexa_queue_depth": lambda it: it.wait(pending=3),
    "nexa_queue_oldest_message_age_seconds": lambda it: it.wait(oldest_wait_s=3.0),
    "nexa_queue_ack_pending": lambda it: it.wait(running=3),
    "nexa_dead_letter_queue_depth": lambda it: it.wait(dead_lettered=3),
    "nexa_tasks_in_progress": _in_hand,
    "nexa_tasks_total": lambda it: it.finish(),
    "nexa_task_duration_seconds": lambda it: it.finish(),
    "nexa_task_queue_wait_seconds": _hand_out,
    "nexa_llm_tokens_total": _spend,
    "nexa_llm_cost_usd_total": _spend,
    "nexa_llm_budget_remaining_ratio": lambda it: it.budgets.update(
        a=msgspec.structs.replace(BUDGET, remaining=0.5)
    ),
    # the cluster and the store
    "nexa_cluster_members": lambda it: setattr(it, "suspicion", "dead"),
    "nexa_cluster_members_expected": lambda it: it.members.pop(),
    "nexa_cluster_quorum": lambda it: setattr(it, "quorum", False),
    "nexa_raft_leader_changes_total": lambda it: it.lay(leader="beta"),
    "nexa_raft_has_leader": lambda it: it.lay(stream_leader=None),
    "nexa_replication_lag_messages": _behind,
    "nexa_stream_replicas_current": _behind,
    "nexa_stream_replicas_expected": lambda it: it.lay(replicas=3),
    "nexa_jetstream_storage_used_bytes": lambda it: it.serve(storage_used=1),
    "nexa_jetstream_storage_limit_bytes": lambda it: it.serve(storage_limit=1),
    "nexa_nats_slow_consumers_total": lambda it: it.serve(slow_consumers=1),
    "nexa_nats_reconnects_total": lambda it: it.serve(reconnects=1),
    "nexa_nats_rtt_seconds": lambda it: it.rtt.took(1.0),
    "nexa_certificate_expiry_timestamp_seconds": lambda it: it.certificates.update(
        node=LATER
    ),
    # alerts, notifications, logs, itself
    "nexa_alert_rule_evaluations_total": lambda it: it.evaluated.add("nodes", 1, 0, 0),
    "nexa_alert_rule_evaluation_failures_total": lambda it: it.evaluated.add(
        "nodes", 1, 1, 0
    ),
    "nexa_alert_rule_evaluation_duration_seconds": lambda it: it.evaluated.add(
        "nodes", 1, 0, 5.0
    ),
    "nexa_alerts": _alert,
    "nexa_notifications_total": lambda it: it.notify(
        attempts={("webhook", "error"): 1}
    ),
    "nexa_notifications_waiting": lambda it: it.notify(waiting=1),
    "nexa_notification_oldest_waiting_seconds": lambda it: it.notify(oldest_s=1.0),
    "nexa_watchdog_last_delivered_timestamp_seconds": lambda it: it.notify(
        heartbeat=LATER
    ),
    "nexa_watchdog_last_seen_timestamp_seconds": lambda it: it.notify(
        watchdogs={"uptime": LATER}
    ),
    "nexa_log_records_total": lambda it: it.logged.update({("info", "nexa_node"): 1}),
    "nexa_log_records_dropped_total": lambda it: setattr(it, "unwritten", 1),
    "nexa_asyncio_tasks": lambda it: setattr(it, "loop_tasks", 1),
    "nexa_telemetry_series": lambda it: setattr(it, "series", 1),
    "nexa_telemetry_series_dropped_total": _overflow,
}
CONSTANT = frozenset({"nexa_node_up"})
"""1 whenever anybody hears it."""


def names(told: Iterable[str]) -> set[str]:
    """The families of a scrape."""
    return {line.split()[2] for line in told if line.startswith("# TYPE ")}
