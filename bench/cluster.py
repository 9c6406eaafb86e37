"""What a cluster of three costs, beside a node alone.

    python bench/cluster.py work [--runs 3]          tasks and messages, one node and three
    python bench/cluster.py growth [--messages 100000]   1 → 2 → 3 nodes that hold so much
    python bench/cluster.py idle [--agents 0,100,1000,10000]   what doing nothing costs

Agents and clients are at different nodes of the cluster: nothing is done at home. All nodes
share this machine, so three have no more processors than one: rates say what the copies
cost, not what three machines do.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from readme import rewrite
from series import Series, take_turns
from servers import cpu_s, machine, measured_by, process, processes, scratch
from throwaway import (
    Node,
    ask,
    clean_environ,
    end_in_order,
    in_step,
    joined,
    raise_file_limit,
    running_cluster,
    running_node,
)

HERE = Path(__file__).resolve().parent / "peers"
sys.path.insert(0, str(HERE))
PACE = {
    "sessions_messages_per_s": 1e6,
    "sessions_messages_burst": 1_000_000,
    "sessions_connections": 12_000,
    "sessions_connections_per_identity": 12_000,
    "sessions_connections_per_address": 12_000,
}
"""The limits of one agent and one address would be what is measured."""
NODES = 3
SETTLE_S = 10.0
BATCH = 64


def environ_of(node: Node) -> dict[str, str]:
    return {**clean_environ(), **node.for_agents, "PYTHONPATH": str(HERE)}


@contextmanager
def nodes(count: int) -> Iterator[list[Node]]:
    """One node, or a cluster in step."""
    if count == 1:
        with running_node(**PACE) as node:
            yield [node]
    else:
        with running_cluster(count, **PACE) as started:
            yield started


# -- work ----------------------------------------------------------------------


def work(count: int, given: argparse.Namespace) -> dict[str, float]:
    """Tasks, then durable messages one by one and many, at one cluster."""
    with nodes(count) as there:
        here, elsewhere = there[0], there[1:] or there
        figures = {f"task_{k}": v for k, v in tasks(here, elsewhere, given).items()}
        for role, words in (
            ("durable", ["--alone", str(given.alone)]),
            ("flood", ["--many", str(given.messages), "--durable"]),
        ):
            command = [sys.executable, str(HERE / "nexa_messages.py"), role, *words]
            told, _ = measured_by(
                [*command, "--to-url", elsewhere[-1].url],
                environ=environ_of(here),
                pids=[],
            )
            figures |= told
    return figures


def tasks(
    here: Node, elsewhere: Sequence[Node], given: argparse.Namespace
) -> dict[str, float]:
    script = [sys.executable, str(HERE / "nexa_tasks.py")]
    words = [
        "--tasks",
        str(given.tasks),
        "--alone",
        str(given.alone),
        "--warm-up",
        "200",
    ]
    with ExitStack() as stack:
        for number in range(2):
            node = elsewhere[number % len(elsewhere)]
            folder = stack.enter_context(scratch())
            agents = processes(
                [[*script, "--agent", f"worker-{number}"]],
                environ=environ_of(node),
                folder=folder,
            )
            stack.enter_context(agents)
        return measured_by([*script, *words], environ=environ_of(here), pids=[])[0]


WORK = (
    ("task_tasks_s", "tasks/s"),
    ("task_p50_ms", "task p50 ms"),
    ("task_p99_ms", "task p99 ms"),
    ("messages_s", "durable messages/s"),
    ("acked_p50_ms", "message p50 ms"),
    ("acked_p99_ms", "message p99 ms"),
)


def run_work(given: argparse.Namespace) -> tuple[list[str], object]:
    series = Series()

    def turn(name: str, count: int) -> Callable[[], None]:
        def taken() -> None:
            figures = work(count, given)
            print(f"    {figures}", file=sys.stderr, flush=True)
            series.add(name, **figures)

        return taken

    take_turns(
        given.runs,
        {"one node": turn("one node", 1), "three nodes": turn("three nodes", NODES)},
    )
    lines = [
        "| | " + " | ".join(title for _, title in WORK) + " |",
        "| --- " * (len(WORK) + 1) + "|",
    ]
    for name in series.values:
        cells = (f"{series.median(name, what):,.1f}" for what, _ in WORK)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    ratios = (
        f"{series.median('three nodes', what) / series.median('one node', what):.2f}"
        for what, _ in WORK
    )
    lines.append("| three ÷ one | " + " | ".join(ratios) + " |")
    return lines, series.values


# -- growth --------------------------------------------------------------------


async def fill(node: Node, count: int) -> None:
    """Have a node hold so many messages of a topic."""
    from nexa_wire import Line

    line = Line("filler", url=node.url, token=node.token, slots=0)
    message = {
        "to": {"topic": "bench.growth"},
        "type": "note",
        "data": "x" * 200,
        "durable": True,
    }
    async with line:
        for start in range(0, count, BATCH):
            some = min(BATCH, count - start)
            await line.calls("message.send", [message] * some)


def held(node: Node) -> int:
    return sum(place["messages"] for place in ask(node, "/v1/cluster")["streams"])


def run_growth(given: argparse.Namespace) -> tuple[list[str], object]:
    told: dict[str, float] = {}
    with ExitStack() as stack:
        first = stack.enter_context(running_node(**PACE))
        began = time.monotonic()
        asyncio.run(fill(first, given.messages))
        told["filled_s"] = time.monotonic() - began
        for number in (1, 2):
            began = time.monotonic()
            stack.enter_context(joined(first, number, **PACE))
            told[f"joined_{number + 1}_s"] = time.monotonic() - began
            in_step(first, number + 1)
            told[f"in_step_{number + 1}_s"] = time.monotonic() - began
        told["held"] = held(first)
    if told["held"] < given.messages:
        raise SystemExit(
            f"of {given.messages:,} messages {told['held']:,.0f} are there"
        )
    lines = [
        "| | node is ready s | all copies in step s |",
        "| --- | --- | --- |",
        *(
            f"| {number - 1} → {number} nodes | {told[f'joined_{number}_s']:.1f} "
            f"| {told[f'in_step_{number}_s']:.1f} |"
            for number in (2, 3)
        ),
        "",
        f"{given.messages:,} durable messages of 200 bytes were there before, and after.",
    ]
    return lines, told


# -- idle ----------------------------------------------------------------------


@contextmanager
def idle_agents(there: Sequence[Node], count: int) -> Iterator[None]:
    """So many agents, spread over the nodes, that do nothing."""
    with ExitStack() as stack:
        for number, node in enumerate(there):
            share = count // len(there) + (number < count % len(there))
            if not share:
                continue
            folder = stack.enter_context(scratch())
            command = [sys.executable, str(HERE / "idle_clients.py")]
            command += ["--name", f"idle-{number}", "--count", str(share)]
            one = process(command, environ=environ_of(node), folder=folder, read=True)
            started = stack.enter_context(one)
            assert started.stdout is not None
            if not started.stdout.readline():
                said = (folder / "output.log").read_text()[-3000:]
                raise SystemExit(f"agents could not connect:\n{said}")
        yield


def idle(count: int, agents: int, idle_s: float) -> dict[str, float]:
    """Per node, while nobody wants anything: processor, memory, bytes on the wire."""
    with nodes(count) as there, idle_agents(there, agents):
        pids = [node.pid for node in there]
        calm(pids)
        began, spent, wire = time.monotonic(), cpu_s(pids), loopback()
        time.sleep(idle_s)
        took = time.monotonic() - began
        told = {
            "cpu": (cpu_s(pids) - spent) / took * 100 / count,
            "kb_s": (loopback() - wire) / took / 1000 / count,
            "mb": memory(pids) / 1e6 / count,
        }
    return {what: round(value, 2) for what, value in told.items()}


def calm(pids: Sequence[int], *, most_s: float = 120.0) -> None:
    """Wait until what the agents' coming left to be written is written."""
    until = time.monotonic() + most_s
    before = float("inf")
    while time.monotonic() < until:
        began = cpu_s(pids)
        time.sleep(SETTLE_S)
        spent = cpu_s(pids) - began
        if spent > before * 0.9:
            return
        before = spent


