"""T14 on a real node: one agent sends a hundred times as much as each of the others.

    python -m pytest tests/system/test_t14_one_loud_agent.py -m slow -n0 -s

It has the same rights as they, and lives in a process of its own. What it sends beyond its
pace is refused one by one; it hears so, and goes on.
"""

import asyncio
import collections
import contextlib
import itertools
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median

import pytest

from nexa_tui.client.discovery import Target
from tests.system.churn import Neighbour
from tests.system.conftest import Shell
from tests.system.test_t09_flood import p99_ms

OTHERS, PER_S, TIMES = 4, 10, 100
ROUNDS, SECONDS = 2, 12

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Sender(Neighbour):
    """An agent that sends messages at a pace, and waits for each answer."""

    async def _work(self) -> None:
        began = time.monotonic()
        for number in itertools.count():
            await self.call("message.send", message(number))
            late = began + number / PER_S - time.monotonic()
            await asyncio.sleep(max(0.0, late))


class Loud(Neighbour):
    """One that waits for nothing."""

    async def _work(self) -> None:
        print("ready", flush=True)
        heard = asyncio.ensure_future(self._hear())
        began = time.monotonic()
        for number in itertools.count():
            frame = {"jsonrpc": "2.0", "id": number, "method": "message.send"}
            await self.socket.send(json.dumps({**frame, "params": message(number)}))
            late = began + number / (PER_S * TIMES) - time.monotonic()
            if late > 0:
                await asyncio.sleep(late)
            if heard.done():
                heard.result()

    async def _hear(self) -> None:
        """Count the answers: so many a second were taken, so many refused."""
        counts: collections.Counter[str] = collections.Counter()
        said = time.monotonic()
        async for frame in self.socket:
            counts["refused" if "error" in json.loads(frame) else "taken"] += 1
            if time.monotonic() - said > 1:
                said = time.monotonic()
                print(json.dumps(counts), flush=True)


def message(number: int) -> dict[str, object]:
    return {"to": {"topic": "noise"}, "type": "note", "data": f"{number:>200}"}


@asynccontextmanager
async def shouting(port: int, token: str) -> AsyncGenerator[dict[str, int]]:
    """One that is loud; what became of its messages is there in the end."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.system.test_t14_one_loud_agent", str(port),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    counts: dict[str, int] = {}
    try:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(f"{token}\n".encode())
        assert await asyncio.wait_for(program.stdout.readline(), 60) == b"ready\n"
        yield counts
        assert program.returncode is None
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
        rest, _ = await program.communicate()
    counts.update(json.loads(rest.splitlines()[-1]))


async def test_a_hundredfold_sender_slows_the_others_to_twice_at_most(
    shell: Shell, node: Target
) -> None:
    token = shell("token", "create", "--role", "agent", "--json").json()["token"]
    port = int(node.url.rpartition(":")[2])
    quiet: list[float] = []
    loud: list[float] = []
    counts: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        others = [
            await stack.enter_async_context(Sender.at_work(port, token, f"other-{n}"))
            for n in range(OTHERS)
        ]
        async with shouting(port, token):  # what happens once happens now
            await asyncio.sleep(3)
        for _ in range(ROUNDS):
            quiet += await heard(others)
            async with shouting(port, token) as counts:
                loud += await heard(others)

    without, under = p99_ms(quiet), p99_ms(loud)
    print(
        f"\n{len(quiet)} messages alone: p99 {without:.1f} ms; {len(loud)} beside one"
        f" that sends {TIMES} times as many: p99 {under:.1f} ms; medians"
        f" {median(quiet) * 1000:.1f} {median(loud) * 1000:.1f} ms; of the loud one's {counts}"
    )
    sent = counts["taken"] + counts["refused"]
    assert sent > OTHERS * TIMES * PER_S
    assert counts["taken"] < sent / 4
    assert under <= 2 * without


async def heard(others: list[Sender]) -> list[float]:
    """How long each answer took that the others got from now on, in seconds."""
    for each in others:
        each.seconds.clear()
    await asyncio.sleep(SECONDS)
    return [took for each in others for took in each.seconds]


async def shout(port: int, token: str) -> None:
    async with Loud.at_work(port, token, "loud"):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(shout(int(sys.argv[1]), sys.stdin.readline().strip()))
