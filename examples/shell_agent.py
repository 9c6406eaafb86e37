"""An agent that runs programs from a list that are allowed: never a shell.

The task's data is the words of the command, `["df", "-h"]`. Each line of output is told
at once to whoever watches; a task that is called off, or whose time is over, takes its
program with it.
"""

import argparse
import asyncio
import os
import signal
from contextlib import suppress
from typing import Any

import msgspec

from nexa_node.agent import Agent, Failed, Job

KEPT_BYTES = 100_000
"""Of the output, the newest: a result is at most 256 KiB."""


def make_agent(id: str, allowed: set[str], *, slots: int) -> Agent:  # noqa: A002
    """An agent with the capability `shell`."""
    agent = Agent(id, slots=slots)

    @agent.task("shell")
    async def run(job: Job) -> dict[str, object]:
        words = _command(job.data, allowed)
        child = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        output = b""
        try:
            assert child.stdout is not None
            async for line in child.stdout:
                output = (output + line)[-KEPT_BYTES:]
                await job.progress(partial=line.decode(errors="replace"))
            code = await child.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        text = output.decode(errors="replace")
        if code != 0:
            raise Failed({"exit": code, "output": text[-2000:]}, retryable=False)
        return {"exit": code, "output": text}

    return agent


def _command(data: Any, allowed: set[str]) -> list[str]:
    try:
        words = msgspec.convert(data, list[str])
        program = words[0]
    except (msgspec.ValidationError, IndexError) as error:
        raise Failed('the data is no command: ["df", "-h"]', retryable=False) from error
    if program not in allowed:
        there = ", ".join(sorted(allowed))
        told = f"{program!r} is not allowed here; there are: {there}"
        raise Failed(told, retryable=False)
    return words


def main() -> None:
    """Run until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--allow", action="append", required=True, metavar="PROGRAM")
    parser.add_argument("--id", default="shell-1")
    parser.add_argument("--slots", type=int, default=2)
    options = parser.parse_args()
    agent = make_agent(options.id, set(options.allow), slots=options.slots)
    asyncio.run(agent.run())


if __name__ == "__main__":
    main()
