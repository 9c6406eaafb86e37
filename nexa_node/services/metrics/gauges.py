"""What is read at each scrape: of agents, queues, the cluster, the machine, the store."""

import asyncio
import platform
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import get_args

from nexa_node.contract.agents import Agent, AgentState
from nexa_node.contract.nodes import Node, Suspicion
from nexa_node.contract.quotas import BudgetView
from nexa_node.contract.tasks import Queue
from nexa_node.core.exposition import Counter, Family, Gauge, Sample
from nexa_node.core.instruments import OTHER, Instruments, gauge
from nexa_node.ports import Clock, HostFigures, HostMeasure, ServerFigures, StoreShape
from nexa_node.services.metrics.meters import NO_TYPE, WEBSOCKET, type_of
from nexa_node.services.sessions.live import LiveAgent
from nexa_node.services.tasks.claims import Held

AGENT_STATES: tuple[str, ...] = get_args(AgentState)
LOGGERS_MAX = 100
HOST_EVERY_S = 5.0
SUSPICIONS: tuple[str, ...] = get_args(Suspicion)


def of_agents(
    agents: Callable[[], Iterable[Agent]],
    here: Callable[[], Iterable[LiveAgent]],
    clock: Clock,
) -> Iterator[Family]:
    """The registry by type and state, and who of those here is silent longest."""
    counted: Tally[tuple[str, str]] = Tally()
    for agent in agents():
        kind = agent.capabilities[0].name if agent.capabilities else NO_TYPE
        if (kind, AGENT_STATES[0]) not in counted:
            counted.update({(kind, state): 0 for state in AGENT_STATES})
        counted[kind, agent.state] += 1
    if not counted:
        counted.update({(NO_TYPE, state): 0 for state in AGENT_STATES})
    yield gauge(
        "nexa_agents",
        "Agents in the registry, by their first capability and their state.",
        dict(counted),
        ("agent_type", "state"),
    )
    now, ages = clock.monotonic(), dict[tuple[str, ...], float]()
    for live in here():
        if live.connection is not None:
            kind = (type_of(live),)
            age_s = max(0.0, now - live.connection.last_heard)
            ages[kind] = max(ages.get(kind, 0.0), age_s)
    yield gauge(
        "nexa_agent_heartbeat_age_max_seconds",
        "How long the most silent connected agent of a type has given no sign of life.",
        ages or {(NO_TYPE,): 0.0},
        ("agent_type",),
    )


def of_connections(
    agents: Callable[[], int], consoles: Callable[[], int], limit: int
) -> Iterator[Family]:
    """Open connections, and how many agents may connect."""
    yield gauge(
        "nexa_connections",
        "Open connections.",
        {(WEBSOCKET, "agent"): agents(), (WEBSOCKET, "console"): consoles()},
        ("transport", "kind"),
    )
    yield gauge("nexa_connections_limit", "Agents this node takes.", limit)


def of_queues(
    queues: Callable[[], Iterable[Queue]], held: Callable[[], Iterable[Held]]
) -> Iterator[Family]:
    """What waits, for how long, and what this node's agents have."""
    depth: dict[tuple[str, ...], float] = {}
    oldest, running, dead = dict(depth), dict(depth), dict(depth)
    for queue in queues():
        key = (queue.name,)
        depth[key] = depth.get(key, 0.0) + queue.pending
        oldest[key] = max(oldest.get(key, 0.0), queue.oldest_wait_s or 0.0)
        running[key] = running.get(key, 0.0) + queue.running
        dead[key] = dead.get(key, 0.0) + queue.dead_lettered
    labels = ("queue",)
    yield gauge("nexa_queue_depth", "Tasks that wait.", depth, labels)
    yield gauge(
        "nexa_queue_oldest_message_age_seconds",
        "How long the oldest task of a queue has waited.",
        oldest,
        labels,
    )
    yield gauge("nexa_queue_ack_pending", "Tasks handed out.", running, labels)
    yield gauge("nexa_dead_letter_queue_depth", "Dead letters.", dead, labels)
    in_hand: Tally[tuple[str, ...]] = Tally({(NO_TYPE,): 0, **dict.fromkeys(depth, 0)})
    in_hand.update(
        (one.task.type,) for one in held() if one.task is not None and one.agent
    )
    yield gauge(
        "nexa_tasks_in_progress",
        "Tasks this node's agents have.",
        dict(in_hand),
        ("agent_type",),
    )


