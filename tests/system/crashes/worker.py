"""An agent of a trial: squares numbers, and writes down each execution.

python -m tests.system.crashes.worker ID LOG SLOTS     (NEXA_URL, NEXA_TOKEN)
"""

import asyncio
import os
import sys
import time
from pathlib import Path

import msgspec

from nexa_node.agent import Agent, Job, Timing
from tests.system.crashes.facts import CAPABILITY, Executed, Log, Outcome

SOON = Timing(backoff_base=0.1, backoff_cap=0.5)
"""The library's own waits for up to half a minute would be most of a trial."""


async def main(name: str, path: Path, slots: int) -> None:
    log = Log(path)
    agent = Agent(name, slots=slots, encoding="msgpack", timing=SOON)

    @agent.task(CAPABILITY)
    async def square(job: Job) -> object:
        began = time.monotonic()
        number, work_ms = job.data["number"], job.data["work_ms"]
        await asyncio.sleep(work_ms / 1000)  # the work
        log.add(
            Executed(
                at=time.monotonic(),
                id=job.id,
                claim_epoch=job.claim_epoch,
                agent=name,
                pid=os.getpid(),
                started=began,
            )
        )
        return msgspec.to_builtins(Outcome(number**2, job.claim_epoch, name))

    await agent.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
