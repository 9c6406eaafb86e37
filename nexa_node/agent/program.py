"""`nexa agent run`: makes any program an agent, one run for each task."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from nexa_node.agent import child
from nexa_node.agent.agent import Agent
from nexa_node.agent.arguments import Options
from nexa_node.agent.credentials import TOKEN_VARIABLE
from nexa_node.agent.job import Failed, Job
from nexa_node.agent.narration import LogLines, Narrator
from nexa_node.agent.upward import Connected, Disconnected
from nexa_node.contract.errors import (
    Forbidden,
    NexaError,
    NotFound,
    Unauthorized,
    Unavailable,
)
from nexa_node.contract.tasks import Json

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_UNREACHABLE = 0, 1, 2, 3
EXIT_FORBIDDEN, EXIT_NOT_FOUND, EXIT_INTERRUPTED = 4, 5, 130
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_ERROR_SHOWN = 200


class Program:
    """An agent whose handler is a program."""

    def __init__(
        self, options: Options, narrator: Narrator, environ: Mapping[str, str]
    ) -> None:
        """Describe it.

        Raises:
            Invalid: The id, the namespace or a URL makes no sense.
        """
        self._options = options
        self._narrator = narrator
        self._environ = {
            name: value for name, value in environ.items() if name != TOKEN_VARIABLE
        }
        self.agent = Agent(
            options.id,
            url=options.urls,
            token=options.token,
            tls=options.tls,
            signer=options.signer,
            slots=options.slots,
            name=options.name,
            namespace=options.namespace,
            encoding=options.encoding,
            grace=options.grace_s,
        )
        for name in options.capabilities:
            register = self.agent.task(
                name, labels=options.labels, weight=options.weight
            )
            register(self._do)
        self.agent.on_connection(self._on_connection)
        self._reached = asyncio.Event()
        self._signal: int | None = None
        self._away = "nothing was tried"

    async def run(self) -> int:
        """Be the agent until a signal; returns the exit code.

        Raises:
            NexaError: It cannot go on, or no node was reached in time.
        """
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            async with self.agent:
                await self._reach()
                await self.agent.stopped()
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
        return EXIT_INTERRUPTED if self._signal == signal.SIGINT else EXIT_DONE

    async def _reach(self) -> None:
        """Wait for the first connection, if there is a limit to that."""
        limit = self._options.connect_timeout_s
        if limit is None:
            return
        loop = asyncio.get_running_loop()
        waits: set[asyncio.Task[Any]] = {
            loop.create_task(self._reached.wait()),
            loop.create_task(self.agent.stopped()),
        }
        done, _ = await asyncio.wait(
            waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED
        )
        for task in waits - done:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        for task in done:
            task.result()
        if not done:
            raise Unavailable(
                f"no node answered within {limit:g} s: {self._away}",
                remedy="start one with `nexa node start`, or give its address (--url)",
            )

    def _on_signal(self, number: int) -> None:
        self._signal = self._signal or number
        self.agent.stop()

    def _on_connection(self, change: Connected | Disconnected) -> None:
        match change:
            case Connected():
                self._reached.set()
            case Disconnected(reason=reason):
                self._away = reason
        self._narrator.connection(change)

    async def _do(self, job: Job) -> Json:
        began = time.monotonic()
        outcome, error = "completed", ""
        try:
            return await self._attempt(job)
        except Failed as failed:
            outcome, error = "failed", str(failed)[:_ERROR_SHOWN]
            raise
        except asyncio.CancelledError:
            outcome = job.cancel_reason or "stopping"
            raise
        finally:
            seconds = time.monotonic() - began
            self._narrator.task(job.id, job.type, outcome, seconds, error)

    async def _attempt(self, job: Job) -> Json:
        command, timeout = self._options.command, self._options.timeout_s
        name = os.path.basename(command[0])  # noqa: PTH119  # only to show it
        try:
            ended = await child.run(
                command,
                given=given(job, self._options.stdin),
                environ=self._environ_of(job),
                timeout=timeout,
                on_line=lambda line: self._narrator.log(line, task=job.id),
            )
        except OSError as error:
            raise Failed(f"{name} could not be started: {error}") from None
        except child.TookTooLong:
            raise Failed(f"{name} took longer than {timeout:g} s") from None
        except child.TooMuchOutput:
            message = f"{name} printed more than {child.OUTPUT_LIMIT} bytes"
            raise Failed(message, retryable=False) from None
        if ended.code != 0:
            raise Failed(failure(name, ended))
        return result(ended.output)

    def _environ_of(self, job: Job) -> dict[str, str]:
        return self._environ | {
            "NEXA_TASK_ID": job.id,
            "NEXA_TASK_TYPE": job.type,
            "NEXA_ATTEMPT": str(job.attempt),
        }


def given(job: Job, mode: str) -> bytes:
    """What the program gets on its standard input."""
    if mode == "text" and isinstance(job.data, str):
        return job.data.encode()
    return msgspec.json.encode(job.task if mode == "task" else job.data)


def result(output: bytes) -> Json:
    """What the program printed: JSON, or else the text without the space around it."""
    try:
        return msgspec.json.decode(output)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return output.decode("utf-8", errors="replace").strip()


def failure(name: str, ended: child.Ended) -> dict[str, Any]:
    """What a failed task's record keeps of the program's end."""
    if ended.code > 0:
        how = f"{name} ended with exit code {ended.code}"
    else:
        how = f"{name} was killed by {_signal_name(-ended.code)}"
    last = next(reversed(ended.complaint.rstrip().split("\n")), "").strip()
    if last:
        how = f"{how}: {last[:_ERROR_SHOWN]}"
    return {"message": how, "exit_code": ended.code, "stderr": ended.complaint}


def run(options: Options, narrator: Narrator) -> int:
    """Be the agent; returns the exit code, errors said in one line."""
    log = logging.getLogger("nexa.agent")
    handler = LogLines(narrator)
    log.addHandler(handler)
    log.propagate = False
    try:
        return asyncio.run(_run(options, narrator))
    except NexaError as error:
        narrator.failure(error)
        return exit_code(error)
    finally:
        log.removeHandler(handler)
        log.propagate = True


async def _run(options: Options, narrator: Narrator) -> int:
    return await Program(options, narrator, os.environ).run()


def exit_code(error: NexaError) -> int:
    """The exit code of the contract for what went wrong."""
    match error:
        case Unauthorized() | Forbidden():
            return EXIT_FORBIDDEN
        case NotFound():
            return EXIT_NOT_FOUND
        case Unavailable():
            return EXIT_UNREACHABLE
        case _:
            return EXIT_FAILED


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
