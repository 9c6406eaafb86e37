"""What the terminal can show, judged by its environment, and what it wears then."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from nexa_tui.state.charts import Glyphs

NO_COLOUR_THEME = "ansi-16"
"""Worn under NO_COLOR and where there are 16 colours or fewer."""

Colours: TypeAlias = Literal["none", "16", "256", "true"]
_FORCED: Mapping[str, Colours] = {"standard": "16", "256": "256", "truecolor": "true"}
_NO_COLOURS = ("-m", "-mono")
_OLD = "vt"
"""Types of Digital's terminals: neither colours nor more characters than ASCII."""
_MANY_COLOURS = ("-256color", "-direct", "kitty", "alacritty")


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the terminal can show, and what the operator wants of it."""

    colours: Colours = "true"
    ascii_only: bool = False

    @property
    def charts(self) -> Glyphs:
        """What charts are drawn with."""
        return "ascii" if self.ascii_only else "braille"

    @property
    def no_colour(self) -> bool:
        """Whether no colour at all may be written."""
        return self.colours == "none"

    def wears(self, wanted: str) -> str:
        """The theme to wear when `wanted` was asked for."""
        return NO_COLOUR_THEME if self.colours in {"none", "16"} else wanted


def terminal(environ: Mapping[str, str], *, ascii_only: bool = False) -> Terminal:
    """Judge the terminal by its environment.

    Args:
        environ: TERM, COLORTERM, NO_COLOR, TEXTUAL_COLOR_SYSTEM and the locale count.
        ascii_only: Asked for by the operator, whatever the locale says.
    """
    return Terminal(
        colours=_colours(environ),
        ascii_only=ascii_only
        or environ.get("TERM") == "linux"  # its font has neither marks nor braille
        or environ.get("TERM", "").startswith(_OLD)
        or not _speaks_unicode(environ),
    )


def tidy_environment(environ: MutableMapping[str, str]) -> None:
    """Have NO_COLOR say what is the case, before Textual looks.

    An empty one is by its standard not set; a terminal without colours is as if it were.
    """
    if environ.get("NO_COLOR") == "":
        del environ["NO_COLOR"]
    if _colours(environ) == "none":
        environ["NO_COLOR"] = environ.get("NO_COLOR") or "1"


def _colours(environ: Mapping[str, str]) -> Colours:
    if environ.get("NO_COLOR"):
        return "none"
    forced = _FORCED.get(environ.get("TEXTUAL_COLOR_SYSTEM", ""))
    if forced:
        return forced
    if environ.get("COLORTERM", "").strip().lower() in {"truecolor", "24bit"}:
        return "true"
    kind = environ.get("TERM", "")
    if kind.startswith(_OLD) or kind.endswith(_NO_COLOURS):
        return "none"
    return "256" if kind.endswith(_MANY_COLOURS) else "16"


def _speaks_unicode(environ: Mapping[str, str]) -> bool:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if environ.get(name):
            return "utf" in environ[name].lower()
    return True  # an ssh that passes no locale on: the terminal is a modern one
