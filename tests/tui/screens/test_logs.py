"""The log of all nodes: followed, filtered, searched by time, read in full."""

from pathlib import Path

import pytest

from nexa_node.contract.errors import Forbidden
from nexa_tui.screens.logs import LogView
from tests.tui.screens.pilot import SMALL, USUAL, Hand, Stage
from tests.tui.traffic import logged


def view(hand: Hand) -> LogView:
    found = hand.dashboard.view
    assert isinstance(found, LogView)
    return found


@pytest.mark.parametrize("size", [USUAL, SMALL])
async def test_the_end_is_followed_until_the_cursor_leaves_it(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with Stage(home=tmp_path).open(size) as hand:
        await hand.press("8")
        await hand.until_seen("8 Logs", "400", "following", "12:00:00.000")
        hand.stage.node.log_news.put_nowait(logged(3, first=400))
        await hand.until(lambda: view(hand).pane.cursor == 402)

        await hand.press("k", "k")
        await hand.until_seen("f follows")
        hand.stage.node.log_news.put_nowait(logged(3, first=403))
        await hand.until(lambda: view(hand).rows == 406)
        assert view(hand).pane.cursor == 400

        await hand.press("f")
        await hand.until_seen("following")
        assert view(hand).pane.cursor == 405


async def test_lines_are_filtered_by_what_they_say_and_where(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("8")
        await hand.until_seen("400")
        await hand.press("/", *"level:error node:beta", "enter")
        await hand.until_seen("of 400")
        await hand.until(lambda: view(hand).rows < 100)
        assert {view(hand)._index.line(n).node for n in range(view(hand).rows)} == {
            "beta"
        }  # pyright: ignore[reportPrivateUsage]
        await hand.press("escape")
        await hand.until(lambda: view(hand).rows == 400)
        await hand.press("!")
        await hand.until_seen("warnings and worse")
        await hand.press("escape")
        await hand.until(lambda: view(hand).rows == 400)
        await hand.press("/", *"nowhere", "enter")
        await hand.until_seen("Nothing fits")


async def test_a_time_is_gone_to(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("8")
        await hand.until_seen("400")
        await hand.press("@", *"11", ":", *"55", "enter")
        await hand.until(
            lambda: view(hand).current() is not None and view(hand).pane.cursor < 399
        )
        line = view(hand).current()
        assert line is not None
        assert f"{line.time:%H:%M:%S}" == "11:55:00"
        await hand.press(":", *"logs at 1m", "enter")
        await hand.until(
            lambda: f"{getattr(view(hand).current(), 'time', ''):%H:%M}" == "11:59"
        )
        await hand.press("@", *"soon", "enter")
        await hand.until_seen("no time: soon")
        await hand.press("escape")
        await hand.press(":", *"logs at soon", "enter")
        await hand.until_told("no time: soon")


async def test_enter_shows_a_line_in_full_with_its_traceback(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("8")
        await hand.until_seen("400")
        await hand.press("/", *"disk_full", "enter", "enter")
        await hand.until_seen(
            "Log line", "OSError: [Errno 28]", "component", "exception"
        )


async def test_the_top_fetches_what_was_before(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        hand.stage.node.logs_before = logged(50, first=-50)
        await hand.press("8")
        await hand.until_seen("400")
        await hand.press("g")
        await hand.until(lambda: view(hand).rows == 450)
        assert view(hand).pane.cursor == 50
        assert hand.stage.node.logs_before == ()


async def test_a_held_picture_shows_nothing_new(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("8")
        await hand.until_seen("400")
        await hand.press("p")
        await hand.until_seen("held")
        hand.stage.node.log_news.put_nowait(logged(3, first=400))
        await hand.until(hand.stage.node.log_news.empty)
        assert view(hand).pane.cursor == 399
        await hand.press("p")
        await hand.until(lambda: view(hand).pane.cursor == 402)


async def test_events_are_the_other_tab(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("8", "]")
        assert hand.where == "view-events"
        await hand.press("[")
        assert hand.where == "view-logs"
        await hand.press(":", *"events", "enter")
        assert hand.where == "view-events"


async def test_a_line_has_an_address_that_leads_back_to_it(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("8")
        await hand.until_seen("400")
        await hand.press("k", "k", "k", "y")
        address = (tmp_path / "state" / "logs" / "copied.txt").read_text().strip()
        await hand.press("f", ":", *address, "enter")
        await hand.until(lambda: view(hand).pane.cursor == 396)


async def test_who_may_not_read_logs_is_told_so_and_asks_again_later(
    tmp_path: Path,
) -> None:
    no = Forbidden("a viewer may not logs", remedy="use a token of an operator")
    async with Stage(home=tmp_path, refusal=no).open() as hand:
        await hand.press("8")
        await hand.until_seen("a viewer may not logs", "use a token of an operator")
        hand.stage.node.refusal = None
        hand.stage.clock.seconds += 5.0
        await hand.until_seen("following")
