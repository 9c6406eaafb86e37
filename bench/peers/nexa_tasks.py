"""nexa through its public agent protocol: an agent that does nothing, and the submitter.

NEXA_URL and NEXA_TOKEN say where the node is. `nexa_tasks.py --agent NAME` is a worker.
"""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import measure
from nexa_wire import Line, Refused

CAPABILITY = "noop"
SLOTS = 64
AT_ONCE = 64
"""Submissions in one frame; two frames are on their way at a time."""
ASK_S = 0.001
WORKERS = 2
WAIT_S = 120.0


async def work(name: str) -> None:
    """Be an agent: accept and complete in one frame, with all that came together."""
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def completed(answer: "asyncio.Future[Any]") -> None:
        if not answer.cancelled() and answer.exception() and not over.done():
            over.set_exception(answer.exception() or RuntimeError())

    def heard(method: str, params: dict[str, Any], number: int | str | None) -> None:
        if method != "task.assign" or number is None:
            return
        task = params["task"]
        line.answer(number, {"accepted": True})
        done = {"id": task["id"], "claim_epoch": params["claim_epoch"]}
        answer = line.call("task.complete", done | {"result": task["data"]})
        answer.add_done_callback(completed)

    line = Line(name, heard=heard, slots=SLOTS, capabilities=[{"name": CAPABILITY}])
    async with line:
        await over


class Submitter:
    """Submits, and learns of results: by watching all of the capability's tasks."""

    def __init__(self) -> None:
        self.line = Line("submitter", heard=self._heard, slots=0)
        self._results: dict[str, asyncio.Future[int]] = {}
        self._unknown: deque[str] = deque()
        self._watches = False

    async def begin(self) -> None:
        while len((await self._found())["agents"]) < WORKERS:
            await asyncio.sleep(0.05)
        try:
            watch = {"type": CAPABILITY, "status": "completed"}
            await self.line.call("task.watch", watch)
            self._watches = True
        except Refused as error:
            print(f"results are asked for: {error}", file=sys.stderr)
        measure.tell(figures={"by_watch": float(self._watches)})

    async def many(self, numbers: Sequence[int]) -> Sequence[int]:
        async with asyncio.TaskGroup() as group:
            asker = None if self._watches else group.create_task(self._ask())
            left = iter(range(0, len(numbers), AT_ONCE))
            waiting: dict[int, list[Awaitable[int]]] = {}

            async def submit() -> None:
                for start in left:
                    waiting[start] = await self._submit(numbers[start:][:AT_ONCE])

            await asyncio.gather(submit(), submit())
            async with asyncio.timeout(WAIT_S):
                results = [await each for at in sorted(waiting) for each in waiting[at]]
            if asker is not None:
                asker.cancel()
        return results

    async def one(self, number: int) -> int:
        if self._watches:
            return await (await self._submit([number]))[0]
        new = {"type": CAPABILITY, "data": number}
        task_id = (await self.line.call("task.submit", new))["id"]
        while True:
            task = await self.line.call("task.get", {"id": task_id})
            if task["status"] == "completed":
                return task["result"]
            await asyncio.sleep(ASK_S)

    async def _submit(self, numbers: Sequence[int]) -> list[Awaitable[int]]:
        new = ({"type": CAPABILITY, "data": number} for number in numbers)
        answers = await self.line.calls("task.submit", new)
        self._unknown.extend(answer["id"] for answer in answers)
        return [self._result(answer["id"]) for answer in answers]

    def _result(self, task_id: str) -> "asyncio.Future[int]":
        """The result may be told before the submission is answered, or after it."""
        if task_id not in self._results:
            self._results[task_id] = asyncio.get_running_loop().create_future()
        return self._results[task_id]

    def _heard(self, method: str, params: dict[str, Any], _: object) -> None:
        if method == "task.update":
            self._learn(params["task"])

    def _learn(self, task: dict[str, Any]) -> bool:
        if task["status"] != "completed":
            return False
        result = self._result(task["id"])
        if not result.done():
            result.set_result(task["result"])
        return True

    async def _ask(self) -> None:
        """Without a watch: ask for the oldest, until all are known."""
        while True:
            some = [self._unknown.popleft() for _ in range(min(64, len(self._unknown)))]
            tasks = await self.line.calls("task.get", ({"id": each} for each in some))
            left = [task["id"] for task in tasks if not self._learn(task)]
            self._unknown.extendleft(reversed(left))
            if len(left) == len(some):
                await asyncio.sleep(ASK_S * 5)

    def _found(self) -> Awaitable[Any]:
        return self.line.call("agents.find", {"capability": CAPABILITY})


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[measure.Many, measure.One]]:
    submitter = Submitter()
    async with submitter.line:
        await submitter.begin()
        yield submitter.many, submitter.one


if __name__ == "__main__":
    if sys.argv[1] == "--agent":
        asyncio.run(work(sys.argv[2]))
    else:
        measure.main(opened)
