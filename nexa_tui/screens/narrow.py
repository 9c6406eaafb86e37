"""What is seen where nothing else fits: the verdict, and how large a terminal should be."""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Static

from nexa_tui.screens.session import Session

COLUMNS_MIN, ROWS_MIN = 30, 8
"""In less, panels would show frames and halves of words."""
COLUMNS_GOOD, ROWS_GOOD = 40, 12


def too_small(size: Size) -> bool:
    """Whether a terminal is too small for any panel."""
    return size.width < COLUMNS_MIN or size.height < ROWS_MIN


class Narrow(ModalScreen[None]):
    """Lies on top as long as the terminal is too small."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "app.leave", "Leave", show=False, id="narrow.leave")
    ]

    def __init__(self, session: Session) -> None:
        """Tell of `session`."""
        super().__init__(classes="narrow")
        self._session = session
        self._told = Static(markup=False)

    def compose(self) -> ComposeResult:
        """A few words."""
        yield self._told

    def on_mount(self) -> None:
        """Say it, and whatever it becomes."""
        self._say()
        self.set_interval(1.0, self._say)

    def on_resize(self, _: events.Resize) -> None:
        """Say how large it is now; go when that is enough."""
        self._say()

    def on_screen_resume(self) -> None:
        """Go if it grew behind another dialog."""
        self._say()

    def _say(self) -> None:
        size = self.size
        if not too_small(size):
            if self.is_current:
                self.dismiss()
            return
        cluster = self._session.state.cluster
        verdict = cluster.verdict.upper() if cluster is not None else "nexa"
        here, good = f"{size.width}x{size.height}", f"{COLUMNS_GOOD}x{ROWS_GOOD}"
        told = f"{verdict}\n{here} is too small: {good}\nq leaves, nodes go on"
        self._told.update(Content(told))
