"""Running handlers: asynchronous ones on the author's loop, others in threads.

Everything here runs on the author's event loop.
"""

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nexa_node.agent.claims import Claim
from nexa_node.agent.job import Failed, Handler, Job
from nexa_node.agent.link import Link
from nexa_node.agent.work import Outcome
from nexa_node.contract.errors import NexaError
from nexa_node.contract.frames import DATA_LIMIT, Complete, Fail, Release
from nexa_node.contract.tasks import Json, Usage

_log = logging.getLogger("nexa.agent")


class Jobs:
    """The handlers that run now, and what becomes of each."""

    def __init__(self, handlers: Mapping[str, Handler], link: Link) -> None:
        """Run `handlers`, by capability, for what `link` brings."""
        self._handlers = handlers
        self._link = link
        self._running: dict[Claim, asyncio.Task[None]] = {}
        self._threaded: set[Claim] = set()

    def start(self, claim: Claim) -> None:
        """Run the handler of a task that was accepted."""
        task = asyncio.get_running_loop().create_task(self._run(claim))
        self._running[claim] = task

    def revoke(self, claim: Claim) -> None:
        """Interrupt the handler; one in a thread has to notice by itself."""
        task = self._running.get(claim)
        if task is not None and claim not in self._threaded:
            # Not now: a task that is cancelled before its first step runs no line of
            # its coroutine, so nobody would be told, and its slot would be lost.
            asyncio.get_running_loop().call_soon(task.cancel)

    async def finish(
        self, grace: float, *, hurry: asyncio.Event, patience: float
    ) -> None:
        """Let what runs end within `grace` seconds; give back what does not.

        `hurry` ends the grace. Interrupted handlers get `patience` seconds more to
        clean up; handlers in threads are left alone, they cannot be interrupted.
        """
        await self._wait(list(self._running.values()), grace, hurry)
        for claim in list(self._running):
            claim.cancellation.set("stopping")
            self.revoke(claim)
            if claim in self._threaded:
                self._settle(claim, _release(claim))
        interrupted = [
            task for claim, task in self._running.items() if claim not in self._threaded
        ]
        await self._wait(interrupted, patience, None)
        for claim in list(self._running):
            self._settle(claim, _release(claim))

    async def _wait(
        self,
        tasks: "list[asyncio.Task[None]]",
        timeout: float,
        hurry: asyncio.Event | None,
    ) -> None:
        if not tasks:
            return
        loop = asyncio.get_running_loop()
        all_done = loop.create_task(_wait_for_all(tasks))
        waiting: list[asyncio.Task[None]] = [all_done]
        if hurry is not None:
            waiting.append(loop.create_task(_wait_for(hurry)))
        await asyncio.wait(
            waiting, timeout=max(0.0, timeout), return_when=asyncio.FIRST_COMPLETED
        )
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _run(self, claim: Claim) -> None:
        outcome: Outcome | None = _release(claim)
        try:
            outcome = await self._outcome(claim)
        finally:
            self._running.pop(claim, None)
            self._threaded.discard(claim)
        self._settle(claim, outcome)

    async def _outcome(self, claim: Claim) -> Outcome | None:
        job = Job(claim, self._news)
        try:
            result = await self._call(claim, job)
            return _completed(claim, result, job)
        except asyncio.CancelledError:
            return _interrupted(claim)
        except Failed as failed:
            return _failed(
                claim, failed.error, retryable=failed.retryable, usage=job.usage
            )
        except NexaError as error:
            if job.cancelled:
                return _interrupted(claim)
            return _failed(
                claim, error.message, retryable=error.retryable, usage=job.usage
            )
        except Exception as error:  # noqa: BLE001  # the author's code may raise anything
            _log.exception("task %s: the handler failed", claim.task.id)
            told = f"{type(error).__name__}: {error}"
            return _failed(claim, told, retryable=True, usage=job.usage)

    async def _call(self, claim: Claim, job: Job) -> Json:
        handler = self._handlers[job.type]
        if _is_async(handler):
            answer: Any = handler(job)
            return await answer
        self._threaded.add(claim)
        return await _in_thread(lambda: handler(job), name=f"nexa-task-{job.id}")

    def _news(self, claim: Claim, news: Any) -> None:
        self._link.post(self._link.work.news, claim, news)

    def _settle(self, claim: Claim, outcome: Outcome | None) -> None:
        self._link.post(self._link.work.settle, claim, outcome)


async def _wait_for_all(tasks: "list[asyncio.Task[None]]") -> None:
    await asyncio.wait(tasks)


async def _wait_for(event: asyncio.Event) -> None:
    await event.wait()


def _is_async(handler: Handler) -> bool:
    call = getattr(handler, "__call__", handler)  # noqa: B004  # objects may be handlers
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)


async def _in_thread(function: Callable[[], Any], *, name: str) -> Any:
    """Run `function` in a thread of its own, which never keeps the process alive."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def deliver(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    def run() -> None:
        result: Any = None
        failure: BaseException | None = None
        try:
            result = function()
        except Exception as error:  # noqa: BLE001  # it belongs to the caller
            failure = error
        except BaseException as error:  # noqa: BLE001  # sys.exit() ends no agent
            failure = RuntimeError(f"the handler raised {error!r}")
        if isinstance(failure, StopIteration):  # which no future can hold
            failure = RuntimeError(f"the handler raised {failure!r}")
        try:
            loop.call_soon_threadsafe(deliver, result, failure)
        except RuntimeError:
            _log.warning("%s ended after its agent", name)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future


def _completed(claim: Claim, result: Json, job: Job) -> Outcome:
    try:
        size = len(msgspec.json.encode(result))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        message = f"the handler's result is nothing JSON can hold: {error}"
        return _failed(claim, message, retryable=False, usage=job.usage)
    if size > DATA_LIMIT:
        message = f"the result has {size} bytes; {DATA_LIMIT} are allowed"
        return _failed(claim, message, retryable=False, usage=job.usage)
    return Complete(
        id=claim.task.id, claim_epoch=claim.epoch, result=result, usage=job.usage
    )


def _failed(
    claim: Claim, error: Json, *, retryable: bool, usage: Usage | None = None
) -> Fail:
    return Fail(
        id=claim.task.id,
        claim_epoch=claim.epoch,
        error=error,
        retryable=retryable,
        usage=usage,
    )


def _release(claim: Claim) -> Release:
    return Release(id=claim.task.id, claim_epoch=claim.epoch)


def _interrupted(claim: Claim) -> Outcome | None:
    match claim.cancellation.reason:
        case "cancelled" | "lease_lost" | "budget_exceeded":
            return None
        case "deadline_exceeded":
            return _failed(claim, "the deadline passed", retryable=False)
        case "stopping" | None:
            return _release(claim)
