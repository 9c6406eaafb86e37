"""`nexa top`: nodes, agents and queues, the busiest first, as it is now."""

import argparse
import time
from typing import Any

import msgspec

from nexa_node.contract.agents import Agent
from nexa_node.contract.nodes import Cluster, Node
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import Queue
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser, seconds
from nexa_tui.commands.output import Call, Cell, clean
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.state.formats import duration, per_second, percent

_CLEAR = "\x1b[H\x1b[2J"
_HEALTH = {"healthy": "good", "degraded": "warn", "unhealthy": "bad"}
FIGURES = {
    "cpu": '1 - sum by (instance) (rate(nexa_node_cpu_seconds_total{mode="idle"}[1m]))'
    " / sum by (instance) (rate(nexa_node_cpu_seconds_total[1m]))",
    "memory": "1 - nexa_node_memory_available_bytes / nexa_node_memory_total_bytes",
    "load1": "nexa_node_load1",
    "tasks": "sum by (instance) (nexa_tasks_in_progress)",
    "tasks_s": "sum by (instance) (rate(nexa_tasks_total[1m]))",
    "messages_s": "sum by (instance) (rate(nexa_messages_received_total[1m]))",
    "lag_s": "histogram_quantile(0.99, sum by (le, instance)"
    " (rate(nexa_event_loop_lag_seconds_bucket[5m])))",
}
"""What is asked of every node, by the name it has in `--json`."""


class _Sample(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Data(msgspec.Struct):
    result: list[_Sample]


class _Told(msgspec.Struct):
    data: _Data


class NodeLoad(msgspec.Struct, frozen=True, kw_only=True):
    """How busy one node is; None where it has not measured enough yet."""

    name: str
    state: str
    health: str
    agents: int
    cpu: float | None = None
    """Share of all processors."""
    memory: float | None = None
    load1: float | None = None
    tasks: float | None = None
    """Its agents have."""
    tasks_s: float | None = None
    """Finished a second."""
    messages_s: float | None = None
    lag_s: float | None = None
    """Of its event loop, 99th percentile."""


class Top(msgspec.Struct, frozen=True, kw_only=True):
    """`nexa top --json`."""

    nodes: tuple[NodeLoad, ...]
    agents: tuple[Agent, ...]
    queues: tuple[Queue, ...]


def run(arguments: list[str], call: Call) -> int:
    """Show it once, or again and again."""
    parser = Parser("top", "Nodes, agents and queues, the busiest first.")
    parser.add_argument("--follow", "-f", action="store_true", help="until Ctrl-C")
    parser.add_argument(
        "--every", type=seconds, default=2.0, metavar="SPAN", help="with --follow"
    )
    parser.add_argument("--limit", type=int, default=10, help="rows of each kind")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        while True:
            _show(_look(node, options.limit), options, call)
            if not options.follow:
                return 0
            call.out.flush()
            time.sleep(max(0.2, options.every))


def _look(node: Rest, limit: int) -> Top:
    cluster = node.get("/v1/cluster", Cluster)
    figures = {name: _values(node, text) for name, text in FIGURES.items()}
    nodes = [_load_of(one, figures) for one in cluster.nodes]
    agents = node.get("/v1/agents", Page[Agent], query={"limit": 1000}).items
    queues = node.get("/v1/queues", Page[Queue]).items
    nodes.sort(key=lambda one: (-(one.cpu or 0.0), one.name))
    return Top(
        nodes=tuple(nodes[:limit]),
        agents=tuple(sorted(agents, key=_business)[:limit]),
        queues=tuple(
            sorted(queues, key=lambda one: (-one.pending, -one.running, one.name))
        )[:limit],
    )


def _values(node: Rest, text: str) -> dict[str, float]:
    told = node.get("/api/v1/query", _Told, query={"query": text}, wait_s=20.0)
    return {
        one.metric.get("instance", ""): float(one.value[1]) for one in told.data.result
    }


def _load_of(node: Node, figures: dict[str, dict[str, float]]) -> NodeLoad:
    known: dict[str, Any] = {
        name: _finite(values.get(node.name)) for name, values in figures.items()
    }
    return NodeLoad(
        name=node.name,
        state=node.state,
        health=node.health,
        agents=node.agents,
        **known,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) < float("inf") else None


def _business(agent: Agent) -> tuple[bool, float, int, str]:
    share = agent.inflight / agent.slots if agent.slots else 0.0
    return not agent.connected, -share, -agent.completed, agent.id


def _show(top: Top, options: argparse.Namespace, call: Call) -> None:
    if options.json:
        call.json(top)
        return
    if options.follow and call.out.isatty():
        call.out.write(_CLEAR)
    call.table(
        ("NODE", "STATE", "CPU", "MEMORY", "LOAD", "AGENTS", "TASKS", "DONE", "MESSAGES",
         "LAG P99"),
        [_node_row(one) for one in top.nodes],
        empty="no nodes",
    )  # fmt: skip
    call.line()
    call.table(
        ("AGENT", "NODE", "STATE", "TASKS", "LOAD", "COMPLETED", "FAILED"),
        [_agent_row(one) for one in top.agents],
        empty="no agents: nexa agent run --id wc-1 --capability wc -- wc",
    )
    call.line()
    call.table(
        ("QUEUE", "WAITING", "RUNNING", "OLDEST", "FREE SLOTS", "DEAD"),
        [_queue_row(one) for one in top.queues],
        empty="no queues: no task was ever submitted",
    )


def _node_row(one: NodeLoad) -> tuple[str | Cell, ...]:
    lag_ms = None if one.lag_s is None else one.lag_s * 1000
    return (
        clean(one.name),
        Cell(one.state, _HEALTH.get(one.health)),
        percent(one.cpu).strip(),
        percent(one.memory).strip(),
        "-" if one.load1 is None else f"{one.load1:.2f}",
        str(one.agents),
        "-" if one.tasks is None else f"{one.tasks:.0f}",
        per_second(one.tasks_s).strip(),
        per_second(one.messages_s).strip(),
        duration(lag_ms).strip(),
    )


def _agent_row(one: Agent) -> tuple[str | Cell, ...]:
    return (
        clean(one.id),
        clean(one.node),
        Cell(one.state, None if one.connected else "dim"),
        f"{one.inflight} of {one.slots}",
        "-" if one.load is None else percent(one.load).strip(),
        str(one.completed),
        Cell(str(one.failed), "warn" if one.failed else None),
    )


def _queue_row(one: Queue) -> tuple[str | Cell, ...]:
    oldest = "-" if one.oldest_wait_s is None else f"{one.oldest_wait_s:.1f}s"
    stuck = one.pending > one.delayed and one.agents == 0
    return (
        clean(one.name),
        Cell(str(one.pending), "bad" if stuck else None),
        str(one.running),
        oldest,
        f"{one.free_slots} of {one.slots}",
        Cell(str(one.dead_lettered), "warn" if one.dead_lettered else None),
    )
