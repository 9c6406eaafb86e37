"""Messages between agents: how soon one is answered, and how many a node routes.

Questions and answers without durability beside autogen-core over gRPC; durable messages
from send to acknowledgement; many senders to many receivers, with the processor time of
the node and of its nats-server for each message.

    python bench/messages.py [--runs 5] [--json FILE]
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from readme import rewrite
from series import Series, take_turns
from servers import free_port, machine, measured_by, process, scratch
from throwaway import (
    PEERS,
    Node,
    clean_environ,
    end_in_order,
    environment,
    running_node,
    versions,
)

HERE = Path(__file__).resolve().parent / "peers"
PACKAGES = ["autogen-core", "autogen-ext[grpc]"]
DIRECT = "nexa, direct"
AUTOGEN = "autogen-core gRPC"
DURABLE = "nexa, durable"
ROUTED = "nexa, routed"
ROUTED_DURABLE = "nexa, routed durable"
PACE = {"sessions_messages_per_s": 1e6, "sessions_messages_burst": 1_000_000}
"""The default of 50 a second for each agent would be what is measured."""


@contextmanager
def until_ready(command: list[str], environ: dict[str, str]) -> Iterator[int]:
    """A process that tells when it is ready; its pid."""
    with (
        scratch() as folder,
        process(command, environ=environ, folder=folder, read=True) as started,
    ):
        assert started.stdout is not None
        if not started.stdout.readline():
            said = (folder / "output.log").read_text()[-3000:]
            raise SystemExit(f"{command} did not start:\n{said}")
        yield started.pid


def nexa_role(node: Node, role: str, *words: str) -> tuple[list[str], dict[str, str]]:
    script = str(HERE / "nexa_messages.py")
    environ = {**node.for_agents, "PYTHONPATH": str(HERE)}
    return [sys.executable, script, role, *words], environ


def direct(given: argparse.Namespace) -> dict[str, float]:
    """Question and answer through a node, not durable."""
    words = ["--alone", str(given.alone), "--many", str(given.many)]
    with running_node(**PACE) as node:
        command, environ = nexa_role(node, "answer")
        with until_ready(command, environ) as answerer:
            command, environ = nexa_role(node, "ask", *words)
            figures, spent = measured_by(
                command, environ=environ, pids=[answerer, node.pid]
            )
    return figures | {"cpu_us": round(sum(spent) / given.many * 1e6, 1)}


def autogen(found: Path, given: argparse.Namespace) -> dict[str, float]:
    """The same through autogen's host."""
    address = f"127.0.0.1:{free_port()}"
    environ = clean_environ(PYTHONPATH=str(HERE))
    base = [str(found / "python"), str(HERE / "autogen_rpc.py"), "--address", address]
    words = ["--alone", str(given.alone), "--many", str(given.many)]
    with (
        until_ready([*base, "host"], environ) as host,
        until_ready([*base, "answer"], environ) as answerer,
    ):
        figures, spent = measured_by(
            [*base, *words, "ask"], environ=environ, pids=[answerer, host]
        )
    return figures | {"cpu_us": round(sum(spent) / given.many * 1e6, 1)}


def durable(given: argparse.Namespace) -> dict[str, float]:
    """One durable message in flight, until its acknowledgement is stored."""
    with running_node(**PACE) as node:
        command, environ = nexa_role(node, "durable", "--alone", str(given.alone))
        return measured_by(command, environ=environ, pids=[])[0]


def routed(given: argparse.Namespace, *more: str) -> dict[str, float]:
    """As many messages as go through one node."""
    words = ["--pairs", str(given.pairs), "--many", str(given.many), *more]
    with running_node(**PACE) as node:
        nats = [each.pid for each in psutil.Process(node.pid).children()]
        command, environ = nexa_role(node, "flood", *words)
        figures, spent = measured_by(command, environ=environ, pids=[node.pid, *nats])
    store_s = sum(spent[2:])
    each_us = 1e6 / figures["count"]
    return {
        "messages_s": figures["messages_s"],
        "lost": figures["lost"],
        "node_us": round((spent[1] - store_s) * each_us, 1),
        "nats_us": round(store_s * each_us, 1),
        "clients_us": round(spent[0] * each_us, 1),
    }


