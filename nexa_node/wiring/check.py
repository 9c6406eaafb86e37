"""`python -m nexa_node check`: the self-test before there is a node, a result a line."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import structlog

from nexa_node.adapters.files.config import load_settings
from nexa_node.adapters.files.places import base_folders
from nexa_node.adapters.files.startup_log import StartupLog
from nexa_node.adapters.host.clock import SystemClock
from nexa_node.contract import places
from nexa_node.contract.checks import CheckResult
from nexa_node.contract.errors import NexaError
from nexa_node.services.health.self_test import SelfTests
from nexa_node.wiring.checks import Asked, all_checks
from nexa_node.wiring.trial import trial_node


def main(arguments: list[str]) -> int:
    """Run the checks; 1 if one fails, as `nexa selftest` does."""
    parser = argparse.ArgumentParser(prog="nexa selftest")
    parser.add_argument("--only", metavar="ID")
    options = parser.parse_args(arguments)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level],
        wrapper_class=structlog.make_filtering_bound_logger(50),
    )
    try:
        return asyncio.run(_check(options.only))
    except NexaError as error:
        sys.stderr.write(f"{error.message} — mend: {error.remedy}\n")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    except BrokenPipeError:
        # Who asked has heard enough; nothing can be told to them any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


async def _check(only: str | None) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    config, state = base_folders()
    failed: NexaError | None = None
    try:
        loaded = load_settings(Path(places.node_config(config)), environ=os.environ)
    except NexaError as error:
        # The machine can be looked at all the same; the settings are told to be wrong.
        failed = error
        loaded = load_settings(Path(os.devnull), environ={})
    log = StartupLog(Path(places.startup_log(state)))
    async with contextlib.AsyncExitStack() as stack:
        trial = _Trial(stack, lambda: trial_node(loaded))
        checks = all_checks(
            loaded, state=state, ask=trial.ask, trial=True, port=None, broken=failed
        )
        engine = SelfTests(checks, clock=SystemClock(), sink=log.selftest)
        worst = 0
        async for result in engine.run(only):
            _say(result)
            worst = max(worst, int(result.status == "fail"))
    return worst


class _Trial:
    """One trial node for all checks that ask for one, started by the first."""

    def __init__(
        self,
        stack: contextlib.AsyncExitStack,
        make: Callable[[], AbstractAsyncContextManager[Asked]],
    ) -> None:
        self._stack = stack
        self._make = make
        self._lock = asyncio.Lock()
        self._asked: Asked | None = None
        self._failed: NexaError | None = None

    async def ask(self) -> Asked:
        async with self._lock:
            if self._failed is not None:
                raise self._failed
            if self._asked is None:
                try:
                    self._asked = await self._stack.enter_async_context(self._make())
                except NexaError as error:
                    self._failed = error
                    raise
            return self._asked


def _say(result: CheckResult) -> None:
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    sys.stdout.flush()
