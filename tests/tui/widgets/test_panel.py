from collections.abc import Callable

from textual.app import App

from nexa_tui.theming import Terminal
from nexa_tui.widgets.columns import Column
from nexa_tui.widgets.panel import Panel
from nexa_tui.widgets.table import Row, Table
from tests.tui.widgets.looks import Painted, screen_text

StageOf = Callable[..., App[None]]


def panel() -> Panel:
    table = Table([Column("a", "a", 5)])
    table.update_rows([Row("1", (("x", "text"),))])
    return Panel(table, title="Agents", key="3")


def edges(app: App[None]) -> tuple[str, str]:
    lines = screen_text(app).splitlines()
    return lines[0], lines[-1]


async def test_the_border_says_what_is_inside(stage: StageOf) -> None:
    app = stage(panel())
    async with app.run_test(size=(50, 6)) as pilot:
        framed = app.query_one(Panel)
        framed.say(
            count="12",
            info=[("by state", "muted"), ("2s", "muted")],
            note=[("/wc", "accent"), ("3 of 12", "muted")],
        )
        await pilot.pause()
        top, bottom = edges(app)

        assert top.startswith("╭─ 3 Agents 12 ───")
        assert top.endswith("── by state ─ 2s ─╮")
        assert bottom.endswith("─ /wc ─ 3 of 12 ─╯")

        framed.say(title="Crew", info=[], note=[])
        await pilot.pause()
        top, bottom = edges(app)
        assert top == "╭─ 3 Crew 12 " + "─" * 36 + "╮"
        assert bottom == "╰" + "─" * 48 + "╯"


async def test_what_does_not_fit_goes_the_first_first(stage: StageOf) -> None:
    app = stage(panel())
    async with app.run_test(size=(24, 6)) as pilot:
        app.query_one(Panel).say(
            info=[("sorted by state", "muted"), ("2s", "muted")],
            note=[("a very long filter text", "accent"), ("3 of 12", "muted")],
        )
        await pilot.pause()
        top, bottom = edges(app)

        assert top.endswith(" 2s ─╮")
        assert "sorted" not in top
        assert bottom.endswith(" 3 of 12 ─╯")


async def test_a_doubt_is_cut_but_never_left_out(stage: StageOf) -> None:
    app = stage(panel())
    async with app.run_test(size=(60, 6)) as pilot:
        framed = app.query_one(Panel)
        framed.say(
            count="12", info=[("2s", "muted")], edge="warn",
            doubt="! may have holes: disk space",
        )  # fmt: skip
        await pilot.pause()
        assert edges(app)[0].endswith("─ ! may have holes: disk space ─ 2s ─╮")
        assert framed.has_class("-warn")

        for width, top in (
            (40, "╭─ 3 Agents ─ ! may have holes:… ─ 2s ─╮"),
            (26, "╭─ 3 Agents ─ ! may ha… ─╮"),
            (18, "╭─ 3 Agents ─ ! ─╮"),
        ):
            await pilot.resize_terminal(width, 6)
            await pilot.pause()
            assert edges(app)[0] == top

        framed.say(doubt="", edge="border")
        await pilot.pause()
        assert edges(app)[0] == "╭─ 3 Agents 12 ──╮"


async def test_a_figure_in_the_border_paints_the_border_alone(stage: StageOf) -> None:
    app = stage(panel())
    async with app.run_test(size=(50, 10)) as pilot:
        framed = app.query_one(Panel)
        framed.say(info=[("2s", "muted")])
        await pilot.pause()
        painted = Painted(framed)

        framed.say(info=[("3s", "muted")])
        framed.say(info=[("3s", "muted")])

        assert painted.whole == 0
        assert painted.cells == 50


async def test_focus_changes_border_and_title(stage: StageOf) -> None:
    app = stage(panel())
    async with app.run_test(size=(50, 6)) as pilot:
        app.query_one(Table).focus()
        await pilot.pause()
        framed = app.query_one(Panel)
        focused = framed.styles.border_top
        title = framed._border_title

        app.set_focus(None)
        await pilot.pause()

        assert framed.styles.border_top != focused
        assert title is not None
        assert framed._border_title is not None
        assert not framed._border_title.is_same(title)


async def test_foreign_counts_are_cleaned_and_markup_is_text(stage: StageOf) -> None:
    app = stage(panel())
    async with app.run_test(size=(50, 6)) as pilot:
        app.query_one(Panel).say(count="[/x]\x1b[2J")
        await pilot.pause()

        assert "[/x]␛[2J" in edges(app)[0]


async def test_ascii_only_is_ascii(stage: StageOf) -> None:
    app = stage(panel(), terminal=Terminal(ascii_only=True))
    async with app.run_test(size=(50, 6)) as pilot:
        app.query_one(Panel).say(info=[("2s", "muted")])
        await pilot.pause()

        assert screen_text(app).isascii()
