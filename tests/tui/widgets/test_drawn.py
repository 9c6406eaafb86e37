"""Charts, gauges, the first and the last line."""

from collections.abc import Callable

import pytest
from textual.app import App

from nexa_tui.theming import Terminal
from nexa_tui.widgets.chart import Chart
from nexa_tui.widgets.meter import Meter
from nexa_tui.widgets.statusbar import KeyBar, KeyHint, Standing, TopBar
from tests.tui.hostile import CORPUS
from tests.tui.widgets.looks import Painted, screen_text, shown

StageOf = Callable[..., App[None]]
STANDING = Standing(
    cluster="prod",
    node="alpha",
    identity="token:k3v9",
    role="operator",
    read_only=True,
    feed="live",
    age_s=1.0,
    alerts=(("critical", 2), ("warning", 5)),
    notice="demo",
)


async def test_a_chart_is_as_large_as_its_place(stage: StageOf) -> None:
    chart = Chart(high=1.0)
    async with stage(chart).run_test(size=(22, 4)):
        chart.show([1.0] * 100)

        assert shown(chart) == ["⣿" * 20] * 4
        assert chart.top == 1.0


async def test_a_chart_of_one_line_is_a_sparkline(stage: StageOf) -> None:
    chart = Chart(high=4.0, ramp="load")
    async with stage(chart).run_test(size=(4, 1)):
        chart.show([0.0, 0.0, 4.0, 4.0])

        assert shown(chart) == ["⣀⣿"]


async def test_two_series_are_mirrored(stage: StageOf) -> None:
    chart = Chart(high=1.0)
    async with stage(chart).run_test(size=(4, 4)):
        chart.show([1.0] * 4, [0.25] * 4)

        assert shown(chart) == ["⣿⣿", "⣿⣿", "⠛⠛", ""]


async def test_without_a_limit_the_scale_is_round(stage: StageOf) -> None:
    chart = Chart()
    async with stage(chart).run_test(size=(10, 3)):
        chart.show([3.0], [7.0])
        assert chart.top == 10.0


async def test_between_two_steps_only_the_newest_character_changes(
    stage: StageOf,
) -> None:
    chart = Chart(high=8.0)
    samples = [float(number % 8) for number in range(100)]
    async with stage(chart).run_test(size=(22, 4)) as pilot:
        chart.show(samples[:50], number=50)
        chart.show(samples[:51], number=51)
        await pilot.pause()
        painted = Painted(chart)

        chart.show(samples[:52], number=52)

        assert painted.whole == 0
        assert all(region.x >= 19 for region in painted.regions)


async def test_the_same_chart_again_paints_nothing(stage: StageOf) -> None:
    chart = Chart(high=1.0)
    async with stage(chart).run_test(size=(20, 4)):
        chart.show([0.5] * 40)
        painted = Painted(chart)

        chart.show([0.5] * 40)

        assert not painted.regions


async def test_a_meter_has_label_bar_figure_and_note(stage: StageOf) -> None:
    meter = Meter("cpu", note_width=9)
    async with stage(meter).run_test(size=(40, 1)) as pilot:
        meter.show(0.5, "load 0.82")
        await pilot.pause()
        (line,) = shown(meter)
        bar = "■" * 8 + "∙" * 7
        assert line.split() == ["cpu", bar, "50%", "load", "0.82"]

        meter.show(None, "load")
        assert "-" in shown(meter)[0]


async def test_a_narrow_meter_leaves_the_note_out(stage: StageOf) -> None:
    meter = Meter("cpu", note_width=15)
    app = stage(meter, terminal=Terminal(ascii_only=True))
    async with app.run_test(size=(24, 1)):
        meter.show(0.5, "9.3 of 15.6 GiB")

        assert shown(meter)[0].split() == ["cpu", "#####.....", "50%"] or (
            "GiB" not in shown(meter)[0] and shown(meter)[0].isascii()
        )


async def test_a_changed_figure_paints_only_itself(stage: StageOf) -> None:
    meter = Meter("cpu", note_width=9)
    async with stage(meter).run_test(size=(60, 1)):
        meter.show(0.50, "load 0.82")
        painted = Painted(meter)

        meter.show(0.501, "load 0.83")

        assert painted.cells == 1


