"""Dramatiq with Redis as its broker and for its results: workers' module and submitter.

BENCH_REDIS says where Redis is.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import dramatiq
import measure
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=f"{os.environ['BENCH_REDIS']}/0")
results = RedisBackend(url=f"{os.environ['BENCH_REDIS']}/1")
broker.add_middleware(Results(backend=results))
dramatiq.set_broker(broker)
WAIT_MS = 120_000


@dramatiq.actor(store_results=True, max_retries=0)
def noop(number: int) -> int:
    return number


async def many(numbers: Sequence[int]) -> Sequence[int]:
    sent = [noop.send(number) for number in numbers]
    return [each.get_result(block=True, timeout=WAIT_MS) for each in sent]


async def one(number: int) -> int:
    return noop.send(number).get_result(block=True, timeout=WAIT_MS)


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[measure.Many, measure.One]]:
    yield many, one


if __name__ == "__main__":
    measure.main(opened)
