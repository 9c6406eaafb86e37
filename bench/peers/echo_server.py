"""A bare server of the `websockets` library that sends back what it is sent."""

import argparse
import asyncio

import measure
from websockets.asyncio.server import ServerConnection, serve


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    # As the node: no compression, a ping every 25 s.
    async with serve(
        echo, "127.0.0.1", given.port, compression=None, ping_interval=25, backlog=2048
    ):
        measure.tell(ready=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
