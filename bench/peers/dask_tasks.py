"""Dask distributed: the submitter. BENCH_DASK names the scheduler's file.

Dask keeps everything in memory: a scheduler that stops has lost the tasks.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import measure
from distributed import Client


def noop(number: int) -> int:
    return number


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[measure.Many, measure.One]]:
    client = Client(scheduler_file=os.environ["BENCH_DASK"], timeout=60)

    async def many(numbers: Sequence[int]) -> Sequence[int]:
        return client.gather(client.map(noop, numbers, pure=False))

    async def one(number: int) -> int:
        return client.submit(noop, number, pure=False).result(timeout=120)

    try:
        client.wait_for_workers(2, timeout=60)
        yield many, one
    finally:
        client.close()


if __name__ == "__main__":
    measure.main(opened)
