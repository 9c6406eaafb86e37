"""Style keys made into terminal styles, for widgets that draw their own lines.

A widget says what a piece of text means (`warn`, `muted`, `load-5`); the theme says what
that looks like on the plane the widget lies on. Without colour the same meaning is told
by bold, dim, underline and reverse.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import cast
from weakref import WeakKeyDictionary

from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.style import Style as VisualStyle
from textual.widget import Widget

from nexa_tui.state.charts import STEPS
from nexa_tui.theming import Terminal, variable_defaults

_NO_COLOUR: Mapping[str, str] = {
    "muted": "dim",
    "stale": "dim",
    "border": "dim",
    "track": "dim",
    "accent": "bold",
    "strong": "bold",
    "key": "bold",
    "brand": "bold",
    "title": "bold reverse",
    "warn": "bold",
    "crit": "bold reverse",
    "crit-text": "bold",
    "warn-text": "bold",
    "unknown": "underline",
    "self": "underline",
}
_RAMPS = {"load": ("low", "mid", "high"), "flow": ("flow_low", "flow_high")}
_NOTHING = Style.null()
_AS_TEXT = frozenset({"strong", "key", "heading", "brand"})
"""Keys that have a text style of their own and the colour of plain text."""
_TITLE = "title"
_WORDS_OF = {"title": "title_focused", "brand": "strong"}
"""The title of what is in focus: the accent, in the style `title_focused`."""


class Inks:
    """The styles of one theme."""

    def __init__(self, variables: Mapping[str, str], *, no_colour: bool) -> None:
        """Take a theme's variables, by their names in style sheets."""
        self._variables = {**variable_defaults(), **variables}
        self._no_colour = no_colour
        self._styles: dict[tuple[str, Color], Style] = {}
        self._colours: dict[str, Color] = {}

    def style(self, key: str, plane: Color) -> Style:
        """How text of a meaning is written on a plane."""
        found = self._styles.get((key, plane))
        if found is None:
            found = self._made(key, plane)
            self._styles[key, plane] = found
        return found

    def written(
        self, pieces: Iterable[tuple[str, str]], plane: Color, extra: Style = _NOTHING
    ) -> list[Segment]:
        """Write pieces of text on a plane, with as few changes of style as can be.

        Blanks go with the piece before them; underlines and the like never cover them.
        """
        if extra.reverse and not self._no_colour:
            # The terminal's own colours, turned around, are no plane to write colours on.
            pieces = [(text, "text") for text, _ in pieces]
        segments: list[Segment] = []
        blank = self.style("text", plane) + extra
        for text, key in pieces:
            if not text:
                continue
            style = self.style(key, plane) + extra
            if key in _NO_COLOUR and (style.underline or style.reverse):
                _append_core(segments, text, style, blank)
            elif segments and text.isspace() and not _marks_blanks(segments[-1].style):
                _append(segments, text, segments[-1].style)
            else:
                _append(segments, text, style)
        return segments

    def cursor(self, plane: Color, *, focused: bool) -> tuple[Color, Style]:
        """The plane of the row in focus, and what every style on it gets besides."""
        key = "cursor" if focused else "cursor_blurred"
        if self._no_colour:
            return plane, Style(reverse=True) if focused else Style(underline=True)
        extra = Style.parse(self._theme_words(key))
        return self.colour("cursor" if focused else "panel"), extra

    def visual(self, key: str) -> VisualStyle:
        """The same meaning for Textual's `Content`; the plane is left as it is."""
        extra = VisualStyle.parse(self.words(key))
        if self._no_colour:
            return extra
        return VisualStyle(foreground=self.colour(key)) + extra

    def words(self, key: str) -> str:
        """The text style of a meaning: `bold`, `dim` and so on, or nothing."""
        return _NO_COLOUR.get(key, "") if self._no_colour else self._theme_words(key)

    def colour(self, key: str) -> Color:
        """The colour of a meaning."""
        found = self._colours.get(key)
        if found is None:
            found = self._colour(key)
            self._colours[key] = found
        return found

    def _made(self, key: str, plane: Color) -> Style:
        extra = Style.parse(self.words(key))
        if self._no_colour:
            return extra
        return Style.from_color(self.colour(key).rich_color, plane.rich_color) + extra

    def _theme_words(self, key: str) -> str:
        name = _WORDS_OF.get(key, key)
        style = self._variables.get(f"nexa-style-{name}", "none")
        return "" if style == "none" else style

    def _colour(self, key: str) -> Color:
        if key in _AS_TEXT:
            key = "text"
        elif key == _TITLE:
            key = "accent"
        ramp, _, step = key.partition("-")
        if step == "text":
            key = ramp
        if ramp in _RAMPS and step.isdigit():
            return self._on_ramp(_RAMPS[ramp], int(step))
        name = f"nexa-chart-{key}" if key == "second" else f"nexa-{key}"
        return Color.parse(self._variables.get(name, self._variables["nexa-text"]))

    def _on_ramp(self, stops: tuple[str, ...], step: int) -> Color:
        colours = [Color.parse(self._variables[f"nexa-chart-{stop}"]) for stop in stops]
        place = min(step, STEPS - 1) / (STEPS - 1) * (len(colours) - 1)
        below = min(int(place), len(colours) - 2)
        if colours[0].ansi is not None:
            return colours[round(place)]
        return colours[below].blend(colours[below + 1], place - below)


def _append(segments: list[Segment], text: str, style: Style | None) -> None:
    if segments and segments[-1].style == style:
        segments[-1] = Segment(segments[-1].text + text, style)
    elif text:
        segments.append(Segment(text, style))


def _append_core(
    segments: list[Segment], text: str, style: Style, blank: Style
) -> None:
    """Write the blanks around the words plainly."""
    words = text.strip(" ")
    lead = len(text) - len(text.lstrip(" "))
    _append(segments, " " * lead, blank)
    _append(segments, words, style)
    _append(segments, " " * (len(text) - lead - len(words)), blank)


def _marks_blanks(style: Style | None) -> bool:
    return style is not None and bool(style.underline or style.reverse)


_worn: "WeakKeyDictionary[App[object], tuple[object, Inks]]" = WeakKeyDictionary()


def app_of(widget: Widget) -> App[object]:
    """The application, whatever it answers when it ends."""
    return cast("App[object]", widget.app)


def inks_of(widget: Widget) -> Inks:
    """The inks of the theme worn now; the same ones for every widget of the app."""
    app = app_of(widget)
    variables = app.theme_variables
    known = _worn.get(app)
    if known is not None and known[0] is variables:
        return known[1]
    inks = Inks(variables, no_colour=app.no_color)
    _worn[app] = (variables, inks)
    return inks


def plane_of(widget: Widget) -> Color:
    """The background the widget lies on."""
    return widget.background_colors[1]


def follow_theme(widget: Widget, redress: Callable[[], None]) -> None:
    """Call `redress` and draw the widget again whenever another theme is put on."""
    app = app_of(widget)
    worn = dict(app.theme_variables)

    def put_on(_theme: object) -> None:
        nonlocal worn
        if worn != app.theme_variables:  # the first theme is announced, too
            worn = dict(app.theme_variables)
            redress()
            widget.refresh()

    app.theme_changed_signal.subscribe(widget, put_on)


def terminal_of(widget: Widget) -> Terminal:
    """The terminal as the application judged it; a capable one if it did not."""
    found: object = getattr(app_of(widget), "terminal", None)
    return found if isinstance(found, Terminal) else Terminal()
