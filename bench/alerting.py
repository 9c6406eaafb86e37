"""What evaluating rules costs, and how long it takes from a cause to those who must know.

python bench/alerting.py [evaluate] [latency] [overhead] [--json FILE] [--nodes 100]
    [--series 60] [--trials 32] [--rules FILE] [--pairs 5] [--messages 60000]

`evaluate`: every rule of the set, at each tick, over the figures of many nodes an hour
long. `latency`: a real node; causes at random moments, until a console's socket and a
webhook have their alerts. `overhead`: real nodes in turn, one as it is and one that
measures, records and evaluates nothing: what a message costs each. All by default.
"""

import argparse
import asyncio
import contextlib
import http.server
import json
import random
import re
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import tomli_w  # noqa: E402
import websockets  # noqa: E402
from messages import PACE, nexa_role  # noqa: E402
from servers import measured_by, process, scratch, wait_until  # noqa: E402
from throwaway import Node, ask, clean_environ, end_in_order, running_node  # noqa: E402

from nexa_node.adapters.host.clock import SystemClock  # noqa: E402
from nexa_node.core.alerting.rules import Group, load  # noqa: E402
from nexa_node.core.alerting.ruling import parts  # noqa: E402
from nexa_node.core.promql.parsing import conditions, selectors  # noqa: E402
from nexa_node.ports import Tick  # noqa: E402
from nexa_node.services.alerting.evaluating import Evaluator, Figures  # noqa: E402
from nexa_node.services.metrics.keeping import Keeper  # noqa: E402
from nexa_node.wiring.alerting import builtin_rules  # noqa: E402

TICK_MS = 10_000
HOUR = 360
GOAL_MS = 50.0
LATE_S = 0.2
SHARE = 1.05
APART_S = 4.0
"""Between two causes, on average."""
ROUNDS = 20
PARTS = ("evaluate", "latency", "overhead")
GROWING = re.compile("cpu_seconds_total|messages_(sent|received)_total")
HIGH = re.compile("_limit|_max_|available|avail_|size_bytes|remaining")
LOW = re.compile("_ratio|offset|lag|depth|age|_dropped|_used_")


def layout(groups: tuple[Group, ...], node: str, count: int) -> list[dict[str, str]]:
    """The series of one node: those that the rules read, filled up with others."""
    found: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for group in groups:
        for rule in group.rules:
            for selector in selectors(rule.expression):
                labels = {"job": "nexa", "instance": node}
                for one in conditions(selector):
                    if one.kind == "=":
                        labels[one.label] = one.value
                name = labels.get("__name__", "")
                if not name or name.startswith(("ALERTS", "nexa:")):
                    continue
                if name.endswith("_bucket"):
                    for bound in ("0.01", "0.1", "1", "+Inf"):
                        wide = {**labels, "le": bound}
                        found[tuple(sorted(wide.items()))] = wide
                else:
                    found[tuple(sorted(labels.items()))] = labels
    listed = list(found.values())[:count]
    for number in range(len(listed), count):
        name = f"nexa_other_{number}"
        listed.append({"__name__": name, "job": "nexa", "instance": node})
    return listed


def calm(name: str, at_ms: int) -> float:
    """A figure of a node that is well, as far as its name tells."""
    if "timestamp" in name:
        return at_ms / 1000 + 3600 + (1e8 if "expiry" in name else 0)
    if HIGH.search(name):
        return 1000.0
    return 0.0 if LOW.search(name) else 1.0


def filled(groups: tuple[Group, ...], nodes: int, series: int) -> tuple[Keeper, int]:
    """An hour of `nodes` nodes, as one of them has it."""
    keeper = Keeper("node-0", "bench")
    at_ms = int(datetime.now(UTC).timestamp() * 1000) // TICK_MS * TICK_MS
    at_ms -= HOUR * TICK_MS
    names = [f"node-{number}" for number in range(nodes)]
    layouts = {name: layout(groups, name, series) for name in names}
    kinds = [
        "counter" if "total" in one["__name__"] else "gauge"
        for one in layouts["node-0"]
    ]
    known = [one["__name__"] for one in layouts["node-0"]]
    values = {name: np.array([calm(one, at_ms) for one in known]) for name in names}
    grows = np.array([9.0 if GROWING.search(one) else 0.0 for one in known])
    for tick in range(HOUR):
        at_ms += TICK_MS
        for name in names[1:]:
            values[name] += grows
            keeper.hear(
                Tick(
                    node=name,
                    run="bench",
                    at_ms=at_ms,
                    first=0 if tick == 0 else series,
                    added=tuple(zip(kinds, layouts[name], strict=True))
                    if tick == 0
                    else (),
                    values=values[name].astype("<f8").tobytes(),
                ),
                at_ms,
            )
        keeper.commit(at_ms, [], names)
    return keeper, at_ms


