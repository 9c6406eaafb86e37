from collections.abc import Callable

from textual.app import App

from nexa_tui.widgets.loglines import LogLine, LogLines
from tests.tui.widgets.looks import shown

StageOf = Callable[..., App[None]]


def line(number: int, style: str = "text") -> LogLine:
    return LogLine(str(number), "14:03:22", "∙", style, "agent/a", f"event {number}")


def lines(count: int) -> list[LogLine]:
    return [line(number) for number in range(count)]


async def test_the_view_goes_along_with_what_is_new(stage: StageOf) -> None:
    log = LogLines()
    async with stage(log).run_test(size=(60, 5)) as pilot:
        log.update_lines(lines(20))
        await pilot.pause()
        assert "event 19" in shown(log)[-1]

        log.update_lines(lines(25))
        await pilot.pause()
        assert "event 24" in shown(log)[-1]
        assert log.following


async def test_away_from_the_end_the_view_stays(stage: StageOf) -> None:
    log = LogLines()
    async with stage(log).run_test(size=(60, 5)) as pilot:
        log.update_lines(lines(20))
        log.focus()
        await pilot.press("g")

        log.update_lines(lines(30))
        await pilot.pause()
        assert log.cursor_key == "0"
        assert "event 0" in shown(log)[0]
        assert not log.following

        await pilot.press("G")
        log.update_lines(lines(31))
        await pilot.pause()
        assert "event 30" in shown(log)[-1]


async def test_only_the_newest_are_kept(stage: StageOf) -> None:
    log = LogLines(limit=10)
    async with stage(log).run_test(size=(60, 5)) as pilot:
        log.update_lines(lines(100))
        await pilot.pause()

        assert log.line_count() == 10
        assert log.cursor_key == "99"


async def test_narrow_logs_leave_the_source_out(stage: StageOf) -> None:
    log = LogLines()
    async with stage(log).run_test(size=(40, 5)) as pilot:
        log.update_lines([line(1, "crit"), line(2, "muted")])
        await pilot.pause()

        assert "agent/a" not in shown(log)[0]
        assert "event 1" in shown(log)[0]


async def test_an_empty_log_says_so(stage: StageOf) -> None:
    log = LogLines()
    async with stage(log).run_test(size=(40, 6)):
        assert "Nothing has happened yet." in "\n".join(shown(log))
