"""What a theme says: the closed list of keys, and what becomes of them in Textual.

What a colour means is fixed here for all themes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from textual.theme import Theme

DEFAULT_THEME = "nexa-dark"

COLOURS = (
    "background", "surface", "panel",  # three planes, the farthest first
    "cursor",  # the plane of the row in focus
    "text", "muted",
    "accent",  # focus, and nothing else
    "border", "track",  # lines, and the empty part of a gauge
)  # fmt: skip
STATES = ("ok", "warn", "crit", "unknown", "stale", "self")
CHARTS = ("low", "mid", "high", "flow_low", "flow_high", "second")
"""`low` to `high` for what has a limit; `flow_…` for what has none; `second` series."""
STYLES = (
    "cursor", "cursor_blurred", "heading", "title_focused", "key", "strong", "muted",
    *STATES,
)  # fmt: skip
PLAIN_STYLES = ("muted", *STATES)
"""Styles that a theme need not name: plain unless it does."""


@dataclass(frozen=True, slots=True)
class Look:
    """One theme, judged: every key has a value that means something."""

    name: str
    title: str
    dark: bool
    ansi: bool
    values: Mapping[str, str]
    """By variable: `ok`, `chart-low`, `style-cursor` …"""

    def in_256_colours(self) -> "Look":
        """The same look for a terminal of 256 colours, each the nearest there is.

        Left to the terminal library, dark planes with a tint all become black.
        """
        near = {
            key: _nearest_of_256(value) if value.startswith("#") else value
            for key, value in self.values.items()
        }
        return replace(self, values=MappingProxyType(near))

    def variables(self) -> dict[str, str]:
        """The variables that style sheets may use, as in `$nexa-ok`."""
        return {f"nexa-{key}": value for key, value in self.values.items()}

    def theme(self) -> Theme:
        """What Textual needs to wear it; its own widgets are dressed to match."""
        of = self.values
        return Theme(
            name=self.name,
            primary=of["accent"],
            secondary=of["self"],
            accent=of["accent"],
            warning=of["warn"],
            error=of["crit"],
            success=of["ok"],
            foreground=of["text"],
            background=of["background"],
            surface=of["surface"],
            panel=of["panel"],
            dark=self.dark,
            ansi=self.ansi,
            variables={**_borrowed(of), **self.variables()},
        )


def _borrowed(of: Mapping[str, str]) -> dict[str, str]:
    """Variables of Textual's own widgets (inputs, lists, the palette)."""
    return {
        "text": of["text"],
        "text-muted": of["muted"],
        "border": of["accent"],
        "border-blurred": of["border"],
        "block-cursor-background": of["cursor"],
        "block-cursor-foreground": of["text"],
        "block-cursor-text-style": of["style-cursor"],
        "block-cursor-blurred-background": of["cursor"],
        "block-cursor-blurred-foreground": of["text"],
        "block-hover-background": of["cursor"],
        "input-cursor-background": of["text"],
        "input-cursor-foreground": of["background"],
        "input-selection-background": of["cursor"],
        "ansi-background": of["background"],
        "ansi-foreground": of["text"],
        "scrollbar": of["border"],
        "scrollbar-hover": of["muted"],
        "scrollbar-active": of["accent"],
        "scrollbar-background": of["surface"],
        "scrollbar-background-hover": of["surface"],
        "scrollbar-background-active": of["surface"],
        "scrollbar-corner-color": of["surface"],
    }


_CUBE = (0, 95, 135, 175, 215, 255)
_GREYS = (*range(8, 239, 10), 255)
_TINT = 48
"""A colour with less of a hue is a grey here: the cube would make it violet."""


def _nearest_of_256(colour: str) -> str:
    """The nearest of the six-level cube and the ramp of greys, which all terminals have."""
    rgb = tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
    in_cube = tuple(min(_CUBE, key=lambda step: abs(step - part)) for part in rgb)
    if max(rgb) - min(rgb) < _TINT:
        in_cube = (min(_GREYS, key=lambda step: abs(step - sum(rgb) / 3)),) * 3
    red, green, blue = in_cube
    return f"#{red:02x}{green:02x}{blue:02x}"


def variable_defaults() -> dict[str, str]:
    """A value for every variable of ours, for themes that are not ours.

    For `App.get_theme_variable_defaults`: without them, switching to any theme of
    Textual's own would be an unresolved variable and the end of the application.
    """
    return {
        "nexa-background": "#0b0f14", "nexa-surface": "#10161e",
        "nexa-panel": "#18212c", "nexa-cursor": "#1c2f3c", "nexa-text": "#d3dce6",
        "nexa-muted": "#8496a9", "nexa-accent": "#5ccfd6", "nexa-border": "#2b3a49",
        "nexa-track": "#26323f", "nexa-ok": "#7fcf8e", "nexa-warn": "#e8b95c",
        "nexa-crit": "#ff8080", "nexa-unknown": "#b7a1f0", "nexa-stale": "#93a0ad",
        "nexa-self": "#82b4ff", "nexa-chart-low": "#3f8f9c",
        "nexa-chart-mid": "#e0b25a", "nexa-chart-high": "#ff7474",
        "nexa-chart-flow_low": "#37698c", "nexa-chart-flow_high": "#7fd4e8",
        "nexa-chart-second": "#b39bea",
        **{f"nexa-style-{key}": "none" for key in STYLES},
    }  # fmt: skip
