import asyncio
from datetime import timedelta

import pytest

from nexa_node.contract.nodes import TaskCounts
from nexa_node.core.policies import SamplePolicy
from nexa_node.services.health.sampler import Sampler
from tests import builders
from tests.builders import NOW
from tests.fakes import FakeClock, FakeProbe


class Scene:
    def __init__(self, clock: FakeClock | None = None, history: int = 300) -> None:
        self.clock = clock or FakeClock()
        self.probe = FakeProbe(cpu=0.5)
        self.messages = 0
        self.samples: list[object] = []
        self.sampler = Sampler(
            probe=self.probe,
            clock=self.clock,
            policy=SamplePolicy(interval_ms=2000, history=history),
            counts=lambda: TaskCounts(pending=3, assigned=1, running=2, completed=9),
            agents=lambda: 4,
            messages=lambda: self.messages,
        )
        self.sampler.on_sample(self.samples.append)

    async def run_for(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(self.sampler.run())
            await self.clock.advance(seconds)
            loop.cancel()


def finished(took_s: float, status: str = "completed") -> object:
    return builders.task(
        status=status, submitted=NOW, finished=NOW + timedelta(seconds=took_s)
    )


async def test_a_sample_is_told_on_every_beat_and_kept() -> None:
    it = Scene()
    await it.run_for(6.5)

    assert [sample.time for sample in it.samples] == [
        NOW + timedelta(seconds=second) for second in (0, 2, 4, 6)
    ]
    assert it.sampler.history() == tuple(it.samples)
    assert it.sampler.newest is it.samples[-1]


async def test_history_is_bounded() -> None:
    it = Scene(history=3)
    await it.run_for(20)

    assert len(it.sampler.history()) == 3


def test_a_sample_has_the_machine_the_counts_and_no_made_up_latency() -> None:
    sample = Scene().sampler.sample_now()

    assert (sample.cpu, sample.agents) == (0.5, 4)
    assert (sample.tasks_pending, sample.tasks_running) == (3, 3)
    assert (sample.task_p50_ms, sample.task_p99_ms) == (None, None)


async def test_rates_are_since_the_last_sample() -> None:
    it = Scene()
    it.sampler.sample_now()
    for _ in range(8):
        it.sampler.on_task_finished(finished(0.1))
    it.sampler.on_task_finished(finished(0.1, "failed"))
    it.sampler.on_task_finished(finished(0.1, "dead_lettered"))
    it.messages += 20
    await it.clock.advance(2)
    busy = it.sampler.sample_now()
    await it.clock.advance(2)
    idle = it.sampler.sample_now()

    assert (busy.tasks_completed_s, busy.tasks_failed_s, busy.messages_s) == (4, 1, 10)
    assert (idle.tasks_completed_s, idle.tasks_failed_s, idle.messages_s) == (0, 0, 0)
    assert it.sampler.outcomes["completed"] == 8


async def test_latency_is_of_completed_tasks_of_the_last_minute() -> None:
    it = Scene()
    for took in (0.1,) * 98 + (5.0,) * 2:
        it.sampler.on_task_finished(finished(took))
    it.sampler.on_task_finished(finished(99, "failed"))

    sample = it.sampler.sample_now()
    assert sample.task_p50_ms == pytest.approx(100, rel=0.03)
    assert sample.task_p99_ms == pytest.approx(5000, rel=0.03)
    assert it.sampler.durations.count == 100
    await it.clock.advance(70)
    assert it.sampler.sample_now().task_p50_ms is None


def test_a_task_that_goes_on_is_not_counted() -> None:
    it = Scene()
    it.sampler.on_task_finished(builders.task(status="running"))

    assert sum(it.sampler.outcomes.values()) == 0


def test_a_wall_clock_that_jumped_back_makes_no_negative_latency() -> None:
    it = Scene()
    it.sampler.on_task_finished(finished(-50))

    assert it.sampler.sample_now().task_p50_ms < 1


async def test_a_loop_that_wakes_late_is_seen() -> None:
    class LateClock(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if self.monotonic() > 1001:
                self.move(0.3)

    it = Scene(LateClock())
    await it.run_for(8)

    assert it.samples[0].loop_lag_ms == 0
    assert max(s.loop_lag_ms for s in it.samples) == pytest.approx(300)
    assert it.sampler.lags.count > 4
