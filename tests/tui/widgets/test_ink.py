import pytest
from textual.color import Color

from nexa_tui.state.severity import STYLE_KEYS
from nexa_tui.theming import Themes
from nexa_tui.widgets.ink import Inks

PLANE = Color.parse("#101010")
DARK = Inks(Themes().load("nexa-dark").variables(), no_colour=False)
ANSI = Inks(Themes().load("ansi-16").variables(), no_colour=False)
NONE = Inks(Themes().load("ansi-16").variables(), no_colour=True)
KEYS = (*STYLE_KEYS, "load-0", "load-7", "flow-3", "second", "title", "brand", "key")


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_a_colour_on_its_plane(key: str) -> None:
    style = DARK.style(key, PLANE)

    assert style.color is not None
    assert style.bgcolor == PLANE.rich_color


@pytest.mark.parametrize("key", KEYS)
def test_without_colour_nothing_has_one(key: str) -> None:
    assert NONE.style(key, PLANE).color is None
    assert NONE.style(key, PLANE).bgcolor is None
    assert NONE.visual(key).foreground is None


def test_without_colour_urgency_is_told_otherwise() -> None:
    states = ("ok", "warn", "crit", "unknown", "stale")

    assert len({NONE.words(state) for state in states}) == len(states)


def test_without_colour_the_cursor_is_turned_around() -> None:
    _, focused = NONE.cursor(PLANE, focused=True)
    _, blurred = NONE.cursor(PLANE, focused=False)

    assert focused.reverse
    assert blurred.underline


def test_the_cursor_is_a_plane_of_its_own() -> None:
    plane, extra = DARK.cursor(PLANE, focused=True)

    assert plane == Color.parse(Themes().load("nexa-dark").values["cursor"])
    assert not extra.reverse
    assert DARK.cursor(PLANE, focused=False)[0] != plane


def test_a_turned_around_line_has_one_colour() -> None:
    plane, extra = ANSI.cursor(PLANE, focused=True)

    segments = ANSI.written([("a", "crit"), ("b", "ok")], plane, extra)

    assert [segment.text for segment in segments] == ["ab"]
    assert segments[0].style is not None
    assert segments[0].style.reverse


def test_blanks_go_with_what_is_before_them() -> None:
    segments = DARK.written([("a", "crit"), ("  ", "text"), ("b", "ok")], PLANE)

    assert [segment.text for segment in segments] == ["a  ", "b"]


def test_underlines_do_not_cover_blanks() -> None:
    segments = NONE.written([(" x ", "unknown"), ("", "text"), ("y", "text")], PLANE)

    assert [segment.text for segment in segments] == [" ", "x", " y"]


def test_a_gradient_goes_from_low_to_high() -> None:
    values = Themes().load("nexa-dark").values

    assert DARK.colour("load-0") == Color.parse(values["chart-low"])
    assert DARK.colour("load-7") == Color.parse(values["chart-high"])
    assert len({DARK.colour(f"load-{step}") for step in range(8)}) == 8
    assert ANSI.colour("load-7") == Color.parse("ansi_red")


def test_an_unknown_key_is_plain_text() -> None:
    assert DARK.colour("nonsense") == DARK.colour("text")
    assert DARK.colour("crit-text") == DARK.colour("crit")
