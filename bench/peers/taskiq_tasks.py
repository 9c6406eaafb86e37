"""taskiq with JetStream as its broker and for its results: workers' module and submitter.

BENCH_NATS says where the nats-server is. A result can only be asked for: `wait_result`
asks every 0.2 s by default and fetches what it found a second time. Here `get_result`
alone is asked, every millisecond, and of many tasks the ASKS oldest. The push broker
takes no part: its queue hands tasks to whoever submits, too, who then drops them.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import measure
from taskiq import AsyncTaskiqTask, ResultGetError
from taskiq_nats import NATSObjectStoreResultBackend, PullBasedJetStreamBroker

SERVERS = [os.environ["BENCH_NATS"]]
SENDS = 128
ASKS = 64
"""The fastest of 1, 4, 16, 64, 128 and 256."""
ASK_S = 0.001
WAIT_S = 120.0

broker = PullBasedJetStreamBroker(
    servers=SERVERS,
    stream_name="bench",
    pull_consume_batch=64,  # faster than the default of one
    pull_consume_timeout=1.0,
).with_result_backend(NATSObjectStoreResultBackend(servers=SERVERS))


@broker.task(task_name="noop")
async def noop(number: int) -> int:
    return number


async def many(numbers: Sequence[int]) -> Sequence[int]:
    sending, asking = asyncio.Semaphore(SENDS), asyncio.Semaphore(ASKS)

    async def do(number: int) -> int:
        async with sending:
            sent = await noop.kiq(number)
        async with asking:
            return await _result(sent)

    return await asyncio.gather(*(do(number) for number in numbers))


async def one(number: int) -> int:
    return await _result(await noop.kiq(number))


async def _result(sent: AsyncTaskiqTask[int]) -> int:
    until = time.monotonic() + WAIT_S
    while True:
        try:
            return (await sent.get_result()).return_value
        except ResultGetError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(ASK_S)


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[measure.Many, measure.One]]:
    await broker.startup()
    try:
        yield many, one
    finally:
        await broker.shutdown()


if __name__ == "__main__":
    measure.main(opened)
