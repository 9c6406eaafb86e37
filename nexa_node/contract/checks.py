"""The self-test: what one check says, and what a run of them says.

Told one JSON object a line by `python -m nexa_node check` and by `POST /v1/selftest`
asked for `application/x-ndjson`; as one document by `nexa selftest --json`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec

CheckStatus = Literal["pending", "running", "pass", "warn", "fail", "skipped"]
"""`pending` and `running` appear only while a run is under way."""

CheckGroup = Literal["machine", "configuration", "node", "connectivity", "cluster"]
GROUPS: tuple[CheckGroup, ...] = (
    "machine",
    "configuration",
    "node",
    "connectivity",
    "cluster",
)
"""In the order they are shown."""

Verdict = Literal["pass", "warn", "fail"]


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One check, as far as it has come."""

    id: str
    """A dotted slug, stable: `machine.disk`, `node.store`, `connectivity.<name>`."""
    group: CheckGroup
    title: str
    status: CheckStatus
    duration_ms: float | None = None
    detail: str | None = None
    """What was found, with figures."""
    cause: str | None = None
    """Of a warning or a failure: why."""
    remedy: str | None = None
    """Of a warning or a failure: the exact command or setting that mends it."""


class SelfTest(msgspec.Struct, frozen=True, kw_only=True):
    """One whole run."""

    status: Verdict
    started: datetime
    duration_ms: float
    checks: tuple[CheckResult, ...]


def verdict(checks: Iterable[CheckResult]) -> Verdict:
    """Sum up: one failure fails, one warning warns, skipped checks say nothing."""
    seen = {check.status for check in checks}
    if "fail" in seen:
        return "fail"
    return "warn" if "warn" in seen else "pass"
