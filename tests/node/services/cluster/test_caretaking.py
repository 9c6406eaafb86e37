"""Duties are done while this node is the controller, at their own beats."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nexa_node.contract.errors import Unavailable
from nexa_node.services.cluster.caretaking import LOOK_S, Caretaker, Duty
from tests.fakes import FakeClock, RecordingJournal, settle


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.journal = RecordingJournal()
        self.is_controller = True
        self.done: list[tuple[str, float]] = []

    def duty(
        self, name: str, every_s: float, *, at_once: bool = True, fails: str = ""
    ) -> Duty:
        async def do() -> None:
            self.done.append((name, self.clock.monotonic() - 1000))
            if fails == "store":
                raise Unavailable("the store is silent")
            if fails:
                raise ValueError(fails)

        return Duty(name, every_s, do, at_once=at_once)

    @asynccontextmanager
    async def doing(self, *duties: Duty) -> AsyncIterator[None]:
        caretaker = Caretaker(
            *duties,
            is_controller=lambda: self.is_controller,
            clock=self.clock,
            journal=self.journal,
        )
        async with asyncio.TaskGroup() as group:
            running = group.create_task(caretaker.run())
            await settle()
            yield
            running.cancel()


async def test_each_duty_has_its_own_beat() -> None:
    scene = Scene()
    often, seldom = scene.duty("often", 1), scene.duty("seldom", 2, at_once=False)
    async with scene.doing(often, seldom):
        await scene.clock.advance(4)
    assert [at for name, at in scene.done if name == "often"] == [0, 1, 2, 3, 4]
    assert [at for name, at in scene.done if name == "seldom"] == [2, 4]


async def test_who_is_not_the_controller_does_nothing_until_it_is() -> None:
    scene = Scene()
    scene.is_controller = False
    async with scene.doing(scene.duty("it", 10)):
        await scene.clock.advance(30)
        assert scene.done == []
        scene.is_controller = True
        await scene.clock.advance(LOOK_S)
        assert len(scene.done) == 1


async def test_who_loses_control_stops_at_once_and_may_gain_it_again() -> None:
    scene = Scene()
    ended: list[bool] = []

    async def long() -> None:
        try:
            await scene.clock.sleep(100)
        finally:
            ended.append(True)

    async with scene.doing(Duty("long", 1, long), scene.duty("it", 1)):
        scene.is_controller = False
        await scene.clock.advance(LOOK_S)
        assert ended == [True]
        before = len(scene.done)
        await scene.clock.advance(5)
        assert len(scene.done) == before
        scene.is_controller = True
        await scene.clock.advance(LOOK_S)
        assert len(scene.done) == before + 1


async def test_a_duty_that_fails_is_tried_again_and_stops_no_other() -> None:
    scene = Scene()
    async with scene.doing(
        scene.duty("bad", 1, fails="a fault"),
        scene.duty("silent", 1, fails="store"),
        scene.duty("good", 1),
    ):
        await scene.clock.advance(2)
    assert len(scene.done) == 9
    faults = [each for each in scene.journal.records if each.kind == "node.fault"]
    assert {each.subject for each in faults} == {"service/bad"}
    assert faults[0].message == "bad failed: ValueError: a fault"