def contestants(
    series: Series, given: argparse.Namespace
) -> dict[str, Callable[[], None]]:
    def turn(name: str, run: Callable[[], dict[str, float]]) -> Callable[[], None]:
        def taken() -> None:
            figures = run()
            print(f"    {figures}", file=sys.stderr, flush=True)
            series.add(name, **figures)

        return taken

    everybody = {
        DIRECT: lambda: direct(given),
        DURABLE: lambda: durable(given),
        ROUTED: lambda: routed(given),
        ROUTED_DURABLE: lambda: routed(given, "--durable"),
    }
    if not given.no_peers:
        found = environment("autogen", PACKAGES, given.peers)
        everybody[AUTOGEN] = lambda: autogen(found, given)
    return {name: turn(name, run) for name, run in everybody.items()}


def told(series: Series) -> list[str]:
    """The medians as tables in Markdown."""

    def row(name: str, whats: Sequence[str]) -> str:
        cells = (f"{series.median(name, what):,.2f}" for what in whats)
        return f"| {name} | " + " | ".join(cells) + " |"

    def table(head: str, names: Sequence[str], whats: Sequence[str]) -> list[str]:
        line = "| --- " * (len(whats) + 1) + "|"
        there = [name for name in names if name in series.values]
        return ["", f"| | {head} |", line, *(row(name, whats) for name in there)]

    by = {1.0: "message.request", 0.0: "message.send both ways: no message.request"}
    lines = table(
        "p50 ms | p99 ms | answered/s, 64 at once | CPU µs each, all processes",
        (DIRECT, AUTOGEN),
        ("p50_ms", "p99_ms", "asked_s", "cpu_us"),
    )[1:]
    if AUTOGEN in series.values:
        ratio = series.median(DIRECT, "p50_ms") / series.median(AUTOGEN, "p50_ms")
        lines += ["", f"p50 of nexa / autogen-core: {ratio:.2f}"]
    lines += ["", f"nexa asks by {by[series.median(DIRECT, 'by_request')]}."]
    kept = "kept" if series.median(DIRECT, "p50_ms") <= 2 else "MISSED"
    lines += [f"{kept}: direct request and answer, p50 at most 2 ms"]
    lines += table(
        "answered p50 ms | delivered p50 ms | acknowledged p50 ms | acknowledged p99 ms",
        (DURABLE,),
        ("answered_p50_ms", "delivered_p50_ms", "acked_p50_ms", "acked_p99_ms"),
    )
    lines += table(
        "messages/s | node CPU µs | nats-server CPU µs | clients CPU µs | lost",
        (ROUTED, ROUTED_DURABLE),
        ("messages_s", "node_us", "nats_us", "clients_us", "lost"),
    )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--alone", type=int, default=500, help="one after the other")
    parser.add_argument("--many", type=int, default=20_000, help="for rates")
    parser.add_argument("--pairs", type=int, default=8, help="senders and receivers")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--write-readme", action="store_true")
    parser.add_argument("--peers", type=Path, default=PEERS, help="where (%(default)s)")
    parser.add_argument("--no-peers", action="store_true", help="without autogen")
    given = parser.parse_args()
    end_in_order()
    with scratch() as folder:
        where = machine(folder)
    series = Series()
    take_turns(given.runs, contestants(series, given))
    lines = told(series)
    print("\n".join(lines))
    installed: dict[str, str] = {}
    if not given.no_peers:
        found = environment("autogen", PACKAGES, given.peers)
        installed = versions(found, PACKAGES)
    if given.json:
        whole = {
            "machine": where,
            "versions": installed,
            "given": {"alone": given.alone, "many": given.many, "pairs": given.pairs},
            "runs": given.runs,
            "medians": series.medians(),
            "all": series.values,
        }
        given.json.write_text(json.dumps(whole, indent=2))
    if given.write_readme:
        rewrite("messages", lines, where=where, runs=given.runs, versions=installed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
