"""A small application in our clothes, the same whatever the environment says."""

from collections.abc import Callable

import pytest
from textual.app import ComposeResult
from textual.widget import Widget

from nexa_tui.theming import Terminal
from nexa_tui.widgets.dressed import DressedApp
from nexa_tui.widgets.lines import LineView


class Stage(DressedApp[None]):
    """One widget, and every message that came of it."""

    def __init__(self, *widgets: Widget, **how: object) -> None:
        super().__init__(**how)  # pyright: ignore[reportArgumentType]
        self.widgets = widgets
        self.told: list[object] = []

    def compose(self) -> ComposeResult:
        yield from self.widgets

    def on_line_view_highlighted(self, message: LineView.Highlighted) -> None:
        self.told.append((type(message).__name__, message.key))

    def on_line_view_selected(self, message: LineView.Selected) -> None:
        self.told.append((type(message).__name__, message.key))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stage]:
    monkeypatch.delenv("NO_COLOR", raising=False)

    def set_up(*widgets: Widget, **how: object) -> Stage:
        return Stage(*widgets, **{"terminal": Terminal(), **how})

    return set_up
