from collections.abc import Callable

import pytest
from textual.app import App

from nexa_tui.theming import Terminal
from nexa_tui.widgets.columns import Column
from nexa_tui.widgets.table import Row, Table
from tests.tui.widgets.looks import Painted, shown

StageOf = Callable[..., App[None]]
COLUMNS = (
    Column("state", "state", 6),
    Column("name", "name", 8, flexible=1),
    Column("done", "done", 6, "right"),
    Column("node", "node", 8, priority=1),
)


def row(number: int, done: str = "1", style: str = "text") -> Row:
    cells = (("ok", "ok"), (f"n{number}", "strong"), (done, style), ("alpha", "muted"))
    return Row(f"n{number}", cells)


def rows(count: int) -> list[Row]:
    return [row(number) for number in range(count)]


class Lazy:
    """Rows that are made when they are looked at, and counts how many were."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.made: set[int] = set()

    def __len__(self) -> int:
        return self.count

    def key(self, index: int) -> str:
        return f"n{index}"

    def row(self, index: int) -> Row:
        self.made.add(index)
        return row(index)


async def test_rows_stand_in_their_columns(stage: StageOf) -> None:
    table = Table(COLUMNS)
    async with stage(table).run_test(size=(60, 6)) as pilot:
        table.update_rows(rows(2))
        await pilot.pause()

        lines = shown(table)
        assert lines[0].split() == ["state", "name", "done", "node"]
        assert lines[1].split() == ["▌ok", "n0", "1", "alpha"] or "n0" in lines[1]
        assert lines[1].index("1", 12) == lines[0].index("done") + 3
        assert lines[2].startswith(" ok")


async def test_narrow_tables_hide_what_matters_least(stage: StageOf) -> None:
    table = Table(COLUMNS)
    async with stage(table).run_test(size=(28, 6)):
        table.update_rows(rows(2))

        assert shown(table)[0].split() == ["state", "name", "done"]


async def test_keys_move_the_cursor(stage: StageOf) -> None:
    table = Table(COLUMNS)
    async with stage(table).run_test(size=(60, 11)) as pilot:
        table.update_rows(rows(100))
        table.focus()
        for key, cursor in (
            ("j", 1), ("down", 2), ("k", 1), ("up", 0), ("G", 99), ("g", 0),
            ("pagedown", 10), ("pageup", 0), ("ctrl+d", 5), ("ctrl+u", 0),
            ("end", 99), ("home", 0), ("up", 0),
        ):  # fmt: skip
            await pilot.press(key)
            assert table.cursor == cursor, key


async def test_the_line_in_focus_is_always_on_the_screen(stage: StageOf) -> None:
    table = Table(COLUMNS)
    async with stage(table).run_test(size=(60, 11)) as pilot:
        table.update_rows(rows(100))
        table.focus()
        await pilot.press("G")
        assert table.top == 90
        assert "n99" in shown(table)[-1]

        await pilot.resize_terminal(60, 7)
        assert table.top <= 99 < table.top + table.window


async def test_the_cursor_follows_its_row(stage: StageOf) -> None:
    table = Table(COLUMNS)
    async with stage(table).run_test(size=(60, 11)) as pilot:
        table.update_rows(rows(50))
        table.move_to_key("n20")
        before = table.cursor - table.top

        table.update_rows([row(number) for number in range(100, 105)] + rows(50))
        await pilot.pause()

        assert table.cursor_key == "n20"
        assert table.cursor - table.top == before


async def test_the_cursor_stays_in_place_when_its_row_goes(stage: StageOf) -> None:
    table = Table(COLUMNS)
    app = stage(table)
    async with app.run_test(size=(60, 11)) as pilot:
        table.update_rows(rows(5))
        table.move_to(4)

        table.update_rows(rows(3))
        await pilot.pause()
        assert table.cursor_key == "n2"
        assert app.told[-1] == ("Highlighted", "n2")

        table.update_rows([])
        assert table.cursor_key is None
        assert table.cursor == 0


async def test_a_cursor_move_paints_two_lines(stage: StageOf) -> None:
    table = Table(COLUMNS)
    async with stage(table).run_test(size=(60, 11)):
        table.update_rows(rows(50))
        painted = Painted(table)

        table.action_move(1)

        assert painted.whole == 0
        assert sorted(region.y for region in painted.regions) == [1, 2]


async def test_only_the_characters_that_changed_are_painted(stage: StageOf) -> None:
    table = Table(COLUMNS)
    async with stage(table).run_test(size=(60, 11)) as pilot:
        table.update_rows([row(number, "1234") for number in range(50)])
        await pilot.pause()
        changed = [row(number, "1234") for number in range(50)]
        changed[3] = row(3, "1239")
        changed[40] = row(40, "9999")
        painted = Painted(table)

        table.update_rows(changed)

        assert (painted.whole, painted.cells) == (0, 1)
        assert painted.regions[0].y == 4


async def test_a_change_of_style_paints_the_cell(stage: StageOf) -> None:
    table = Table(COLUMNS)
    async with stage(table).run_test(size=(60, 11)) as pilot:
        table.update_rows(rows(5))
        await pilot.pause()
        painted = Painted(table)

        table.update_rows([row(0, style="crit"), *rows(5)[1:]])

        assert painted.cells == 6


async def test_wide_characters_are_painted_with_their_cell(stage: StageOf) -> None:
    table = Table(COLUMNS)
    async with stage(table).run_test(size=(60, 11)) as pilot:
        table.update_rows([row(0, "结")])
        await pilot.pause()
        painted = Painted(table)

        table.update_rows([row(0, "果")])

        assert painted.cells == 6


async def test_rows_that_come_and_go_are_painted(stage: StageOf) -> None:
    table = Table(COLUMNS)
    async with stage(table).run_test(size=(60, 11)) as pilot:
        table.update_rows(rows(3))
        await pilot.pause()

        table.update_rows(rows(5))
        await pilot.pause()
        assert "n4" in shown(table)[5]

        table.update_rows(rows(2))
        await pilot.pause()
        assert shown(table)[3] == ""


async def test_only_rows_on_the_screen_are_made(stage: StageOf) -> None:
    table = Table(COLUMNS)
    async with stage(table).run_test(size=(60, 11)) as pilot:
        first = Lazy(10_000)
        table.update_rows(first)
        await pilot.pause()
        table.move_to(5_000)
        await pilot.pause()
        second = Lazy(10_000)
        table.update_rows(second)
        await pilot.pause()

        assert len(first.made) <= 30
        assert second.made <= set(range(4_980, 5_020))
        assert table.move_to_key("n9000")
        assert not table.move_to_key("nobody")
        assert len(second.made) <= 40


async def test_an_empty_table_teaches(stage: StageOf) -> None:
    table = Table(COLUMNS, empty="No agent has joined.", hint="nexa agent run")
    async with stage(table).run_test(size=(60, 11)) as pilot:
        text = "\n".join(shown(table))
        assert "No agent has joined." in text
        assert "nexa agent run" in text

        table.say_when_empty("No agent fits the filter.", "esc clears it")
        await pilot.pause()
        assert "No agent fits" in "\n".join(shown(table))

        await pilot.press("enter", "j", "G")
        assert table.cursor == 0


async def test_enter_and_a_second_click_choose(stage: StageOf) -> None:
    table = Table(COLUMNS)
    app = stage(table)
    async with app.run_test(size=(60, 11)) as pilot:
        table.update_rows(rows(5))
        table.focus()
        await pilot.press("j", "enter")
        await pilot.click(Table, offset=(5, 4))
        await pilot.click(Table, offset=(5, 4))
        await pilot.click(Table, offset=(5, 9))
        await pilot.pause()

    assert app.told == [
        ("Highlighted", "n0"),
        ("Highlighted", "n1"),
        ("Selected", "n1"),
        ("Highlighted", "n3"),
        ("Selected", "n3"),
    ]


async def test_a_click_on_a_title_asks_for_its_order(stage: StageOf) -> None:
    table = Table(COLUMNS)
    asked: list[str] = []

    class Asked(type(stage(table))):
        def on_table_header_clicked(self, message: Table.HeaderClicked) -> None:
            assert message.control is table
            asked.append(message.column)

    async with Asked(table, terminal=Terminal()).run_test(size=(60, 11)) as pilot:
        table.update_rows(rows(5))
        await pilot.click(Table, offset=(2, 0))
        await pilot.click(Table, offset=(10, 0))
        await pilot.click(Table, offset=(59, 0))

    assert asked == ["state", "name"]


@pytest.mark.parametrize(
    ("ascii_only", "up", "down"), [(False, "▴", "▾"), (True, "^", "v")]
)
async def test_the_sorted_column_carries_an_arrow(
    stage: StageOf, ascii_only: bool, up: str, down: str
) -> None:
    table = Table(COLUMNS)
    app = stage(table, terminal=Terminal(ascii_only=ascii_only))
    async with app.run_test(size=(60, 11)) as pilot:
        table.update_rows(rows(5))
        table.sorted_by("name")
        await pilot.pause()
        assert f"name{up}" in shown(table)[0]

        table.sorted_by("name", reverse=True)
        await pilot.pause()
        assert f"name{down}" in shown(table)[0]

        table.sorted_by(None)
        await pilot.pause()
        assert down not in shown(table)[0].replace("nod", "")


async def test_a_thumb_shows_where_in_a_long_table_one_is(stage: StageOf) -> None:
    table = Table(COLUMNS)
    async with stage(table).run_test(size=(60, 11)) as pilot:
        table.update_rows(rows(100))
        await pilot.pause()
        assert [line.endswith("┃") for line in shown(table)].index(True) == 1

        table.move_to(99)
        await pilot.pause()
        assert shown(table)[-1].endswith("┃")

        table.update_rows(rows(5))
        await pilot.pause()
        assert not any(line.endswith("┃") for line in shown(table))


async def test_ascii_only_is_ascii(stage: StageOf) -> None:
    table = Table(COLUMNS)
    app = stage(table, terminal=Terminal(ascii_only=True))
    async with app.run_test(size=(30, 11)):
        table.update_rows([row(n, "a very long text") for n in range(100)])

        assert all(line.isascii() for line in shown(table))


async def test_the_wheel_scrolls(stage: StageOf) -> None:
    table = Table(COLUMNS)
    async with stage(table).run_test(size=(60, 11)) as pilot:
        table.update_rows(rows(100))
        await pilot.pause()
        table.scroll_to(y=20, animate=False)
        await pilot.pause()

        assert "n20" in shown(table)[1]


async def test_rows_given_before_the_table_is_shown_are_shown(stage: StageOf) -> None:
    table = Table(COLUMNS)
    table.update_rows(rows(40))
    async with stage(table).run_test(size=(60, 11)):
        assert "n0" in shown(table)[1]
        assert table.max_scroll_y == 30
