"""Work that has an end by the clock of the ports, so a test can move it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from nexa_node.contract.errors import Unavailable
from nexa_node.ports import Clock

T = TypeVar("T")


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Do `work`, but for no longer than `seconds`; then it is cancelled.

    Raises:
        Unavailable: It took too long. It may have had its effect all the same.
    """
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_outcome(work))
        timer = group.create_task(clock.sleep(max(0.0, seconds)))
        await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        if not task.done():
            task.cancel()
    if task.cancelled():
        raise Unavailable(f"no answer within {seconds:.1f} s")
    value, error = task.result()
    if error is not None:
        raise error
    return value[0]


async def _outcome(
    work: Coroutine[Any, Any, T],
) -> tuple[tuple[T, ...], Exception | None]:
    """What came of it, as a value: an error would end the group that waits for it."""
    try:
        return (await work,), None
    except Exception as error:  # noqa: BLE001  raised anew by the caller
        return (), error
