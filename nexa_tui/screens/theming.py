"""Choosing a theme: what is highlighted is worn at once, Esc puts the old one on again."""

from functools import partial
from typing import Any, Protocol

from nexa_tui.screens.dialogs import Pick
from nexa_tui.theming import ThemeProblem, Themes
from nexa_tui.widgets.lines import LineView


class Wearer(Protocol):
    """An application that wears themes."""

    themes: Themes
    theme_problem: ThemeProblem | None
    theme: Any

    def wear(self, name: str) -> bool:
        """Put a theme on."""
        ...

    def tell(self, text: str, *, severity: str = "information") -> None:
        """Say something."""
        ...

    def keep_theme(self, name: str) -> None:
        """Wear it the next time, too."""
        ...

    def ask(self, screen: Any, then: Any) -> None:
        """Put a dialog on top."""
        ...


class PickTheme(Pick):
    """The list of themes."""

    def __init__(self, wearer: Wearer) -> None:
        """Offer every theme there is."""
        rows = [
            (name, name, _note(wearer.themes, name)) for name in wearer.themes.names()
        ]
        super().__init__("Theme", rows, first=str(wearer.theme))
        self.add_class("beside")  # so that what is tried on is seen
        self._wearer = wearer
        self._before = str(wearer.theme)

    def on_line_view_highlighted(self, message: LineView.Highlighted) -> None:
        """Try it on."""
        message.stop()
        self._wearer.wear(message.key)

    def action_close(self) -> None:
        """Put the old one on again."""
        self._wearer.wear(self._before)
        super().action_close()


def choose_theme(wearer: Wearer, name: str) -> None:
    """Wear the theme of that name, or choose from the list."""
    if not name:
        wearer.ask(PickTheme(wearer), partial(_worn, wearer))
    elif wearer.wear(name):
        _worn(wearer, name)
    else:
        wearer.tell(str(wearer.theme_problem), severity="warning")


def _worn(wearer: Wearer, name: str) -> None:
    if name:
        wearer.keep_theme(name)


def _note(themes: Themes, name: str) -> str:
    try:
        look = themes.load(name)
    except ThemeProblem as problem:
        return str(problem)
    shade = "dark" if look.dark else "light"
    return "the terminal's own colours" if look.ansi else shade
