"""Run blocking work beside the loop, so that quitting never waits for it.

asyncio's own executor is joined at the end of the loop: a node that takes thirty
seconds to start would hold the terminal as long.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def beside(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own, that ends with the process if it must.

    Raises:
        Exception: What `work` raised.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(answer: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(answer)  # pyright: ignore[reportArgumentType]  # None is T's

    def run() -> None:
        answer, failure = None, None
        try:
            answer = work()
        except Exception as error:  # noqa: BLE001 - raised again where it is awaited
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(settle, answer, failure)

    threading.Thread(target=run, daemon=True, name="nexa-beside").start()
    return await done
