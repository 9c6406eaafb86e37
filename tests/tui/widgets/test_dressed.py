from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App
from textual.widgets import Static

from nexa_tui.theming import Terminal, Themes
from nexa_tui.widgets.columns import Column
from nexa_tui.widgets.dressed import DressedApp
from nexa_tui.widgets.panel import Panel
from nexa_tui.widgets.table import Row, Table
from tests.tui.hostile import CORPUS
from tests.tui.widgets.looks import screen_text

StageOf = Callable[..., App[None]]


def background(app: App[None]) -> str:
    return app.screen.styles.background.hex.lower()


async def test_the_first_frame_wears_the_theme(stage: StageOf) -> None:
    app = stage(theme="nexa-light")

    assert app.theme == "nexa-light"
    assert app.has_class("-light-mode")
    async with app.run_test():
        assert background(app) == Themes().load("nexa-light").values["background"]


@pytest.mark.parametrize("name", Themes().names())
async def test_every_theme_can_be_put_on_while_running(
    stage: StageOf, name: str
) -> None:
    table = Table([Column("a", "a", 5)])
    table.update_rows([Row("1", (("x", "crit"),))])
    app = stage(Panel(table, title="Agents"))
    async with app.run_test(size=(40, 8)) as pilot:
        assert app.wear(name)
        await pilot.pause()
        look = Themes().load(name)

        written = {
            segment.style.color.name
            for segment in table.render_line(1)
            if segment.style and segment.style.color and "x" in segment.text
        }
        if not look.ansi:
            assert background(app) == look.values["background"]
            assert written == {look.values["crit"]}


async def test_a_bad_theme_is_told_and_the_worn_one_stays(
    stage: StageOf, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\nextends = "dune"\nx = 1')
    app = stage(themes=Themes(tmp_path))
    async with app.run_test() as pilot:
        assert not app.wear("mine")
        await pilot.pause()

        assert app.theme == "nexa-dark"
        assert "mine.toml:3" in str(app.theme_problem)
        assert not app.wear("nowhere")


async def test_a_bad_theme_at_the_start_is_told_and_the_default_worn(
    stage: StageOf,
) -> None:
    app = stage(theme="nowhere")

    assert app.theme == "nexa-dark"
    assert "nowhere" in str(app.theme_problem)


async def test_a_theme_written_again_is_put_on_again(
    stage: StageOf, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    text = 'name = "mine"\nextends = "dune"\n[colors]\nbackground = "{}"\n'
    file.write_text(text.format("#fefefe"))
    app = stage(themes=Themes(tmp_path), theme="mine")
    async with app.run_test() as pilot:
        file.write_text(text.format("#fafafa"))
        assert app.wear("mine")
        await pilot.pause()

        assert background(app) == "#fafafa"


async def test_a_theme_of_textuals_own_can_be_put_on(stage: StageOf) -> None:
    app = stage(Table([Column("a", "a", 5)]))
    async with app.run_test() as pilot:
        app.theme = "textual-dark"
        await pilot.pause()

        assert "Nothing here." in screen_text(app)


async def test_few_colours_wear_the_terminals_own(stage: StageOf) -> None:
    app = stage(terminal=Terminal(colours="16"), theme="nexa-dark")
    async with app.run_test():
        assert app.theme == "ansi-16"
        assert app.wear("nexa-light")
        assert app.theme == "ansi-16"


async def test_256_colours_are_chosen_by_us(stage: StageOf) -> None:
    app = stage(terminal=Terminal(colours="256"))
    async with app.run_test():
        assert background(app) == "#121212"


async def test_no_color_has_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    table = Table([Column("a", "a", 5)])
    table.update_rows([Row("1", (("x", "crit"),)), Row("2", (("y", "ok"),))])

    class Stage(DressedApp[None]):
        def compose(self):
            yield table

    app = Stage()
    assert app.terminal.no_colour
    async with app.run_test(size=(20, 5)) as pilot:
        table.focus()
        await pilot.pause()
        styles = [segment.style for segment in table.render_line(1)]

        assert all(style is None or style.color is None for style in styles)
        assert any(style is not None and style.reverse for style in styles)


async def test_an_empty_no_color_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("COLORTERM", "truecolor")

    app = DressedApp[None]()

    assert not app.no_color
    assert app.theme == "nexa-dark"


async def test_the_second_wall_stands_alone(stage: StageOf) -> None:
    """Text that never saw the first wall, in a widget of Textual's own."""
    widget = Static("", markup=False)
    app = stage(widget)
    async with app.run_test(size=(60, 5)) as pilot:
        for text in CORPUS:
            widget.update(text)
            await pilot.pause()

            segments = [
                one for line in app.screen._compositor.render_strips() for one in line
            ]
            written = "".join(one.text for one in segments if not one.control)
            assert not any(ord(one) < 32 or 0x7F <= ord(one) < 0xA0 for one in written)
            assert not any(one.style and one.style.link for one in segments)
