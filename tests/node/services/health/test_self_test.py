"""The self-test's engine: everything at once, nothing for ever, every end told."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from nexa_node.contract.checks import CheckResult, SelfTest
from nexa_node.contract.errors import NotFound, Unavailable
from nexa_node.services.health.self_test import Check, Outcome, SelfTests
from tests.fakes import FakeClock


def check(
    name: str,
    look: Callable[[], Awaitable[Outcome]],
    *,
    timeout_s: float = 5.0,
    required: bool = False,
) -> Check:
    return Check(
        id=name,
        group="node",
        title=name,
        look=look,
        timeout_s=timeout_s,
        late_remedy="look at it",
        required=required,
    )


async def passes() -> Outcome:
    return Outcome("pass", detail="well")


async def fails() -> Outcome:
    return Outcome("fail", cause="broken", remedy="mend it")


async def hangs() -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


async def crashes() -> Outcome:
    raise ValueError("not expected")


async def refuses() -> Outcome:
    raise Unavailable("the store is away", remedy="start it")


async def results(tests: SelfTests, only: str | None = None) -> list[CheckResult]:
    return [result async for result in tests.run(only)]


async def test_each_check_is_told_pending_running_and_done() -> None:
    tests = SelfTests([check("a", passes), check("b", passes)], clock=FakeClock())

    told = await results(tests)

    assert [one.status for one in told[:2]] == ["pending", "pending"]
    assert [one.status for one in told if one.id == "a"] == [
        "pending",
        "running",
        "pass",
    ]


async def test_checks_run_side_by_side() -> None:
    met = asyncio.Barrier(2)

    async def meets() -> Outcome:
        await met.wait()
        return Outcome("pass")

    tests = SelfTests([check("a", meets), check("b", meets)], clock=FakeClock())

    assert [one.status for one in await results(tests)][-2:] == ["pass", "pass"]


@pytest.mark.parametrize(
    ("look", "cause", "remedy"),
    [
        (hangs, "no answer within 0.01 s", "look at it"),
        (crashes, "ValueError: not expected", "nexa selftest --only it"),
        (refuses, "the store is away", "start it"),
        (fails, "broken", "mend it"),
    ],
)
async def test_a_failure_has_a_cause_and_a_remedy(
    look: Callable[[], Awaitable[Outcome]], cause: str, remedy: str
) -> None:
    tests = SelfTests([check("it", look, timeout_s=0.01)], clock=FakeClock())

    last = (await results(tests))[-1]

    assert (last.status, last.cause) == ("fail", cause)
    assert last.remedy is not None
    assert remedy in last.remedy


async def test_a_run_is_kept_and_told_whole() -> None:
    kept: list[SelfTest] = []
    tests = SelfTests(
        [check("a", passes), check("b", fails, required=True)],
        clock=FakeClock(),
        sink=kept.append,
    )

    done = await tests.run_quietly()

    assert kept == [done]
    assert done.status == "fail"
    assert tests.latest() == done
    assert tests.required_failures() == ("b",)


async def test_one_check_run_again_is_put_into_the_latest_run() -> None:
    answers = [Outcome("fail"), Outcome("pass")]

    async def mends() -> Outcome:
        return answers.pop(0)

    tests = SelfTests([check("a", passes), check("b", mends)], clock=FakeClock())
    await tests.run_quietly()
    await results(tests, "b")

    latest = tests.latest()
    assert latest is not None
    assert (latest.status, len(latest.checks)) == ("pass", 2)


async def test_one_check_before_any_run_is_no_run() -> None:
    tests = SelfTests([check("a", passes)], clock=FakeClock())
    await results(tests, "a")

    assert tests.latest() is None
    assert tests.required_failures() == ()


async def test_an_unknown_check_lists_those_there_are() -> None:
    tests = SelfTests([check("a", passes)], clock=FakeClock())

    with pytest.raises(NotFound, match="there are: a"):
        await results(tests, "z")


async def test_abandoning_a_run_cancels_its_checks() -> None:
    ended = asyncio.Event()

    async def waits() -> Outcome:
        try:
            return await hangs()
        finally:
            ended.set()

    tests = SelfTests([check("a", waits)], clock=FakeClock())
    run = tests.run()
    while (await anext(run)).status != "running":
        pass
    await asyncio.sleep(0)
    await run.aclose()

    assert ended.is_set()
