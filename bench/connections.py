"""What an idle connection costs: a node beside a bare echo server, in turns.

Bytes of memory for each of 5,000 connections, how long it takes to open them, processor
time for each, and what all of them cost while they do nothing.

    python bench/connections.py [--count 5000] [--runs 3] [--json FILE]
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from readme import rewrite
from series import Series, take_turns
from servers import free_port, machine, process, scratch
from throwaway import clean_environ, end_in_order, raise_file_limit, running_node

HERE = Path(__file__).resolve().parent / "peers"
NODE, STORE, ECHO = "nexa node", "its nats-server", "bare websockets echo"
FIRST = 100
"""Open before the first look: what only the first ones cost is no connection's."""
SETTLE_S, SETTLE_MOST_S = 3.0, 60.0
CALM = 0.03
"""Of a core: what the store may take when nothing is written any more."""


@dataclass(frozen=True)
class Server:
    """Something to connect to."""

    environ: dict[str, str]
    """For its clients."""
    words: list[str]
    """For its clients, too."""
    pids: dict[str, int]
    """By name; children are not counted in."""


@contextmanager
def node(count: int) -> Iterator[Server]:
    """A node that takes `count` agents."""
    most = count + 100
    with running_node(
        sessions_connections=most,
        sessions_connections_per_identity=most,
        sessions_connections_per_address=most,
    ) as started:
        children = psutil.Process(started.pid).children()
        store = next(each.pid for each in children if "nats" in each.name())
        environ = {**started.for_agents, "PYTHONPATH": str(HERE)}
        yield Server(environ, [], {NODE: started.pid, STORE: store})


@contextmanager
def echo() -> Iterator[Server]:
    """A bare echo server."""
    port = free_port()
    command = [sys.executable, str(HERE / "echo_server.py"), "--port", str(port)]
    environ = clean_environ(PYTHONPATH=str(HERE))
    with (
        scratch() as folder,
        process(command, environ=environ, folder=folder, read=True) as started,
    ):
        assert started.stdout is not None
        started.stdout.readline()
        words = ["--echo", f"ws://127.0.0.1:{port}"]
        yield Server(environ, words, {ECHO: started.pid})


@contextmanager
def connected(server: Server, counts: Sequence[int], prefix: str) -> Iterator[float]:
    """Processes with so many connections each; how long it took to open them all."""
    with ExitStack() as stack:
        began = []
        over = []
        started = []
        for number, count in enumerate(counts):
            folder = stack.enter_context(scratch())
            command = [sys.executable, str(HERE / "idle_clients.py"), *server.words]
            command += ["--name", f"{prefix}-{number}", "--count", str(count)]
            one = process(command, environ=server.environ, folder=folder, read=True)
            started.append((stack.enter_context(one), folder))
        for client, folder in started:
            assert client.stdout is not None
            line = client.stdout.readline()
            if not line:
                said = (folder / "output.log").read_text()[-3000:]
                raise SystemExit(f"connections could not be opened:\n{said}")
            told = json.loads(line)
            began.append(told["began"])
            over.append(told["over"])
        yield max(over) - min(began)


def memory(server: Server) -> dict[str, int]:
    """Bytes that each process has for itself."""
    return {
        name: psutil.Process(pid).memory_full_info().uss
        for name, pid in server.pids.items()
    }


def processor(server: Server) -> dict[str, float]:
    """Processor seconds of each process."""
    spent: dict[str, float] = {}
    for name, pid in server.pids.items():
        times = psutil.Process(pid).cpu_times()
        spent[name] = times.user + times.system
    return spent


def settle(server: Server) -> None:
    """Wait until what opening left to be written is written."""
    until = time.monotonic() + SETTLE_MOST_S
    time.sleep(SETTLE_S)
    while STORE in server.pids and time.monotonic() < until:
        before = processor(server)[STORE]
        time.sleep(1.0)
        if processor(server)[STORE] - before < CALM:
            return


def measure(server: Server, given: argparse.Namespace, series: Series) -> None:
    """Open the connections, look, let them be idle, look again."""
    rest = given.count - FIRST
    shares = [
        rest // given.clients + (number < rest % given.clients)
        for number in range(given.clients)
    ]
    with connected(server, [FIRST], "first"):
        settle(server)
        before, spent = memory(server), processor(server)
        with connected(server, shares, "idle") as took_s:
            opened = processor(server)
            settle(server)
            idle_from = processor(server)
            began = time.monotonic()
            time.sleep(given.idle)
            idle_s = time.monotonic() - began
            after, idle_to = memory(server), processor(server)
    for name in server.pids:
        told = {
            "kb_each": (after[name] - before[name]) / rest / 1000,
            "open_s": rest / took_s,
            "cpu_ms_each": (opened[name] - spent[name]) / rest * 1000,
            "idle_cpu": (idle_to[name] - idle_from[name]) / idle_s * 100,
        }
        rounded = {what: round(value, 3) for what, value in told.items()}
        print(f"    {name}: {rounded}", file=sys.stderr, flush=True)
        series.add(name, **rounded)


def turns(series: Series, given: argparse.Namespace) -> dict[str, Callable[[], None]]:
    def of_node() -> None:
        with node(given.count) as server:
            measure(server, given, series)

    def of_echo() -> None:
        with echo() as server:
            measure(server, given, series)

    return {NODE: of_node, ECHO: of_echo}


def told(series: Series) -> list[str]:
    """The medians as a table in Markdown."""
    lines = [
        "| | KB each | opened/s | CPU ms to open one | idle, % of a core |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in (NODE, STORE, ECHO):
        kb, opened, cpu, idle = (
            series.median(name, what)
            for what in ("kb_each", "open_s", "cpu_ms_each", "idle_cpu")
        )
        cells = f"{kb:,.1f} | {opened:,.0f} | {cpu:.2f} | {idle:.1f}"
        lines.append(f"| {name} | {cells} |")
    ratio = series.median(NODE, "kb_each") / series.median(ECHO, "kb_each")
    return [*lines, "", f"memory of a connection, node / echo server: {ratio:.2f}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=4, help="processes")
    parser.add_argument("--idle", type=float, default=50.0, metavar="S")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--write-readme", action="store_true")
    given = parser.parse_args()
    if given.count <= FIRST:
        parser.error(
            f"--count: more than {FIRST}, which are open before the first look"
        )
    end_in_order()
    raise_file_limit(given.count + 1000)
    with scratch() as folder:
        where = machine(folder)
    series = Series()
    take_turns(given.runs, turns(series, given))
    lines = told(series)
    print("\n".join(lines))
    if given.json:
        whole = {
            "machine": where,
            "count": given.count,
            "runs": given.runs,
            "medians": series.medians(),
            "all": series.values,
        }
        given.json.write_text(json.dumps(whole, indent=2))
    if given.write_readme:
        rewrite("connections", lines, where=where, runs=given.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
