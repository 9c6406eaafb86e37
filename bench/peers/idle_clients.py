"""Connections that do nothing once they are open: to a node, or to an echo server.

Tells when it began and when all were open, by the machine's monotonic clock, and keeps
them open until it is terminated.
"""

import argparse
import asyncio
import time
from contextlib import AsyncExitStack

import measure
from nexa_wire import Line
from websockets.asyncio.client import connect


async def main(given: argparse.Namespace) -> None:
    left = iter(range(given.count))
    async with AsyncExitStack() as stack:

        async def one(number: int) -> None:
            """Open one, and have one answer on it."""
            if given.echo is None:
                name = f"{given.name}-{number}"
                await stack.enter_async_context(Line(name, slots=1))
                return
            socket = await stack.enter_async_context(
                connect(given.echo, compression=None, proxy=None)
            )
            await socket.send("x" * 200)
            await socket.recv()

        async def some() -> None:
            for number in left:
                await one(number)

        began = time.monotonic()
        await asyncio.gather(*(some() for _ in range(given.at_once)))
        measure.tell(began=began, over=time.monotonic(), open=given.count)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument(
        "--echo", help="an echo server's URL; otherwise NEXA_URL's node"
    )
    asyncio.run(main(parser.parse_args()))
