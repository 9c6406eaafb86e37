"""Themes: read, judged and handed to Textual; and what the terminal can show.

A theme is a file of data: a closed list of keys, one colour or text style each. A file
that is not right is a `ThemeProblem` with file, line and what would mend it, never a
crash; the caller keeps the theme it has. Only the file that is asked for is read, and
those it extends.
"""

from nexa_tui.theming.folders import Themes, packaged_folder
from nexa_tui.theming.look import DEFAULT_THEME, Look, variable_defaults
from nexa_tui.theming.reading import ThemeProblem
from nexa_tui.theming.terminal import Terminal, terminal, tidy_environment

__all__ = [
    "DEFAULT_THEME",
    "Look",
    "Terminal",
    "ThemeProblem",
    "Themes",
    "packaged_folder",
    "terminal",
    "tidy_environment",
    "variable_defaults",
]
