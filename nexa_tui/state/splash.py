"""The self-test on the splash: what has come, in which order, and when to go on.

Pure: every function takes the run as it was and gives the run as it is. Times are
seconds on the clock that never jumps.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from nexa_node.contract.checks import GROUPS, CheckGroup, CheckResult, CheckStatus
from nexa_node.contract.errors import NexaError

GOES_ON_S = 1.2
"""How long a green run is shown before the dashboard opens by itself."""
WARNED_S = 4.0
"""The same of a run with a warning: time to read it."""

UNFINISHED: frozenset[CheckStatus] = frozenset(("pending", "running"))
GROUP_TITLES: Mapping[CheckGroup, str] = MappingProxyType(
    {
        "machine": "this machine",
        "configuration": "configuration",
        "node": "node",
        "connectivity": "connectivity",
        "cluster": "cluster",
    }
)

Standing = Literal["running", "pass", "warn", "fail"]


class Run(msgspec.Struct, frozen=True):
    """One run, as far as it has come."""

    started: float = 0.0
    finished: float | None = None
    checks: Mapping[str, CheckResult] = msgspec.field(
        default_factory=lambda: MappingProxyType({})
    )
    """In the order they were first heard of."""
    since: Mapping[str, float] = msgspec.field(
        default_factory=lambda: MappingProxyType({})
    )
    """When each running check began."""
    error: NexaError | None = None
    """Why the run itself could not be done."""
    where: str = "here"
    """`here`, or the name of the node that checks itself."""

    def in_order(self) -> tuple[CheckResult, ...]:
        """All checks, group by group."""
        by_group = {group: place for place, group in enumerate(GROUPS)}
        return tuple(sorted(self.checks.values(), key=lambda one: by_group[one.group]))

    def groups(self) -> tuple[tuple[CheckGroup, tuple[CheckResult, ...]], ...]:
        """The groups that have checks, in their order."""
        return tuple(
            (group, mine)
            for group in GROUPS
            if (mine := tuple(c for c in self.checks.values() if c.group == group))
        )

    def standing(self) -> Standing:
        """Sum up: a failure is told as soon as it is known."""
        seen = {check.status for check in self.checks.values()}
        if self.error is not None or "fail" in seen:
            return "fail"
        if self.finished is None or seen & UNFINISHED:
            return "running"
        return "warn" if "warn" in seen else "pass"

    def count(self, *statuses: CheckStatus) -> int:
        """Count the checks in one of `statuses`."""
        return sum(check.status in statuses for check in self.checks.values())

    def done(self) -> int:
        """Count the checks that have their result."""
        return len(self.checks) - self.count(*UNFINISHED)

    def elapsed_ms(self, check: CheckResult, now: float) -> float | None:
        """How long a check took, or runs already, in whole seconds; None before that."""
        if check.status == "running" and check.id in self.since:
            whole = int(now - self.since[check.id])
            return whole * 1000.0 if whole else None
        return check.duration_ms

    def total_ms(self, now: float) -> float:
        """How long the run took, or goes on already, in whole seconds."""
        if self.finished is None:
            return int(now - self.started) * 1000.0
        return (self.finished - self.started) * 1000

    def goes_on_at(self) -> float | None:
        """When the dashboard opens by itself; None as long as a person must decide."""
        if self.finished is None:
            return None
        match self.standing():
            case "pass":
                return self.finished + GOES_ON_S
            case "warn":
                return self.finished + WARNED_S
            case _:
                return None

    def bad(self, status: CheckStatus) -> tuple[CheckResult, ...]:
        """The checks of that status, in order."""
        return tuple(check for check in self.in_order() if check.status == status)

    def worst(self) -> CheckResult | None:
        """The first failure, or else the first warning: what the eye should find."""
        return next(iter((*self.bad("fail"), *self.bad("warn"))), None)


def begin(now: float, *, where: str = "here") -> Run:
    """Begin a run of all checks."""
    return Run(started=now, where=where)


def again(run: Run, now: float, *, only: str | None = None) -> Run:
    """Begin again: all checks, or one. What was known stays in sight, marked as pending."""
    checks = {
        check.id: _pending(check) if only in {None, check.id} else check
        for check in run.checks.values()
    }
    return msgspec.structs.replace(
        run,
        started=now,
        finished=None,
        error=None,
        checks=MappingProxyType(checks),
        since=MappingProxyType({}),
    )


def take(run: Run, result: CheckResult, now: float) -> Run:
    """Take one result in."""
    since = dict(run.since)
    if result.status == "running":
        since.setdefault(result.id, now)
    return msgspec.structs.replace(
        run,
        checks=MappingProxyType({**run.checks, result.id: result}),
        since=MappingProxyType(since),
    )


def finish(run: Run, now: float, error: NexaError | None = None) -> Run:
    """End a run; a check that got no result is told as such, not left running."""
    checks = {
        check.id: _lost(check) if check.status in UNFINISHED else check
        for check in run.checks.values()
    }
    return msgspec.structs.replace(
        run, finished=now, error=error, checks=MappingProxyType(checks)
    )


def _pending(check: CheckResult) -> CheckResult:
    return CheckResult(
        id=check.id, group=check.group, title=check.title, status="pending"
    )


def _lost(check: CheckResult) -> CheckResult:
    return msgspec.structs.replace(
        check,
        status="fail",
        detail="no result",
        cause="the self-test ended before this check did",
        remedy="press r to run it again; or nexa selftest",
    )
