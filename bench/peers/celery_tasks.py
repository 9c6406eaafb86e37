"""Celery with Redis as its broker and for its results: worker's module and submitter.

BENCH_REDIS says where Redis is; BENCH_DURABLE makes a task acknowledged after its work,
as every at-least-once queue does, instead of before it, as Celery does by default.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import measure
from celery import Celery

app = Celery(
    "celery_tasks",
    broker=f"{os.environ['BENCH_REDIS']}/0",
    backend=f"{os.environ['BENCH_REDIS']}/1",
)
app.conf.task_acks_late = bool(os.environ.get("BENCH_DURABLE"))
WAIT_S = 120


@app.task(name="noop")
def noop(number: int) -> int:
    return number


async def many(numbers: Sequence[int]) -> Sequence[int]:
    sent = [noop.delay(number) for number in numbers]  # faster than a group
    return [each.get(WAIT_S) for each in sent]


async def one(number: int) -> int:
    return noop.delay(number).get(WAIT_S)


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[measure.Many, measure.One]]:
    yield many, one


if __name__ == "__main__":
    measure.main(opened)