async def evaluate(text: str, nodes: int, series: int) -> dict[str, float]:
    """Milliseconds of a tick in which every group is due."""
    groups = load(text, file="builtin")
    keeper, at_ms = filled(groups, nodes, series)
    evaluator = Evaluator(clock=SystemClock(), node="node-0", figures=Figures())
    took: list[float] = []
    cpu: list[float] = []
    failed: set[str] = set()
    alerts = 0
    for _ in range(ROUNDS):
        began, spent, alerts = time.perf_counter(), time.process_time(), 0
        for part in parts(groups):
            source = keeper.local if part.local else keeper.cluster
            outcome = await evaluator.evaluate(part, source, at_ms)
            evaluator.take(outcome.active)
            failed |= outcome.faults.keys()
            alerts += sum(len(on) for on in outcome.active.values())
        took.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - spent) * 1000)
        at_ms += 10  # another moment, of the same samples
    return {
        "rules": sum(len(group.rules) for group in groups),
        "series": nodes * series,
        "alerts": alerts,
        "failed": len(failed),
        "first_ms": round(took[0], 1),
        "p50_ms": round(statistics.median(took[1:]), 1),
        "max_ms": round(max(took[1:]), 1),
        "cpu_p50_ms": round(statistics.median(cpu[1:]), 1),
        "cpu_least_ms": round(min(cpu[1:]), 1),
    }


class Hook(http.server.BaseHTTPRequestHandler):
    """Notes when each alert was posted."""

    seen: ClassVar[dict[str, float]] = {}

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for one in body["alerts"]:
            self.seen.setdefault(one["labels"]["alertname"], time.time())
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return


def rules_of(trials: int) -> str:
    """One rule for each number of tasks that wait."""
    lines = ["groups:", "- name: bench", "  interval: 10s", "  rules:"]
    for number in range(1, trials + 1):
        lines += [
            f"  - alert: Waiting{number}",
            f'    expr: sum(nexa_tasks{{status="pending"}}) >= {number}',
            "    labels: {severity: critical}",
        ]
    return "\n".join(lines) + "\n"