async def test_the_top_bar_says_where_one_is(stage: StageOf) -> None:
    bar = TopBar()
    async with stage(bar).run_test(size=(120, 3)) as pilot:
        bar.show(STANDING)
        await pilot.pause()
        line = shown(bar)[0]

    told = ("nexa", "prod › alpha", "token:k3v9", "operator", "read-only", "demo")
    assert all(word in line for word in told)
    assert line.rstrip().endswith("✗ 2 critical  ! 5 warning      ✓ live 1s")


@pytest.mark.parametrize("width", [40, 60, 80])
async def test_short_of_room_the_age_and_the_alerts_stay(
    stage: StageOf, width: int
) -> None:
    bar = TopBar()
    async with stage(bar).run_test(size=(width, 3)) as pilot:
        bar.show(STANDING)
        await pilot.pause()
        line = shown(bar)[0]

    assert "✗ 2" in line
    assert line.rstrip().endswith("live 1s")
    assert "prod" in line


@pytest.mark.parametrize(
    ("feed", "told"),
    [
        ("stale", "! STALE 12s"),
        ("lost", "✗ LOST 12s"),
        ("reconnecting", "! reconnecting 12s"),
    ],
)
async def test_what_is_old_says_so(stage: StageOf, feed: str, told: str) -> None:
    bar = TopBar()
    async with stage(bar).run_test(size=(80, 3)) as pilot:
        bar.show(Standing(cluster="prod", feed=feed, age_s=12.0))  # pyright: ignore[reportArgumentType]
        await pilot.pause()

        assert told in shown(bar)[0]


async def test_nothing_known_is_said_too(stage: StageOf) -> None:
    bar = TopBar()
    async with stage(bar).run_test(size=(80, 3)):
        assert "no cluster" in shown(bar)[0]
        assert shown(bar)[0].rstrip().endswith("connecting")


async def test_names_are_cleaned(stage: StageOf) -> None:
    bar = TopBar()
    async with stage(bar).run_test(size=(120, 3)):
        for text in CORPUS:
            bar.show(Standing(cluster=text, node=text, identity=text, notice=text))

            assert shown(bar)[0].isprintable()


HINTS = (
    *(KeyHint(key, f"label {key}", key) for key in "abcdef"),
    KeyHint("?", "help", "help"),
)


async def test_the_key_bar_keeps_its_last_key(stage: StageOf) -> None:
    bar = KeyBar()
    app = stage(bar)
    async with app.run_test(size=(40, 3)) as pilot:
        assert shown(bar) == [""]
        bar.show(HINTS)
        await pilot.pause()

        assert shown(bar)[0].split() == [
            "a",
            "label",
            "a",
            "b",
            "label",
            "b",
            "?",
            "help",
        ]
        assert shown(bar)[0].endswith("? help")


async def test_a_click_on_a_hint_presses_it(stage: StageOf) -> None:
    bar = KeyBar()
    pressed: list[str] = []

    class Listening(type(stage(bar))):
        def on_key_bar_pressed(self, message: KeyBar.Pressed) -> None:
            pressed.append(message.hint.action)

    async with Listening(bar, terminal=Terminal()).run_test(size=(60, 3)) as pilot:
        bar.show(HINTS)
        await pilot.pause()
        await pilot.click(KeyBar, offset=(2, 0))
        await pilot.click(KeyBar, offset=(57, 0))
        await pilot.click(KeyBar, offset=(48, 0))
        await pilot.pause()

    assert pressed == ["a", "help"]


async def test_ascii_only_is_ascii(stage: StageOf) -> None:
    top, chart, meter, keys = TopBar(), Chart(high=1.0), Meter("cpu"), KeyBar()
    app = stage(top, chart, meter, keys, terminal=Terminal(ascii_only=True))
    async with app.run_test(size=(80, 8)) as pilot:
        top.show(STANDING)
        chart.show([0.2, 0.9] * 50, [0.4, 0.2] * 50)
        meter.show(0.4)
        keys.show(HINTS)
        await pilot.pause()

        assert screen_text(app).isascii()
