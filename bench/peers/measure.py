"""What every contestant's submitter does; the standard library alone.

Runs in the environments of the peers as well as in ours. The parent reads one JSON object
a line: `{"phase": NAME}` when a phase begins, and the figures at the end.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager

Many = Callable[[Sequence[int]], Awaitable[Sequence[int]]]
"""Submit tasks with these numbers, as many at once as may be, and know their results."""
One = Callable[[int], Awaitable[int]]
"""Submit one task and know its result."""
Opened = AbstractAsyncContextManager[tuple[Many, One]]


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def quantiles(took_ms: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(statistics.median(took_ms), 3),
        "p99_ms": round(quantile(took_ms, 0.99), 3),
    }


def tell(**told: object) -> None:
    print(json.dumps(told), flush=True)


async def measured(
    many: Many, one: One, given: argparse.Namespace
) -> dict[str, float | int]:
    """Warm up; then one task after the other; then all of them at once."""
    tell(phase="warm-up")
    warm = range(given.warm_up)
    assert list(await many(warm)) == list(warm), "a result is another task's"
    for number in range(min(20, given.alone)):
        await one(number)
    tell(phase="alone")
    took_ms: list[float] = []
    for number in range(given.alone):
        began = time.perf_counter()
        result = await one(number)
        took_ms.append((time.perf_counter() - began) * 1000)
        assert result == number, "a result is another task's"
    tell(phase="many")
    began = time.perf_counter()
    results = await many(range(given.tasks))
    took = time.perf_counter() - began
    tell(phase="over")
    assert list(results) == list(range(given.tasks)), "a result is another task's"
    return {"tasks_s": round(given.tasks / took, 1), **quantiles(took_ms)}


def conversation_arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--alone", type=int, default=1000)
    parser.add_argument("--many", type=int, default=5000)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--bytes", type=int, default=100)
    return parser


async def conversation(
    one: Callable[[str], Awaitable[str]], given: argparse.Namespace
) -> None:
    """Ask and be answered: one question after the other, then `at_once` at a time."""
    text = "x" * given.bytes

    async def some(left: Iterator[int]) -> None:
        for _ in left:
            assert await one(text) == text, "another answer"

    async def at_once(count: int) -> None:
        left = iter(range(count))
        await asyncio.gather(*(some(left) for _ in range(given.at_once)))

    await at_once(200)
    took_ms: list[float] = []
    for _ in range(given.alone):
        began = time.perf_counter()
        answer = await one(text)
        took_ms.append((time.perf_counter() - began) * 1000)
        assert answer == text, "another answer"
    tell(phase="many")
    began = time.perf_counter()
    await at_once(given.many)
    took = time.perf_counter() - began
    tell(phase="over")
    tell(figures={"asked_s": round(given.many / took, 1), **quantiles(took_ms)})


def main(opened: Callable[[], Opened]) -> None:
    """Measure what `opened` opens, and tell the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, required=True)
    parser.add_argument("--alone", type=int, required=True)
    parser.add_argument("--warm-up", type=int, required=True)
    given = parser.parse_args()

    async def run() -> None:
        async with opened() as (many, one):
            tell(figures=await measured(many, one, given))

    asyncio.run(run())