class ClusterReader:
    """Members and streams; counts changes of leaders between two looks."""

    def __init__(
        self,
        *,
        shape: Callable[[], StoreShape],
        members: Callable[[], Iterable[Node]],
        suspicion: Callable[[str], str],
        quorum: Callable[[], bool],
        offset_s: Callable[[], float],
        instruments: Instruments,
    ) -> None:
        """Ask these; nothing is kept but who led last."""
        self._shape = shape
        self._members = members
        self._suspicion = suspicion
        self._quorum = quorum
        self._offset_s = offset_s
        self._led: dict[str, str] = {}
        self._changes = instruments.counter(
            "nexa_raft_leader_changes_total",
            "Changes of a group's leader that this node saw.",
            ("group",),
            [("meta",)],
        )

    def read(self) -> Iterator[Family]:
        """Tell how it is now."""
        shape = self._shape()
        yield from self._of_members()
        yield gauge(
            "nexa_node_clock_offset_seconds",
            "How far this node's clock is ahead of the median of all nodes.",
            self._offset_s(),
        )
        leaders = {"meta": shape.leader if shape.clustered else ""}
        leaders |= {stream.name: stream.leader for stream in shape.streams}
        for group, leader in leaders.items():
            self._changes.add(group, by=0)
            if leader is not None and self._led.setdefault(group, leader) != leader:
                self._changes.add(group)
                self._led[group] = leader
        yield gauge(
            "nexa_raft_has_leader",
            "1 while a group has a leader; without one nothing can be written to it.",
            {(group,): float(leader is not None) for group, leader in leaders.items()},
            ("group",),
        )
        yield from _of_streams(shape)

    def _of_members(self) -> Iterator[Family]:
        counted = Tally({(one,): 0 for one in SUSPICIONS})
        members = tuple(self._members())
        counted.update((self._suspicion(one.name),) for one in members)
        yield gauge(
            "nexa_cluster_members",
            "Members on record, by what this node thinks of them.",
            dict(counted),
            ("state",),
        )
        yield gauge("nexa_cluster_members_expected", "Members on record.", len(members))
        yield gauge(
            "nexa_cluster_quorum",
            "1 while this node hears enough others to have anything stored.",
            float(self._quorum()),
        )


def _of_streams(shape: StoreShape) -> Iterator[Family]:
    lag = {
        (stream.name, replica.node): float(replica.lag)
        for stream in shape.streams
        for replica in stream.replicas
    }
    yield gauge(
        "nexa_replication_lag_messages",
        "Operations a copy is behind its leader.",
        lag,
        ("stream", "replica"),
    )
    yield gauge(
        "nexa_stream_replicas_current",
        "Copies that have all that was committed.",
        {
            (one.name,): float(sum(each.current for each in one.replicas))
            for one in shape.streams
        },
        ("stream",),
    )
    yield gauge(
        "nexa_stream_replicas_expected",
        "Copies that are wanted.",
        {(one.name,): float(shape.replicas) for one in shape.streams},
        ("stream",),
    )


def of_store(figures: Callable[[], ServerFigures]) -> Iterator[Family]:
    """What the store's server has counted."""
    told = figures()
    yield gauge(
        "nexa_jetstream_storage_used_bytes", "Of this node's store.", told.storage_used
    )
    yield gauge(
        "nexa_jetstream_storage_limit_bytes",
        "What this node's store may take.",
        told.storage_limit,
    )
    yield _counter(
        "nexa_nats_slow_consumers_total",
        "Connections nats-server cut off since they were too slow.",
        told.slow_consumers,
    )
    yield _counter(
        "nexa_nats_reconnects_total",
        "Times the node had to connect to its nats-server again.",
        told.reconnects,
    )


class HostReader:
    """Looks at the machine in a thread: a file system that hangs holds nobody up."""

    def __init__(self, measure: HostMeasure, clock: Clock) -> None:
        """Have seen nothing."""
        self._measure = measure
        self._clock = clock
        self._seen: HostFigures | None = None

    async def run(self) -> None:
        """Look each five seconds, for ever. A service's loop."""
        while True:
            await self.look()
            await self._clock.sleep(HOST_EVERY_S)

    async def look(self) -> None:
        """Look now."""
        self._seen = await asyncio.to_thread(self._measure.figures)

    def read(self) -> Iterator[Family]:
        """What was seen last; nothing before the first look."""
        if self._seen is not None:
            yield from of_host(self._seen)


