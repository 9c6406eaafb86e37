"""A node that is only a store: run as a program, to be killed by a test."""

import asyncio
import sys
from pathlib import Path

from tests.node.adapters.nats.tools import opened


async def main(folder: Path) -> None:
    async with opened(folder) as store:
        print(store.health().pid, flush=True)
        await asyncio.sleep(600)


asyncio.run(main(Path(sys.argv[1])))
