"""The self-test: the latest run, and running it now."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.iterating import ended
from nexa_node.adapters.asgi.operation import NDJSON, Call, Lines, Operation, Query
from nexa_node.contract.checks import CheckResult, SelfTest, verdict
from nexa_node.contract.errors import NotFound


class RunQuery(Query, frozen=True, kw_only=True):
    """Which checks to run."""

    only: (
        Annotated[
            str, msgspec.Meta(max_length=100, description="One check's id; else all.")
        ]
        | None
    ) = None


async def get_selftest(call: Call[Query, None]) -> SelfTest:
    """The latest run."""
    latest = call.api.selftest(call.identity)
    if latest is None:
        raise NotFound(
            "no self-test has run yet", remedy="POST /v1/selftest, or nexa selftest"
        )
    return latest


async def run_selftest(call: Call[RunQuery, None]) -> SelfTest | Lines:
    """Run it: told as it goes if NDJSON is asked for, else at the end."""
    results = call.api.run_selftest(call.identity, only=call.query.only)
    if NDJSON in call.accept:
        return Lines(results)
    return await _collect(results)


async def _collect(results: AsyncIterator[CheckResult]) -> SelfTest:
    started, begun = datetime.now(UTC), time.monotonic()
    last: dict[str, CheckResult] = {}
    async with ended(results):
        async for result in results:
            last[result.id] = result
    return SelfTest(
        status=verdict(last.values()),
        started=started,
        duration_ms=(time.monotonic() - begun) * 1000,
        checks=tuple(last.values()),
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/selftest",
        action="selftest",
        tag="self-test",
        summary="Show the latest self-test",
        handler=get_selftest,
        answer=SelfTest,
        example=examples.SELFTEST,
        errors=(NotFound,),
    ),
    Operation(
        method="POST",
        path="/v1/selftest",
        action="run_selftest",
        tag="self-test",
        summary="Run the self-test now",
        description="Answers at the end with one document; asked for"
        " `application/x-ndjson`, tells each result as it comes, running ones included.",
        handler=run_selftest,
        query=RunQuery,
        answer=SelfTest,
        example=examples.SELFTEST,
        streams=CheckResult,
        errors=(NotFound,),
    ),
)
