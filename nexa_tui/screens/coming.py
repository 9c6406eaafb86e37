"""A place that is kept for what is not there yet: says so, and what does the job now."""

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.containers import Container

from nexa_tui.actions import Place
from nexa_tui.screens.said import Said
from nexa_tui.widgets.panel import Panel

NOT_YET: Mapping[str, tuple[str, str, str, str]] = {
    "messages": (
        "5", "Messages", "The live tail of topics and inboxes is not here yet.",
        "nexa tail TOPIC --follow",
    ),
}  # fmt: skip
"""Per view: its key, its title, what it comes with, and the command to use now."""


class Coming(Container):
    """A view that has nothing to show yet, and does not pretend."""

    def __init__(self, name: str) -> None:
        """Keep the place of view `name`."""
        super().__init__(id=f"view-{name}", classes="view")
        self._view = name
        self.place: Place = "everywhere"

    def compose(self) -> ComposeResult:
        """One sentence and one command."""
        key, title, _, _ = NOT_YET[self._view]
        yield Panel(Said(id=f"coming-{self._view}"), title=title, key=key)

    def on_mount(self) -> None:
        """Say it."""
        _, _, sentence, command = NOT_YET[self._view]
        self.query_one(Said).say(
            (
                (),
                ((f"  {sentence}", "text"),),
                (("  Until then: ", "muted"), (command, "strong")),
            )
        )

    def focus_content(self) -> None:
        """Nothing to focus."""
        self.screen.set_focus(None)

    def address(self) -> str | None:
        """The address of the view."""
        return f"nexa://{self._view}"

    def climb(self) -> bool:
        """Nothing to climb."""
        return False

    def show(self) -> None:
        """Nothing changes."""
