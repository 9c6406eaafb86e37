"""The screen is the same as Textual's own writing makes it, with fewer bytes."""

import random

import pyte
import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from nexa_tui.widgets.lean import Memory

WIDTH, HEIGHT = 40, 8
WORDS = ("agent", " ", "  ", "⣿⣀", "结果", "é", "e\u0301", "", "busy ")
STYLES = (
    None,
    Style(color="#ff0000", bgcolor="#101010"),
    Style(color="#00ff00", bgcolor="#101010", bold=True),
    Style(color="#00ff00", bgcolor="#202020", reverse=True),
    Style(underline=True),
    Style(color="default", bgcolor="default", dim=True),
    Style(color="green", strike=True),
)


def console(colours: str = "truecolor") -> Console:
    return Console(color_system=colours, force_terminal=True, legacy_windows=False)


def strip(dice: random.Random, width: int) -> Strip:
    segments = [
        Segment(dice.choice(WORDS), dice.choice(STYLES)) for _ in range(width // 3)
    ]
    return Strip(segments).adjust_cell_length(width, dice.choice(STYLES))


def whole(dice: random.Random) -> LayoutUpdate:
    lines = [[strip(dice, WIDTH)] for _ in range(HEIGHT)]
    return LayoutUpdate(lines, Region(0, 0, WIDTH, HEIGHT))


def pieces(dice: random.Random) -> ChopsUpdate:
    """Updates of whole chops: only there Textual itself writes exactly what changed."""
    cut = dice.randrange(2, WIDTH - 2)
    chops = [
        {0: strip(dice, cut), cut: strip(dice, WIDTH - cut)} for _ in range(HEIGHT)
    ]
    lines = sorted(dice.sample(range(HEIGHT), 3))
    spans = [(y, *dice.choice([(0, cut), (cut, WIDTH), (0, WIDTH)])) for y in lines]
    return ChopsUpdate(chops, spans, [[cut, WIDTH]] * HEIGHT)


class Screen:
    def __init__(self) -> None:
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self.screen.reset_mode(pyte.modes.DECAWM)
        self.screen.set_mode(pyte.modes.LNM)
        self.stream = pyte.Stream(self.screen)

    def cells(self) -> list[tuple[object, ...]]:
        return [
            self.cell(self.screen.buffer[y][x])
            for y in range(HEIGHT)
            for x in range(WIDTH)
        ]

    @staticmethod
    def cell(char: pyte.screens.Char) -> tuple[object, ...]:
        on_blanks = (char.underscore, char.reverse, char.strikethrough, char.bg)
        if char.data == " " and not any(on_blanks[:3]):
            return (" ", char.bg)
        return (char.data, char.fg, char.bold, *on_blanks)


@pytest.mark.parametrize("seed", range(30))
def test_the_screen_is_the_same(seed: int) -> None:
    dice = random.Random(seed)
    memory, ours, theirs = Memory(), Screen(), Screen()
    out = console()

    for _ in range(12):
        update: CompositorUpdate = dice.choice([whole, pieces])(dice)
        less = memory.lean(update)
        assert isinstance(less, CompositorUpdate)
        theirs.stream.feed(update.render_segments(out))
        ours.stream.feed(less.render_segments(out))

        assert ours.cells() == theirs.cells()


def rendered(memory: Memory, update: object, colours: str = "truecolor") -> str:
    less = memory.lean(update)
    assert isinstance(less, CompositorUpdate)
    return less.render_segments(console(colours))


def line(text: str, style: Style | None = None) -> LayoutUpdate:
    return LayoutUpdate([[Strip([Segment(text, style)])]], Region(0, 0, len(text), 1))


def test_the_same_screen_again_costs_nothing() -> None:
    memory, update = Memory(), whole(random.Random(1))

    assert rendered(memory, update)
    assert rendered(memory, update) == ""


def test_after_forgetting_everything_is_written() -> None:
    memory, update = Memory(), whole(random.Random(1))
    first = rendered(memory, update)

    memory.forget()

    assert rendered(memory, update) == first


def test_a_changed_cell_is_a_jump_and_a_character() -> None:
    memory = Memory()
    rendered(memory, line("load 12.3"))

    assert rendered(memory, line("load 12.4")) == "\x1b[1;9H4"


def test_near_changes_are_written_in_one_run() -> None:
    memory = Memory()
    rendered(memory, line("abcdefghijkl"))

    assert rendered(memory, line("aXcdXfghijkX")) == "\x1b[1;2HXcdX\x1b[1;12HX"


def test_only_what_differs_of_a_style_is_written() -> None:
    red = Style(color="#ff0000", bgcolor="#101010")
    green = Style(color="#00ff00", bgcolor="#101010")
    update = LayoutUpdate(
        [[Strip([Segment("a", red), Segment("b", green)])]], Region(0, 0, 2, 1)
    )

    assert rendered(Memory(), update) == (
        "\x1b[1;1H\x1b[38;2;255;0;0;48;2;16;16;16ma\x1b[38;2;0;255;0mb\x1b[0m"
    )


@pytest.mark.parametrize(
    ("colours", "code"),
    [("standard", "31"), ("256", "38;5;196"), ("truecolor", "38;2")],
)
def test_colours_are_those_the_terminal_has(colours: str, code: str) -> None:
    assert code in rendered(Memory(), line("x", Style(color="#ff0000")), colours)


def test_half_of_a_wide_character_written_over_is_forgotten() -> None:
    memory = Memory()
    rendered(memory, LayoutUpdate([[Strip([Segment("结x")])]], Region(0, 0, 3, 1)))
    rendered(memory, LayoutUpdate([[Strip([Segment("y")])]], Region(1, 0, 1, 1)))

    again = rendered(
        memory, LayoutUpdate([[Strip([Segment("结x")])]], Region(0, 0, 3, 1))
    )

    assert "结" in again


def test_other_updates_are_left_alone() -> None:
    update = CompositorUpdate()

    assert Memory().lean(update) is update


def test_control_segments_are_not_written() -> None:
    update = LayoutUpdate(
        [[Strip([Segment("\x1b[2J", None, [(1,)]), Segment("x")])]], Region(0, 0, 1, 1)
    )

    assert rendered(Memory(), update) == "\x1b[1;1Hx"
