import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from nexa_node.contract.errors import Unavailable
from nexa_node.services.health.supervisor import (
    CRASH_WINDOW_S,
    CRASHES_MAX,
    PAUSE_MAX_S,
    PAUSE_S,
    ServiceGaveUp,
    Supervisor,
)
from tests.fakes import FakeClock, RecordingJournal, settle


@pytest.fixture(autouse=True)
def logs() -> object:
    with capture_logs() as captured:
        yield captured


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.journal = RecordingJournal()
        self.supervisor = Supervisor(clock=self.clock, journal=self.journal)
        self.seen: list[str] = []

    def loop(self, name: str) -> object:
        async def run() -> None:
            self.seen.append(f"{name} starts")
            try:
                await asyncio.Event().wait()
            finally:
                self.seen.append(f"{name} ends")

        return run

    def failing(self, *errors: Exception) -> object:
        left = list(errors)

        async def run() -> None:
            self.seen.append("starts")
            if left:
                raise left.pop(0)
            await asyncio.Event().wait()

        return run


@asynccontextmanager
async def running(it: Scene) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        group.create_task(it.supervisor.run())
        await settle()
        yield
        it.supervisor.stop()


async def test_services_stop_in_the_opposite_order() -> None:
    it = Scene()

    async def goodbye() -> None:
        it.seen.append("b says goodbye")

    it.supervisor.add("a", it.loop("a"))
    it.supervisor.add("b", it.loop("b"), stop=goodbye)
    async with running(it):
        assert it.seen == ["a starts", "b starts"]
        it.supervisor.add("c", it.loop("c"))
        await settle()

    assert it.seen[2:] == [
        "c starts",
        "c ends",
        "b says goodbye",
        "b ends",
        "a ends",
    ]


async def test_a_crashed_loop_is_told_and_started_again_after_a_pause(
    logs: list[dict],
) -> None:
    it = Scene()
    it.supervisor.add("watch", it.failing(RuntimeError("odd record")))
    async with running(it):
        assert it.seen == ["starts"]
        await it.clock.advance(PAUSE_S)
        assert it.seen == ["starts", "starts"]

    told = it.journal.last("service.crashed")
    assert (told.subject, told.severity) == ("service/watch", "critical")
    assert "RuntimeError: odd record" in told.message
    assert [line["event"] for line in logs] == ["service_crashed"]
    assert it.supervisor.crashes == 1


async def test_three_crashes_in_a_minute_end_the_node_with_the_reason() -> None:
    it = Scene()
    it.supervisor.add("steady", it.loop("steady"))
    it.supervisor.add("watch", it.failing(*[KeyError("k")] * CRASHES_MAX))
    running_all = asyncio.ensure_future(it.supervisor.run())
    await it.clock.advance(CRASH_WINDOW_S)

    with pytest.raises(ServiceGaveUp) as caught:
        await running_all
    assert "watch crashed 3 times" in caught.value.message
    assert "KeyError" in caught.value.message
    assert caught.value.remedy
    assert it.seen[-1] == "steady ends"


async def test_crashes_far_apart_are_survived() -> None:
    it = Scene()
    errors = [RuntimeError("now and then")] * 6

    async def run() -> None:
        await it.clock.sleep(CRASH_WINDOW_S + 1)
        if errors:
            raise errors.pop()

    it.supervisor.add("watch", run)
    async with running(it):
        await it.clock.advance(CRASH_WINDOW_S * 10)
        assert it.supervisor.crashes == 6


async def test_a_store_that_is_away_is_waited_for_however_long() -> None:
    it = Scene()
    away = [Unavailable("no answer"), ExceptionGroup("g", [Unavailable("no answer")])]
    it.supervisor.add("watch", it.failing(*away * 10))
    async with running(it):
        await it.clock.advance(PAUSE_MAX_S * 25)
        assert len(it.seen) == 21

    assert it.supervisor.crashes == 0
    assert it.journal.records == []


async def test_a_loop_that_returns_is_done() -> None:
    it = Scene()

    async def once() -> None:
        it.seen.append("done")

    it.supervisor.add("once", once)
    async with running(it):
        await it.clock.advance(100)

    assert it.seen == ["done"]


async def test_spawned_work_runs_beside_and_its_crash_harms_nobody(
    logs: list[dict],
) -> None:
    it = Scene()
    it.supervisor.add("steady", it.loop("steady"))

    async def crash() -> None:
        raise RuntimeError("in passing")

    async with running(it):
        it.supervisor.spawn("passing", crash())
        left = it.supervisor.spawn("waiting", it.clock.sleep(1e9))
        await settle()
        assert it.seen == ["steady starts"]

    assert left.cancelled()
    assert [line["event"] for line in logs] == ["work_crashed"]


async def test_nothing_is_spawned_before_and_after() -> None:
    it = Scene()
    with pytest.raises(Unavailable):
        it.supervisor.spawn("early", it.clock.sleep(1))
    async with running(it):
        it.supervisor.stop()
        with pytest.raises(Unavailable):
            it.supervisor.spawn("late", it.clock.sleep(1))


async def test_a_stop_that_fails_or_hangs_stops_nobody_else(
    monkeypatch: pytest.MonkeyPatch, logs: list[dict]
) -> None:
    monkeypatch.setattr("nexa_node.services.health.supervisor.STOP_S", 0.01)
    it = Scene()

    async def fail() -> None:
        raise RuntimeError("can't")

    async def hang() -> None:
        await asyncio.Event().wait()

    it.supervisor.add("a", it.loop("a"), stop=fail)
    it.supervisor.add("b", it.loop("b"), stop=hang)
    async with running(it):
        pass

    assert it.seen[-2:] == ["b ends", "a ends"]
    assert [line["event"] for line in logs] == [
        "service_stop_slow",
        "service_stop_failed",
    ]
