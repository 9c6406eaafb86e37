"""Metrics under the fingers: figures, range, cross-hair, questions of one's own."""

from pathlib import Path

import pytest

from nexa_node.contract.errors import Invalid
from nexa_tui.screens.metrics import MetricsView
from tests.tui.screens.pilot import SMALL, TINY, USUAL, Hand, Stage


def view(hand: Hand) -> MetricsView:
    found = hand.dashboard.view
    assert isinstance(found, MetricsView)
    return found


@pytest.mark.parametrize("size", [USUAL, SMALL, TINY])
async def test_the_first_figure_is_a_chart_with_its_series(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with Stage(home=tmp_path).open(size) as hand:
        await hand.press("7")
        await hand.until_seen("tasks completed", "/s at 12:00:00")


async def test_another_figure_is_shown_when_the_cursor_comes_to_it(
    tmp_path: Path,
) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("7", "j", "j", "j")
        await hand.until_seen("queue=translate", "queue=wc")


async def test_range_is_longer_and_shorter_within_what_nodes_keep(
    tmp_path: Path,
) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("7")
        await hand.until_seen("last 1h00m")
        await hand.press("+", "+", "+")
        await hand.until_seen("last 1d00h")
        await hand.press(*("-",) * 6)
        await hand.until_seen("last 5m00s")
        assert hand.where == "view-metrics"


async def test_the_cross_hair_tells_what_was_then(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("7")
        await hand.until_seen("at 12:00:00")
        await hand.press("left", "left", "left")
        await hand.until(lambda: "at 12:00:00" not in hand.seen())

        await hand.press(*("right",) * 4)
        await hand.until_seen("at 12:00:00")
        await hand.press("escape")
        assert hand.where == "view-metrics"
        await hand.press("escape")
        assert hand.where == "view-overview"


async def test_a_question_of_ones_own(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("7", "/")
        await hand.until(lambda: hand.top == "Form")
        await hand.press("ctrl+u", *"nothing", "enter")
        await hand.until_seen("own question", "No series in this time.")


async def test_a_question_is_asked_from_the_palette(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press(":", *"metrics", "space", *"query", "space", *"up", "enter")
        await hand.until_seen("own question", "No series in this time.")


async def test_what_the_node_refuses_is_told(tmp_path: Path) -> None:
    no = Invalid("parse error: unexpected end of input")
    async with Stage(home=tmp_path, refusal=no).open() as hand:
        await hand.press("7")
        await hand.until_seen("parse error: unexpected end of input")


async def test_the_chart_alone_and_back(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("7", "enter")
        await hand.until(lambda: "7 Metrics" not in hand.seen())
        await hand.press("escape")
        await hand.until_seen("7 Metrics")
        assert view(hand).address() == (
            "nexa://metrics/sum by (instance)"
            ' (rate(nexa_tasks_total{outcome="completed"}[1m]))'
        )
