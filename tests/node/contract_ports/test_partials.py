"""What partial results between nodes promise, of every store."""

import asyncio
from typing import Any

from nexa_node.adapters.nats.partials import NatsPartials
from nexa_node.ports import PartialResult
from tests import builders


def partial(number: int, node: str = "beta") -> PartialResult:
    task = builders.task("t", status="running", data=None)
    return PartialResult(node=node, task=task, partial={"part": number})


async def other_node(world: Any) -> Any:
    """The same port as another node has it."""
    if not isinstance(world.store.partials, NatsPartials):
        return world.store.partials
    there = NatsPartials()
    connection = world.store._connection
    there.use(connection)
    session = await connection.session(connection.deadline())
    there.attach(session)
    await session.barrier()
    return there


async def test_what_a_node_tells_the_others_hear_in_order(world: Any) -> None:
    there = await other_node(world)
    heard = there.arrivals()
    for number in range(50):
        await world.store.partials.send(partial(number))

    async with asyncio.timeout(10):
        told = [await anext(heard) for _ in range(50)]
    assert told == [partial(number) for number in range(50)]


async def test_nobody_need_listen(world: Any) -> None:
    await world.store.partials.send(partial(1))
