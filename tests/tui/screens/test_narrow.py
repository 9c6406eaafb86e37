"""A terminal in which no panel fits."""

# pyright: reportPrivateUsage=false

from pathlib import Path

from tests.tui.screens.pilot import Stage


async def test_the_verdict_alone_is_shown_until_there_is_room(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("question_mark")
        assert hand.top == "Reading"
        await hand.pilot.resize_terminal(24, 6)
        await hand.until(lambda: hand.top == "Narrow")
        await hand.until_seen("24x6 is too small")
        await hand.pilot.resize_terminal(25, 6)
        await hand.until_seen("25x6 is too small")
        await hand.pilot.resize_terminal(100, 30)
        await hand.until(lambda: hand.top == "Reading")


async def test_it_is_left_without_a_question_there(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.pilot.resize_terminal(20, 5)
        await hand.until(lambda: hand.top == "Narrow")
        await hand.press("q")
        await hand.until(lambda: hand.app._exit)
    assert stage.console.return_value == "detach"