async def latency(trials: int) -> dict[str, float]:
    """Seconds from a submission to the alert it causes; a tick is ten."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nexa.toml"
        settings = {
            "receiver": [
                {
                    "name": "hook",
                    "kind": "webhook",
                    "url": f"http://127.0.0.1:{server.server_port}/",
                    "per_minute": 600,
                }
            ],
            "route": [{"receivers": ["hook"], "group_by": ["..."], "group_wait_ms": 0}],
        }
        config.write_text(tomli_w.dumps(settings))
        with running_node("--config", str(config)) as node:
            home = Path(node.environ["NEXA_HOME"])
            (home / "config/rules").mkdir(parents=True, exist_ok=True)
            (home / "config/rules/bench.yaml").write_text(rules_of(trials))
            told = await measured(node, trials)
    server.shutdown()
    sent, console = told
    return {
        "trials": len(sent),
        **spread("console", sent, console),
        **spread("webhook", sent, {name: Hook.seen[name] for name in console}),
    }


def spread(
    who: str, sent: dict[str, float], seen: dict[str, float]
) -> dict[str, float]:
    """From the cause to whom, and from the tick that saw it: ticks are by the clock."""
    took = [seen[name] - at for name, at in sent.items()]
    late = [at % (TICK_MS / 1000) for at in seen.values()]
    return {
        f"{who}_p50_s": round(statistics.median(took), 2),
        f"{who}_p99_s": round(float(np.quantile(took, 0.99)), 3),
        f"{who}_max_s": round(max(took), 3),
        f"{who}_after_tick_p50_ms": round(statistics.median(late) * 1000, 1),
        f"{who}_after_tick_max_ms": round(max(late) * 1000, 1),
    }


async def measured(
    node: Node, trials: int
) -> tuple[dict[str, float], dict[str, float]]:
    """When each task was submitted, and when a console had its alert."""
    seen: dict[str, float] = {}
    sent: dict[str, float] = {}
    url = node.url.replace("http", "ws") + "/v1/console"
    headers = {"Authorization": f"Bearer {node.token}"}
    while not any(
        rule["health"] == "ok" and rule["group"] == "bench"
        for rule in ask(node, "/v1/rules")["items"]
    ):
        await asyncio.sleep(0.5)
    async with websockets.connect(url, additional_headers=headers) as socket:

        async def listen() -> None:
            async for frame in socket:
                told = json.loads(frame)
                if told["type"] == "alert" and told["alert"]["state"] == "firing":
                    seen.setdefault(told["alert"]["name"], time.time())

        listening = asyncio.create_task(listen())
        for number in range(1, trials + 1):
            await asyncio.sleep(random.uniform(0, 2 * APART_S))
            sent[f"Waiting{number}"] = time.time()
            await asyncio.to_thread(submit, node)
        until = time.time() + 3 * TICK_MS / 1000
        while time.time() < until and sent.keys() - (seen.keys() & Hook.seen.keys()):
            await asyncio.sleep(0.05)
        listening.cancel()
    lost = sorted(sent.keys() - (seen.keys() & Hook.seen.keys()))
    if lost:
        raise SystemExit(f"never told: {', '.join(lost)}")
    return sent, seen


def submit(node: Node) -> None:
    """One task that nobody can do."""
    headers = {"Authorization": f"Bearer {node.token}"}
    headers["Content-Type"] = "application/json"
    body = json.dumps({"type": "nobody"}).encode()
    request = urllib.request.Request(node.url + "/v1/tasks", body, headers)
    with urllib.request.urlopen(request, timeout=10):
        return


# -- what a message costs ------------------------------------------------------


def bare_node(words: list[str]) -> int:
    """Be a node that counts, measures, records and evaluates nothing."""
    from nexa_node.services.alerting.engine import Engine
    from nexa_node.services.metrics.recorder import Recorder
    from nexa_node.wiring.metering import Metering
    from nexa_node.wiring.run import main as run

    async def never(_: object) -> None:
        await asyncio.Event().wait()

    def nothing(_: object) -> None:
        return

    for where, name, does in (
        (Recorder, "_tick", never),
        (Engine, "run", never),
        (Engine, "mind", never),
        (Metering, "_listen", nothing),
    ):
        assert hasattr(where, name), f"{where.__name__}.{name} is called otherwise now"
        setattr(where, name, does)
    return run(words)


@contextlib.contextmanager
def a_node(*, bare: bool) -> Generator[Node]:
    """A node of either sort, each started the same way."""
    script = (
        [str(Path(__file__).resolve()), "--bare"]
        if bare
        else ["-m", "nexa_node", "run"]
    )
    words = [sys.executable, *script, "--name", "bench", "--port", "0"]
    with scratch() as folder:
        pace = {f"NEXA_{name.upper()}": str(value) for name, value in PACE.items()}
        environ = clean_environ(NEXA_HOME=str(folder / "home"), **pace)
        place = folder / "home" / "state" / "node" / "bench"
        with process(words, environ=environ, folder=folder):
            file, token = place / "node.json", place / "admin.token"
            log = folder / "output.log"
            wait_until(lambda: file.exists() and token.exists(), "the node", log)
            told = json.loads(file.read_text())
            yield Node(told["url"], token.read_text().strip(), told["pid"], environ)


def message_us(many: int, *, bare: bool) -> float:
    """Processor microseconds of a node, its nats-server's apart, for each message."""
    with a_node(bare=bare) as node:
        nats = [each.pid for each in psutil.Process(node.pid).children()]
        command, environ = nexa_role(node, "flood", "--pairs", "8", "--many", str(many))
        figures, spent = measured_by(command, environ=environ, pids=[node.pid, *nats])
    return (spent[1] - sum(spent[2:])) / figures["count"] * 1e6


def overhead(pairs: int, many: int) -> dict[str, float]:
    """Both sorts in turn; the ratio is of each pair, since the machine changes."""
    whole, bare = list[float](), list[float]()
    for pair in range(pairs):
        for sort in (True, False) if pair % 2 else (False, True):
            (bare if sort else whole).append(message_us(many, bare=sort))
    ratios = [one / other for one, other in zip(whole, bare, strict=True)]
    return {
        "pairs": pairs,
        "node_us": round(statistics.median(whole), 2),
        "bare_us": round(statistics.median(bare), 2),
        "ratio": round(statistics.median(ratios), 3),
        "least_of_each_ratio": round(min(whole) / min(bare), 3),
    }


def main() -> int:
    if sys.argv[1:2] == ["--bare"]:
        return bare_node(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--series", type=int, default=60)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--rules", type=Path, help="instead of nexa's own")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--messages", type=int, default=60_000)
    options = parser.parse_args()
    wanted = options.parts or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    end_in_order()
    text = options.rules.read_text() if options.rules else builtin_rules()
    told, missed = dict[str, dict[str, float]](), list[str]()
    if "evaluate" in wanted:
        found = asyncio.run(evaluate(text, options.nodes, options.series))
        told["evaluate"] = found
        missed += ["evaluate"] if found["p50_ms"] > GOAL_MS else []
    if "latency" in wanted:
        found = told["latency"] = asyncio.run(latency(options.trials))
        latest = max(found["console_p99_s"], found["webhook_p99_s"])
        missed += ["latency"] if latest > TICK_MS / 1000 + LATE_S else []
    if "overhead" in wanted:
        found = told["overhead"] = overhead(options.pairs, options.messages)
        missed += ["overhead"] if found["ratio"] > SHARE else []
    whole = json.dumps(told | {"missed": missed}, indent=2)
    print(whole)
    if options.json:
        options.json.write_text(whole)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
