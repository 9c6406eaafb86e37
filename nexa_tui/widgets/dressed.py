"""The application's clothes: theme, terminal, and the wall before it.

`DressedApp` is what the console, the gallery and the benchmarks share, so that what is
looked at and what is measured is what runs.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, TypeVar, cast

from rich.console import RenderableType
from textual import on
from textual.app import App
from textual.driver import Driver
from textual.filter import LineFilter
from textual.geometry import Size
from textual.screen import Screen

from nexa_tui.theming import (
    DEFAULT_THEME,
    Terminal,
    ThemeProblem,
    Themes,
    tidy_environment,
    variable_defaults,
)
from nexa_tui.theming.terminal import terminal as judged
from nexa_tui.widgets.lean import Memory
from nexa_tui.widgets.wall import Wall

R = TypeVar("R")


class DressedApp(App[R], inherit_bindings=False):
    """An application that wears our themes and writes nothing a terminal obeys."""

    CSS_PATH = Path(__file__).parents[1] / "nexa.tcss"
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012  Textual declares it so
        (0, "-narrow"),
        (80, "-normal"),
        (120, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012  Textual declares it so
        (0, "-low"),
        (24, "-high"),
    ]

    def __init__(
        self,
        *,
        themes: Themes | None = None,
        theme: str = DEFAULT_THEME,
        terminal: Terminal | None = None,
    ) -> None:
        """Dress for the terminal.

        Args:
            themes: Where themes come from; our own if not given.
            theme: The theme wanted; NO_COLOR and 16 colours overrule it.
            terminal: What the terminal can show; judged by the environment if not
                given. NO_COLOR itself is read by Textual, from the environment.
        """
        tidy_environment(os.environ)
        self.terminal = terminal or judged(os.environ)
        self.themes = themes or Themes()
        self.theme_problem: ThemeProblem | None = None
        self._wall = Wall()
        self._memory = Memory()
        self._written_size = Size(0, 0)
        self.written = 0
        """Bytes that went to the terminal since the start."""
        no_colour = bool(os.environ.get("NO_COLOR"))
        super().__init__(ansi_color=True if no_colour else None)
        if not self.wear(theme):
            self.wear(DEFAULT_THEME)
        if self.terminal.ascii_only:
            self.add_class("-ascii")

    def wear(self, name: str) -> bool:
        """Put a theme on; the one worn stays if it is not right.

        Returns:
            Whether it was put on; if not, `theme_problem` says why, for a notice.
        """
        worn = self.terminal.wears(name)
        try:
            look = self.themes.load(worn)
        except ThemeProblem as problem:
            self.theme_problem = problem
            return False
        if self.terminal.colours == "256":
            look = look.in_256_colours()
        self.register_theme(look.theme())
        if not self.is_running:
            self.set_reactive(App.theme, worn)
            self._dress_at_once()
        elif self.theme == worn:
            self._watch_theme(worn)  # its file was written again
        else:
            self.theme = worn
        return True

    def _dress_at_once(self) -> None:
        """Have the first frame in the right colours.

        Textual would paint it in those of its own theme, then everything once more.
        """
        self.set_class(self.current_theme.dark, "-dark-mode")
        self.set_class(not self.current_theme.dark, "-light-mode")
        self._refresh_truecolor_filter(self.ansi_theme)
        self.stylesheet.set_variables(self.get_css_variables())

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """A value for every variable, whatever theme is worn."""
        return variable_defaults()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, then the wall."""
        return [*super().get_line_filters(), self._wall]

    def get_driver_class(self) -> type[Driver]:
        """Textual's driver, its bytes counted: what a slow link has to carry."""
        app, usual = self, super().get_driver_class()

        class Counting(usual):
            def write(self, data: str) -> None:
                app.written += len(data.encode("utf-8", "surrogatepass"))
                super().write(data)

        return Counting

    @on(Driver.SignalResume)
    def _had_it_back(self) -> None:
        """Something else had the terminal: write the whole screen."""
        self.forget_screen()
        self.screen.refresh()

    def forget_screen(self) -> None:
        """Do not trust what the terminal shows: whatever is painted next is written."""
        self._memory.forget()

    def _display(self, screen: Screen[object], renderable: object) -> None:
        """Write what changed, in as few bytes as can be."""
        if self._written_size != self.size:
            self._written_size = self.size
            self.forget_screen()
        less = cast("RenderableType", self._memory.lean(renderable))
        super()._display(screen, less)  # pyright: ignore[reportUnknownMemberType]  # Textual leaves its screens' answers open
