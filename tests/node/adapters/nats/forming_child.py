"""A lone store that forms a cluster and is killed in the named phase."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec

from nexa_node.adapters.nats.config import Member
from tests.node.adapters.nats.tools import opened


async def main(folder: Path, phase: str, member: Member) -> None:
    async def commit(_: Member) -> None:
        (folder / "committed").touch()

    async with opened(folder) as store:
        async for growth in store.forming(member, commit):
            if growth.phase == phase:
                os.kill(os.getpid(), signal.SIGKILL)


told = msgspec.json.decode(
    sys.argv[3], type=Member, dec_hook=lambda kind, text: kind(text)
)
asyncio.run(main(Path(sys.argv[1]), sys.argv[2], told))
