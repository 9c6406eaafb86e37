import pytest
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.strip import Strip

from nexa_tui.widgets.untrusted import untrusted
from nexa_tui.widgets.wall import Wall
from tests.tui.hostile import CORPUS, DIRECTIONS, ESCAPES, MARKUP

BLACK = Color(0, 0, 0)


def through(text: str, style: Style | None = None) -> list[Segment]:
    return Wall().apply([Segment(text, style)], BLACK)


@pytest.mark.parametrize("text", [*ESCAPES, *DIRECTIONS])
def test_nothing_a_terminal_obeys_passes(text: str) -> None:
    made = "".join(segment.text for segment in through(text))

    assert not any(ord(one) < 32 or 0x7F <= ord(one) < 0xA0 for one in made)
    assert not set(made) & set("\u202e\u2066\u2069\u061c\u200e\u200f")


@pytest.mark.parametrize("text", CORPUS)
def test_nothing_moves(text: str) -> None:
    made = "".join(segment.text for segment in through(text))

    assert cell_len(made) == cell_len(text)
    made.encode()


def test_links_are_dropped() -> None:
    linked = Style(link="https://example.org", bold=True)

    (segment,) = through("text", linked)

    assert segment.style is not None
    assert segment.style.link is None
    assert segment.style.bold


def test_a_family_of_four_keeps_its_width() -> None:
    family = "👩\u200d👩\u200d👧"

    made = "".join(segment.text for segment in through(family))

    assert cell_len(made) == cell_len(family)
    assert "\u200d" not in made


def test_harmless_lines_are_not_touched() -> None:
    segment = Segment("résumé ⣿ ✓", Style(bold=True))

    assert Wall().apply([segment], BLACK)[0] is segment


def test_a_strip_goes_through_once() -> None:
    strip = Strip([Segment("a\x1bb")], 2)
    wall = Wall()

    assert strip.apply_filter(wall, BLACK) is strip.apply_filter(wall, BLACK)
    assert strip.apply_filter(wall, BLACK).text == "ab"


@pytest.mark.parametrize("text", MARKUP)
def test_markup_in_foreign_text_is_text(text: str) -> None:
    content = untrusted(text)

    assert content.plain == text
    assert not content.spans


def test_foreign_text_has_a_limit() -> None:
    assert len(untrusted("x" * 1000, 50).plain) == 50
