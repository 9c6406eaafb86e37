"""A console on a recording, driven by keys."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from textual.pilot import Pilot

from nexa_tui.app.console import Console
from nexa_tui.client.replay import Replay
from nexa_tui.screens.dashboard import Dashboard
from tests.tui import scenes
from tests.tui.scenes import SCENES, Scene


class Driven:
    """A running console, and the recording it is on."""

    def __init__(self, app: Console, pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()

    async def until(self, condition: Callable[[], Any], what: str = "") -> Any:
        """Wait for a condition, turn by turn."""
        async with asyncio.timeout(10):
            while not (answer := condition()):
                await self.pilot.pause(0.01)
        return answer

    @property
    def node(self) -> Replay:
        client = self.app.session.client
        assert isinstance(client, Replay)
        return client

    @property
    def dashboard(self) -> Dashboard:
        found = self.app._dashboard
        assert found is not None
        return found

    def text(self) -> str:
        """What is on the screen."""
        screen = self.app.screen
        width, height = screen.size
        lines = [
            "".join(segment.text for segment in strip)
            for strip in screen._compositor.render_strips()[:height]
        ]
        return "\n".join(line[:width] for line in lines)

    def told(self) -> str:
        """What was said for a moment."""
        return "\n".join(note.message for note in self.app._notifications)


@asynccontextmanager
async def drive(
    scene: str | Scene = "overview",
    size: tuple[int, int] = (100, 30),
    **changes: Any,
) -> AsyncIterator[Driven]:
    told = SCENES[scene] if isinstance(scene, str) else scene
    told = replace(told, keys=(), **changes)
    app = scenes.console(told)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await pilot.pause()
        yield Driven(app, pilot)
