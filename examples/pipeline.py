"""Three agents in a row: `report` asks `split`, and `count` for each part.

Each gives its work on as child tasks, so that `nexa task list` shows where a report
stands, and any of them may run on another machine, or die, without the others noticing.
"""

import argparse
import asyncio
from typing import Any

from nexa_node.agent import Agent, Failed, Job

PART_LINES = 50


def splitter(id: str) -> Agent:  # noqa: A002
    """Cuts a text into parts."""
    agent = Agent(id)

    @agent.task("split")
    async def split(job: Job) -> list[str]:
        if not isinstance(job.data, str):
            raise Failed("the data is no text", retryable=False)
        lines = job.data.splitlines()
        return [
            "\n".join(lines[start : start + PART_LINES])
            for start in range(0, len(lines), PART_LINES)
        ]

    return agent


def counter(id: str) -> Agent:  # noqa: A002
    """Counts the words of one part; two at once."""
    agent = Agent(id, slots=2)

    @agent.task("count")
    async def count(job: Job) -> dict[str, int]:
        words = str(job.data).split()
        return {"words": len(words), "longest": max(map(len, words), default=0)}

    return agent


def reporter(id: str) -> Agent:  # noqa: A002
    """Puts a report together, and tells a topic how far it is."""
    agent = Agent(id)

    @agent.task("report")
    async def report(job: Job) -> dict[str, Any]:
        parts = await agent.do("split", job.data, parent=job.id)
        counted: list[dict[str, int]] = []
        for number, part in enumerate(parts, 1):
            counted.append(await agent.do("count", part, parent=job.id))
            await job.progress(pct=100 * number / len(parts))
            told = {"report": job.id, "part": number, "of": len(parts)}
            await agent.publish("pipeline.progress", "part.counted", told)
        return {
            "parts": len(parts),
            "words": sum(each["words"] for each in counted),
            "longest": max((each["longest"] for each in counted), default=0),
        }

    return agent


async def run(prefix: str) -> None:
    """Run all three in this process; each could be one of its own."""
    agents = [
        splitter(f"{prefix}-split"),
        counter(f"{prefix}-count"),
        reporter(f"{prefix}-report"),
    ]
    async with asyncio.TaskGroup() as group:
        for number, agent in enumerate(agents):
            group.create_task(agent.run(signals=number == 0))
            if number:
                group.create_task(_follow(agents[0], agent))


async def _follow(leader: Agent, agent: Agent) -> None:
    """Stop with the leader: it is the one that hears Ctrl-C."""
    while True:
        try:
            await leader.stopped()
        except Exception:  # noqa: BLE001  # not running yet, or not any more
            await asyncio.sleep(0.1)
            continue
        agent.stop()
        return


def main() -> None:
    """Run until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefix", default="pipeline", help="of the agents' ids")
    asyncio.run(run(parser.parse_args().prefix))


if __name__ == "__main__":
    main()
