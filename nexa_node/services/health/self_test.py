"""The self-test's engine: every check at once, each with a time-out, results as they come.

The splash, `nexa selftest`, `POST /v1/selftest` and `/readyz` are all this engine. A
check never breaks a run: one that is late fails, one that crashes fails, each with its
cause. Every finished run goes to the start-up log.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from nexa_node.contract.checks import (
    GROUPS,
    CheckGroup,
    CheckResult,
    CheckStatus,
    SelfTest,
    verdict,
)
from nexa_node.contract.errors import NexaError, NotFound
from nexa_node.ports import Clock

AT_ONCE = 16
"""Checks that run at the same time; more would measure each other."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check found."""

    status: Literal["pass", "warn", "fail", "skipped"]
    detail: str | None = None
    cause: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check, ready to run."""

    id: str
    group: CheckGroup
    title: str
    look: Callable[[], Awaitable[Outcome]]
    """Looks at the real thing. Cancelled when its time is over; must clean up then."""
    timeout_s: float
    late_remedy: str
    """What to do when there was no answer in time."""
    required: bool = False
    """Whether the node can't do its work when this fails."""


Sink = Callable[[SelfTest], None]


class SelfTests:
    """Runs the checks, and remembers the latest outcome of each."""

    def __init__(
        self, checks: Sequence[Check], *, clock: Clock, sink: Sink | None = None
    ) -> None:
        """Run nothing yet.

        Args:
            checks: All there are; ids are unique.
            clock: Stamps and times the runs.
            sink: Given each finished run; must not block for long.
        """
        self._checks = sorted(checks, key=lambda one: GROUPS.index(one.group))
        self._clock = clock
        self._sink = sink
        self._latest: SelfTest | None = None

    def latest(self) -> SelfTest | None:
        """The latest whole run, with later runs of single checks put in."""
        return self._latest

    def required_failures(self) -> tuple[str, ...]:
        """Ids of failed checks without which the node can't work."""
        required = {check.id for check in self._checks if check.required}
        results = self._latest.checks if self._latest else ()
        return tuple(
            one.id for one in results if one.status == "fail" and one.id in required
        )

    async def run(self, only: str | None = None) -> AsyncIterator[CheckResult]:
        """Run all checks, or one: `pending` of each, then `running`, then what it found.

        Abandoning the iterator cancels what runs.

        Raises:
            NotFound: There is no check of that id.
        """
        chosen = [check for check in self._checks if only in {None, check.id}]
        if not chosen:
            known = ", ".join(check.id for check in self._checks)
            raise NotFound(
                f"there is no check '{only}' (there are: {known})",
                remedy="nexa selftest",
            )
        started, began = self._clock.now(), self._clock.monotonic()
        finished: dict[str, CheckResult] = {}
        told: asyncio.Queue[CheckResult] = asyncio.Queue()
        for check in chosen:
            yield _result(check, "pending")
        places = asyncio.Semaphore(AT_ONCE)
        # No TaskGroup: it would wrap the GeneratorExit of an abandoned run.
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._check(check, places, told)) for check in chosen]
        try:
            while len(finished) < len(chosen):
                result = await told.get()
                if result.status != "running":
                    finished[result.id] = result
                yield result
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        run = SelfTest(
            status=verdict(finished.values()),
            started=started,
            duration_ms=_since(began, self._clock),
            checks=tuple(finished[check.id] for check in chosen),
        )
        self._keep(run, whole=only is None)

    async def run_quietly(self) -> SelfTest:
        """Run all checks and answer the outcome."""
        async for _ in self.run():
            pass
        assert self._latest is not None
        return self._latest

    async def _check(
        self,
        check: Check,
        places: asyncio.Semaphore,
        told: asyncio.Queue[CheckResult],
    ) -> None:
        async with places:
            told.put_nowait(_result(check, "running"))
            began = self._clock.monotonic()
            outcome = await _look(check)
            told.put_nowait(
                CheckResult(
                    id=check.id,
                    group=check.group,
                    title=check.title,
                    status=outcome.status,
                    duration_ms=_since(began, self._clock),
                    detail=outcome.detail,
                    cause=outcome.cause,
                    remedy=outcome.remedy,
                )
            )

    def _keep(self, run: SelfTest, *, whole: bool) -> None:
        if self._sink is not None:
            self._sink(run)
        if whole or self._latest is None:
            self._latest = run if whole else self._latest
            return
        anew = {check.id: check for check in run.checks}
        checks = tuple(anew.get(one.id, one) for one in self._latest.checks)
        self._latest = msgspec.structs.replace(
            self._latest, checks=checks, status=verdict(checks)
        )


async def _look(check: Check) -> Outcome:
    try:
        async with asyncio.timeout(check.timeout_s):
            return await check.look()
    except TimeoutError:
        return Outcome(
            "fail",
            cause=f"no answer within {check.timeout_s:g} s",
            remedy=check.late_remedy,
        )
    except NexaError as error:
        return Outcome("fail", cause=error.message, remedy=error.remedy)
    except Exception as error:  # noqa: BLE001  # a check must not end the others
        return Outcome(
            "fail",
            cause=f"{type(error).__name__}: {error}"[:300],
            remedy=f"nexa selftest --only {check.id}; nexa logs",
        )


def _result(check: Check, status: CheckStatus) -> CheckResult:
    return CheckResult(id=check.id, group=check.group, title=check.title, status=status)


def _since(began: float, clock: Clock) -> float:
    return round((clock.monotonic() - began) * 1000, 2)