def of_host(told: HostFigures) -> Iterator[Family]:
    """The machine, and this process by the standard names."""
    yield _counters(
        "nexa_node_cpu_seconds_total", "Processor time.", "mode", told.cpu_s
    )
    yield gauge("nexa_node_cpu_logical_cores", "Logical processors.", told.cores)
    yield gauge("nexa_node_load1", "Load average of one minute.", told.load1)
    yield gauge("nexa_node_memory_total_bytes", "Of the machine.", told.memory_total)
    yield gauge(
        "nexa_node_memory_available_bytes",
        "What programs can still have.",
        told.memory_available,
    )
    yield gauge("nexa_node_swap_used_bytes", "Of the machine.", told.swap_used)
    for at, name, text in ((0, "size", "Size."), (1, "avail", "Free.")):
        yield gauge(
            f"nexa_node_filesystem_{name}_bytes",
            f"{text} `state` is where the node's own folder is.",
            {(mount,): sizes[at] for mount, sizes in told.filesystems.items()},
            ("mountpoint",),
        )
    for at, name, text in (
        (0, "read_bytes", "Bytes read."),
        (1, "written_bytes", "Bytes written."),
        (2, "io_time_seconds", "Time the device was busy."),
    ):
        yield _counters(
            f"nexa_node_disk_{name}_total",
            text,
            "device",
            {device: counts[at] for device, counts in told.disks.items()},
        )
    for at, name, text in (
        (0, "receive_bytes", "Bytes received."),
        (1, "transmit_bytes", "Bytes sent."),
        (2, "receive_drop", "Packets dropped on their way in."),
        (3, "receive_errs", "Packets damaged on their way in."),
    ):
        yield _counters(
            f"nexa_node_network_{name}_total",
            text,
            "device",
            {device: counts[at] for device, counts in told.networks.items()},
        )
    yield gauge(
        "nexa_node_pressure_waiting_ratio",
        "Share of the last minute that something waited for it.",
        {(one,): share for one, share in told.pressure.items()},
        ("resource",),
    )
    yield from _of_process(told.process)


_PROCESS = {
    "process_cpu_seconds_total": "Processor time of the node.",
    "process_resident_memory_bytes": "Memory of the node.",
    "process_virtual_memory_bytes": "Address space of the node.",
    "process_start_time_seconds": "When the node's process began, since 1970.",
    "process_open_fds": "Open files and sockets of the node.",
    "process_max_fds": "How many it may have.",
}


def _of_process(told: Mapping[str, float]) -> Iterator[Family]:
    for name, text in _PROCESS.items():
        if name in told:
            make = _counter if name.endswith("_total") else gauge
            yield make(name, text, float(told[name]))


def of_logs(records: Mapping[tuple[str, str], int], unwritten: int) -> Iterator[Family]:
    """What was logged."""
    levels = ("debug", "info", "warning", "error", "critical")
    counts: Tally[tuple[str, str]] = Tally({(each, "nexa_node"): 0 for each in levels})
    for (level, logger), count in records.items():
        # Our own loggers, and the first name of others': those are many.
        first = logger if logger.startswith("nexa") else logger.partition(".")[0]
        room = len(counts) < LOGGERS_MAX or (level, first) in counts
        counts[level, first if room else OTHER] += count
    yield Counter(
        "nexa_log_records_total",
        "Lines logged.",
        tuple(
            Sample(count, {"level": level, "logger": logger})
            for (level, logger), count in counts.items()
        ),
    )
    yield Counter(
        "nexa_log_records_dropped_total",
        "Lines that were lost.",
        (Sample(unwritten, {"reason": "write_error"}),),
    )


def of_itself(series: int, tasks: int) -> Iterator[Family]:
    """What the recorder keeps of this node, and how much its event loop has to do."""
    yield gauge("nexa_asyncio_tasks", "Tasks of the node's event loop.", tasks)
    yield gauge("nexa_telemetry_series", "Series this node records.", series)


@dataclass(slots=True)
class Certificates:
    """When certificates end; nothing is told while there are none."""

    ends: Callable[[], Mapping[str, datetime]] = field(default=dict)

    def read(self) -> Iterator[Family]:
        """Tell of each."""
        yield gauge(
            "nexa_certificate_expiry_timestamp_seconds",
            "When a certificate of this node ends, seconds since 1970.",
            {(name,): end.timestamp() for name, end in self.ends().items()},
            ("cert",),
        )


def of_budgets(budgets: Iterable[tuple[str, BudgetView]]) -> Iterator[Family]:
    """What is left of the namespaces' budgets."""
    yield gauge(
        "nexa_llm_budget_remaining_ratio",
        "The share of a namespace's budget that is left, 0 to 1.",
        {(name,): view.remaining for name, view in budgets},
        ("budget",),
    )


def build_info(version: str, revision: str) -> Gauge:
    """What runs here."""
    labels = {
        "version": version,
        "python_version": platform.python_version(),
        "revision": revision,
    }
    return Gauge("nexa_build_info", "What runs here.", (Sample(1, labels),))


def node_info(node: str, cluster: str, role: str, zone: str) -> Gauge:
    """Who answers."""
    labels = {"node": node, "cluster": cluster, "role": role, "zone": zone}
    return Gauge("nexa_node_info", "Who answers.", (Sample(1, labels),))


def _counter(name: str, text: str, value: float) -> Counter:
    return Counter(name, text, (Sample(float(value)),))


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Counter:
    samples = (Sample(float(value), {label: one}) for one, value in values.items())
    return Counter(name, text, tuple(samples))
