"""What measuring costs, and how fast what was measured is asked for.

python bench/metrics.py [--json FILE] [--series 100] [--rounds 7] [--no-prometheus]

`tick`: one tick of a node with that many series, told to others and written down.
`memory`: what its day takes in the rings. `query_range`: an hour of all of them, beside
Debian's Prometheus on the same samples. `messages`: what the meters add to a message from
one agent to another, through sessions and delivery over a store in memory: no network and
no disk, so the share on a real node is less.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from series import Goal  # noqa: E402

from nexa_node.core.exposition import Counter, Family, Gauge, Sample  # noqa: E402
from nexa_node.core.history import TICK_MS  # noqa: E402
from nexa_node.core.instruments import Instruments  # noqa: E402
from nexa_node.core.policies import SessionPolicy  # noqa: E402
from nexa_node.services.metrics.keeping import Keeper  # noqa: E402
from nexa_node.services.metrics.meters import (  # noqa: E402
    ConnectionMeter,
    MessageMeter,
)
from nexa_node.services.metrics.querying import Querying  # noqa: E402
from tests.fakes import FakeClock  # noqa: E402
from tests.node.core.promql import prometheus as truth  # noqa: E402
from tests.node.services.metrics.moving import MOVES, Rig as Everything  # noqa: E402
from tests.rig import Rig  # noqa: E402

DAY, HOUR = 8640, 360
START_MS = truth.START_S * 1000
EXPRESSIONS = ("nexa_bench", "rate(nexa_bench_total[5m])", "sum by (kind) (nexa_bench)")
MESSAGES = 1000


def families(series: int, rng: random.Random, tick: int) -> tuple[Family, ...]:
    """Half of them counters, half gauges; all of them move."""
    counters = (
        Sample(tick * 3.0 + number, {"number": str(number), "kind": str(number % 5)})
        for number in range(series // 2)
    )
    gauges = (
        Sample(rng.random(), {"number": str(number), "kind": str(number % 5)})
        for number in range(series - series // 2 - 1)
    )
    return (
        Counter("nexa_bench_total", "Bench.", tuple(counters)),
        Gauge("nexa_bench", "Bench.", tuple(gauges)),
    )


def tick(keeper: Keeper, told: tuple[Family, ...], at_ms: int) -> float:
    """One tick, from what was read to the rings; processor seconds."""
    began = time.process_time()
    samples = keeper.measured(told, at_ms)
    keeper.tick(at_ms, samples)
    keeper.commit(at_ms, samples, ("alpha",))
    return time.process_time() - began


def ticks(series: int) -> tuple[dict[str, float], Keeper]:
    """A day of one node; its cost a tick, and its size."""
    keeper, rng = Keeper("alpha", "bench"), random.Random(1)
    took = [
        tick(keeper, families(series, rng, at), START_MS + at * TICK_MS)
        for at in range(DAY)
    ]
    real, everything = Keeper("alpha", "bench"), Everything()
    for move in MOVES.values():
        move(everything)
    shown = [
        tick(real, tuple(everything.instruments.families()), START_MS + at * TICK_MS)
        for at in range(HOUR)
    ]
    return {
        "series": float(len(keeper.history)),
        "tick_ms": statistics.median(took) * 1000,
        "tick_p99_ms": float(np.quantile(took, 0.99)) * 1000,
        "rings_mb": keeper.history.bytes / 2**20,
        "file_kb": len(keeper.packed()) / 1024,
        "catalogue_series": float(len(real.history)),
        "catalogue_tick_ms": statistics.median(shown) * 1000,
        "catalogue_rings_mb": real.history.bytes / 2**20,
    }, keeper


def asked(keeper: Keeper, rounds: int, *, beside: bool) -> dict[str, float]:
    """An hour of all series, each expression in turn with Prometheus; medians in ms."""
    newest = keeper.history.newest_ms or 0
    start, end = newest - (HOUR - 1) * TICK_MS, newest
    mine: dict[str, list[float]] = {one: [] for one in EXPRESSIONS}
    theirs: dict[str, list[float]] = {one: [] for one in EXPRESSIONS}
    querying = Querying(keeper.cluster, clock=FakeClock())
    span = {"start_ms": start, "end_ms": end, "step_ms": 15_000}

    async def ask(text: str) -> None:
        began = time.perf_counter()
        await querying.over_time(text, **span)
        mine[text].append((time.perf_counter() - began) * 1000)

    async def turns(prometheus: truth.Prometheus | None) -> None:
        for _ in range(rounds):
            for text in EXPRESSIONS:
                await ask(text)
                if prometheus is not None:
                    began = time.perf_counter()
                    prometheus.ask(
                        "query_range",
                        query=text,
                        start=start / 1000,
                        end=end / 1000,
                        step=15,
                    )
                    theirs[text].append((time.perf_counter() - began) * 1000)

    if not beside:
        asyncio.run(turns(None))
    else:
        kept = keeper.select((), start - 600_000, end, owner=None)
        samples = truth.Samples(tuple(kept))
        with (
            tempfile.TemporaryDirectory() as folder,
            truth.prometheus(Path(folder), samples) as prometheus,
        ):
            asyncio.run(turns(prometheus))
    told: dict[str, float] = {}
    for at, text in enumerate(EXPRESSIONS):
        told[f"{at}_ms"] = statistics.median(mine[text])
        if theirs[text]:
            told[f"{at}_prometheus_ms"] = statistics.median(theirs[text])
            told[f"{at}_ratio"] = told[f"{at}_ms"] / told[f"{at}_prometheus_ms"]
    return told


async def messages(*, measured: bool) -> float:
    """Processor microseconds of one message between two agents."""
    free = SessionPolicy(
        messages_per_s=1e9, messages_burst=10**9, outbound_frames=10 * MESSAGES
    )
    async with Rig(sessions=free) as rig:
        if measured:
            made = Instruments()
            meter = MessageMeter(made, rig.clock)
            rig.sessions.measure(ConnectionMeter(made))
            rig.post.messages.on_taken(meter.taken)
            rig.post.delivery.on_told(meter.told)
            rig.post.delivery.on_missed(meter.missed)
        one, other = await rig.agent("one"), await rig.agent("other")
        await other.notify("flow.credit", scope="messages", n=2 * MESSAGES)
        began = time.process_time()
        for number in range(MESSAGES):
            await one.ask(
                "message.send",
                to={"agent": "other"},
                type="note",
                data=number,
                durable=False,
            )
            await asyncio.sleep(0)
        while len(other.told("message.deliver")) < MESSAGES:
            await asyncio.sleep(0)
        return (time.process_time() - began) / MESSAGES * 1e6


def overhead(rounds: int) -> dict[str, float]:
    """With and without meters, in turn."""
    bare, metered = list[float](), list[float]()
    for _ in range(rounds):
        bare.append(asyncio.run(messages(measured=False)))
        metered.append(asyncio.run(messages(measured=True)))
    return {
        "bare_us": statistics.median(bare),
        "metered_us": statistics.median(metered),
        "ratio": statistics.median(metered) / statistics.median(bare),
        "least_ratio": min(metered) / min(bare),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--series", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-prometheus", action="store_true")
    options = parser.parse_args()
    cost, keeper = ticks(options.series)
    beside = not options.no_prometheus and truth.installed()
    told: dict[str, Any] = {
        "tick": cost,
        "query_range": asked(keeper, options.rounds, beside=beside),
        "messages": overhead(options.rounds),
    }
    goals = (  # the least of each: what others do at the time only adds
        Goal("a tick of 100 series, of 1 ms", cost["tick_ms"], 1.0),
        Goal("a node's rings, of 1 MB", cost["rings_mb"], 1.0),
        Goal(
            "a message with meters, of one without",
            told["messages"]["least_ratio"],
            1.05,
        ),
    )
    told["goals"] = {one.name: round(one.ratio, 3) for one in goals}
    text = json.dumps(told, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text)
    return 0 if all(one.kept for one in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