def loopback() -> int:
    """Bytes that were sent on this machine's loopback: all of the nodes' and agents'."""
    return psutil.net_io_counters(pernic=True)["lo"].bytes_sent


def memory(pids: Sequence[int]) -> int:
    """Of the nodes and their nats-servers, what they have for themselves."""
    everyone = [psutil.Process(pid) for pid in pids]
    everyone += [child for one in everyone for child in one.children(recursive=True)]
    return sum(one.memory_full_info().uss for one in everyone)


def run_idle(given: argparse.Namespace) -> tuple[list[str], object]:
    counts = [int(each) for each in given.agents.split(",")]
    raise_file_limit(max(counts) + 2000)
    found: dict[str, Any] = {}
    for count in (1, NODES):
        for agents in counts:
            print(f"{count} nodes, {agents} agents", file=sys.stderr, flush=True)
            found[f"{count}/{agents}"] = figures = idle(count, agents, given.idle)
            print(f"    {figures}", file=sys.stderr, flush=True)
    lines = [
        "| nodes | agents in all | CPU of a node, % of a core | KB/s of a node | MB of a node |",
        "| --- | --- | --- | --- | --- |",
    ]
    for key, figures in found.items():
        count, agents = key.split("/")
        lines.append(
            f"| {count} | {int(agents):,} | {figures['cpu']:.2f} | {figures['kb_s']:,.1f} "
            f"| {figures['mb']:,.0f} |"
        )
    return [*lines, "", "A node is its process and its nats-server's."], found


RUNS = {"work": run_work, "growth": run_growth, "idle": run_idle}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=tuple(RUNS))
    parser.add_argument("--runs", type=int, default=3, help="of work")
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--alone", type=int, default=300, help="one after the other")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--agents", default="0,100,1000,10000", help="of idle")
    parser.add_argument("--idle", type=float, default=60.0, metavar="S")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--write-readme", action="store_true")
    given = parser.parse_args()
    end_in_order()
    with scratch() as folder:
        where = machine(folder)
    lines, found = RUNS[given.part](given)
    print("\n".join(lines))
    if given.json:
        whole = {"machine": where, "cores": os.cpu_count(), "all": found}
        given.json.write_text(json.dumps(whole, indent=2))
    if given.write_readme:
        runs = given.runs if given.part == "work" else 1
        rewrite(f"cluster {given.part}", lines, where=where, runs=runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
