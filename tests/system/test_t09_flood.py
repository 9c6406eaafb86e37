"""T9 on a real node: what a flood of strangers costs it, and those who work meanwhile.

    python -m pytest tests/system/test_t09_flood.py -m slow -n0 -s

Strangers keep as many places as there are for them, and others come and go at a rate.
They live in a process of their own.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median

import psutil
import pytest

from nexa_tui.client.discovery import Target
from tests.system.churn import Churn, Neighbour
from tests.system.conftest import Shell

MIB = 1024 * 1024
SECONDS, PER_S, HELD = 20, 200, 400

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Strangers(Churn):
    """Nobody among them has a token."""

    def kinds(self):
        return [
            self.opened_and_closed,
            self.half_a_header,
            self.nonsense,
            self.without_hello,
            self.mid_frame,
            self.garbage_for_hello,
        ]

    async def flood(self) -> None:
        """Keep places with half a header each, and come and go so many times a second."""
        kinds = self.kinds()
        async with AsyncExitStack() as stack:
            for _ in range(HELD):
                _, writer = await stack.enter_async_context(self.dialled())
                writer.write(b"GET /v1/agent HTTP/1.1\r\nHost: local")
            print("ready", flush=True)
            under_way: set[asyncio.Task[None]] = set()
            began = time.monotonic()
            for number in range(10**9):
                task = asyncio.ensure_future(self.visit(kinds[number % len(kinds)]))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                late = began + number / PER_S - time.monotonic()
                await asyncio.sleep(max(0.0, late))

    async def visit(self, kind) -> None:
        with contextlib.suppress(OSError, EOFError):
            await kind()


@asynccontextmanager
async def flooded(port: int) -> AsyncIterator[None]:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.system.test_t09_flood", str(port),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        assert program.stdout is not None
        assert await asyncio.wait_for(program.stdout.readline(), 60) == b"ready\n"
        yield
        assert program.returncode is None
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
        await program.wait()


async def test_a_flood_of_strangers_slows_neighbours_to_twice_at_most(
    shell: Shell, node: Target
) -> None:
    token = shell("token", "create", "--role", "agent", "--json").json()["token"]
    assert node.pid is not None
    port, process = int(node.url.rpartition(":")[2]), psutil.Process(node.pid)
    async with Neighbour.at_work(port, token) as neighbour:
        async with flooded(port):  # what is allocated once, and kept, is no growth
            await asyncio.sleep(5)
        await asyncio.sleep(1)
        quiet, loud, grown, cpu = [], [], 0.0, 0.0
        for _ in range(2):
            neighbour.seconds.clear()
            await asyncio.sleep(SECONDS / 2)
            quiet += neighbour.seconds
            before, spent = process.memory_info().rss, sum(process.cpu_times()[:2])
            async with flooded(port):
                neighbour.seconds.clear()
                await asyncio.sleep(SECONDS / 2)
                loud += neighbour.seconds
                cpu += sum(process.cpu_times()[:2]) - spent
                grown = max(grown, (process.memory_info().rss - before) / MIB)

    without, under = p99_ms(quiet), p99_ms(loud)
    print(
        f"\n{len(quiet)} calls without a flood: p99 {without:.1f} ms;"
        f" {len(loud)} under it: p99 {under:.1f} ms; {grown:+.1f} MiB,"
        f" {cpu:.1f} s of CPU; medians {median(quiet):.4f} {median(loud):.4f} s"
    )
    assert len(loud) > 100
    assert grown <= 20
    assert under <= 2 * without


def p99_ms(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)] * 1000


if __name__ == "__main__":
    asyncio.run(Strangers(int(sys.argv[1]), "").flood())
