from collections.abc import Callable
from dataclasses import replace

import pytest
from textual.app import App

from nexa_tui.theming import Terminal
from nexa_tui.widgets.checks import CheckLine, Checks
from tests.tui.hostile import CORPUS
from tests.tui.widgets.looks import Painted, shown

StageOf = Callable[..., App[None]]
CHECKS = (
    CheckLine("python", "this machine", "Python", "pass", 0.4, "3.11.7"),
    CheckLine("clock", "this machine", "clock", "warn", 12, "1.4 s ahead",
              "The clock is ahead of beta's.", "timedatectl set-ntp true"),
    CheckLine("store", "node", "store round trip", "running", 2300),
    CheckLine("db", "connectivity", "postgres", "fail", 5000, "time-out",
              "No answer from db.internal:5432 within 5 s.", "check the firewall"),
    CheckLine("quorum", "cluster", "quorum margin", "pending"),
)  # fmt: skip


async def test_every_check_has_glyph_word_title_time_and_detail(stage: StageOf) -> None:
    checks = Checks()
    async with stage(checks).run_test(size=(80, 24)) as pilot:
        checks.update_checks(CHECKS)
        await pilot.pause()
        lines = shown(checks)

    assert lines[0].split() == ["this", "machine", "2/2", "1", "warns"]
    assert lines[1].split() == ["▌", "✓", "pass", "Python", "0.4", "ms", "3.11.7"]
    assert "! warn     clock" in lines[2]
    assert any("node  0/1" in line for line in lines)
    assert any(
        "▸ running  store round trip" in line and "2.30 s" in line for line in lines
    )
    assert any("◌ pending  quorum margin" in line for line in lines)


async def test_the_check_in_focus_opens(stage: StageOf) -> None:
    checks = Checks()
    async with stage(checks).run_test(size=(80, 24)) as pilot:
        checks.update_checks(CHECKS)
        checks.focus()
        await pilot.press("j")
        text = "\n".join(shown(checks))
        assert "why   The clock is ahead of beta's." in text
        assert "mend  timedatectl set-ntp true" in text

        await pilot.press("j")
        assert "timedatectl" not in "\n".join(shown(checks))
        assert checks.current == CHECKS[2]


async def test_the_cursor_goes_from_check_to_check(stage: StageOf) -> None:
    checks = Checks()
    app = stage(checks)
    async with app.run_test(size=(80, 12)) as pilot:
        checks.update_checks(CHECKS)
        checks.focus()
        visited: list[str] = []
        for key in (
            "j",
            "j",
            "j",
            "j",
            "j",
            "k",
            "k",
            "k",
            "k",
            "k",
            "G",
            "g",
            "enter",
        ):
            await pilot.press(key)
            assert checks.current is not None
            visited.append(checks.current.id)

    assert visited[:5] == ["clock", "store", "db", "quorum", "quorum"]
    assert visited[5:10] == ["db", "store", "clock", "python", "python"]
    assert visited[10:] == ["quorum", "python", "python"]
    assert app.told[-1] == ("Selected", "python")


async def test_a_check_can_be_shown(stage: StageOf) -> None:
    checks = Checks()
    async with stage(checks).run_test(size=(80, 24)) as pilot:
        checks.update_checks(CHECKS)
        checks.focus_check("db")
        checks.focus_check("nobody")
        await pilot.pause()

        assert checks.current == CHECKS[3]
        assert "check the firewall" in "\n".join(shown(checks))


async def test_a_result_paints_only_its_lines(stage: StageOf) -> None:
    checks = Checks()
    async with stage(checks).run_test(size=(80, 24)) as pilot:
        checks.update_checks(CHECKS)
        await pilot.pause()
        painted = Painted(checks)

        done = replace(CHECKS[2], status="pass", duration_ms=12.0)
        checks.update_checks((*CHECKS[:2], done, *CHECKS[3:]))
        await pilot.pause()

        assert painted.whole == 0
        assert len({region.y for region in painted.regions}) == 2  # its group counts
        assert "✓ pass     store" in "\n".join(shown(checks))


async def test_focus_stays_where_it_is_when_results_come(stage: StageOf) -> None:
    checks = Checks()
    async with stage(checks).run_test(size=(80, 24)) as pilot:
        checks.update_checks(CHECKS[3:])
        checks.focus_check("db")
        checks.update_checks(CHECKS)
        await pilot.pause()

        assert checks.cursor_key == "db"


@pytest.mark.parametrize("width", [30, 50, 110])
async def test_no_line_is_wider_than_the_screen(stage: StageOf, width: int) -> None:
    checks = Checks()
    async with stage(checks).run_test(size=(width, 40)) as pilot:
        checks.update_checks(CHECKS)
        checks.focus_check("db")
        await pilot.resize_terminal(width - 1, 40)
        await pilot.pause()

        assert all(
            checks.render_line(y).cell_length == checks.size.width for y in range(20)
        )
        if width >= 50:
            assert "5.00 s" in "\n".join(shown(checks))


async def test_before_the_first_check_there_is_a_word(stage: StageOf) -> None:
    checks = Checks()
    async with stage(checks).run_test(size=(80, 12)) as pilot:
        assert "The self-test starts." in "\n".join(shown(checks))
        checks.focus()
        await pilot.press("j", "G", "enter")
        assert checks.current is None


async def test_hostile_results_are_text(stage: StageOf) -> None:
    checks = Checks()
    async with stage(checks).run_test(size=(80, 24)):
        for text in CORPUS:
            line = CheckLine("a", text, text, text, 1, text, text, text)
            checks.update_checks([line])

            assert all(line.isprintable() for line in shown(checks))


async def test_ascii_only_is_ascii(stage: StageOf) -> None:
    checks = Checks()
    app = stage(checks, terminal=Terminal(ascii_only=True))
    async with app.run_test(size=(60, 24)) as pilot:
        checks.update_checks(CHECKS)
        await pilot.pause()

        assert all(line.isascii() for line in shown(checks))
