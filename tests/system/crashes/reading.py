"""Every record of a trial, read from the node when all is over."""

import asyncio
import time
from collections.abc import Iterable, Iterator

from nexa_node.agent import Agent, Task
from nexa_node.contract.errors import NotFound
from nexa_node.contract.frames import TaskQuery
from nexa_node.contract.tasks import FINISHED
from tests.system.crashes.facts import CAPABILITY
from tests.system.crashes.worker import SOON

AT_ONCE = 48
PAGE = 500


async def read_all(
    url: str, token: str, acknowledged: Iterable[str], *, settle_s: float
) -> dict[str, Task | None]:
    """Read what was acknowledged and what is listed; None where there is no record.

    Unfinished ones are read again until they are finished, for at most `settle_s`.
    """
    agent = Agent("crash-reader", url=url, token=token, encoding="msgpack", timing=SOON)
    records: dict[str, Task | None] = {}
    end = time.monotonic() + settle_s
    async with agent:
        wanted = {*acknowledged, *await _listed(agent)}
        while wanted:
            records.update(await _read(agent, wanted))
            wanted = {
                one
                for one in wanted
                if (task := records[one]) and task.status not in FINISHED
            }
            if time.monotonic() > end:
                break
            await asyncio.sleep(0.2 if wanted else 0)
    return records


async def _listed(agent: Agent) -> set[str]:
    found: set[str] = set()
    query = TaskQuery(type=CAPABILITY, limit=PAGE)
    while True:
        page = await agent.tasks(query)
        found.update(one.id for one in page.tasks)
        if page.cursor is None:
            return found
        query = TaskQuery(type=CAPABILITY, limit=PAGE, cursor=page.cursor)


async def _read(agent: Agent, wanted: Iterable[str]) -> dict[str, Task | None]:
    records: dict[str, Task | None] = {}

    async def read(todo: Iterator[str]) -> None:
        for one in todo:
            try:
                records[one] = await agent.get(one)
            except NotFound:
                records[one] = None

    shared = iter(list(wanted))
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(read(shared))
    return records
