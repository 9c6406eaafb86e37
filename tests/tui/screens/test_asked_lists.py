"""Lists that the feed does not carry: asked while they are seen, told when they can't be."""

from pathlib import Path

import pytest

from nexa_node.contract.errors import Forbidden
from nexa_tui.client.api import Received
from tests.tui.alarms import ALERTS
from tests.tui.scenes import AT, picture
from tests.tui.screens.pilot import SMALL, USUAL, Stage

BOARD = Received(picture(alerts=ALERTS), AT)


@pytest.mark.parametrize("size", [USUAL, SMALL])
async def test_the_lists_of_alerts_follow_each_other(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with Stage(BOARD, home=tmp_path).open(size) as hand:
        await hand.press("6", "]")
        await hand.until_seen("Silences", "NexaStoreSlow", "over")
        await hand.press("]")
        await hand.until_seen("What became of alerts", "pending", "firing")
        await hand.press("]")
        await hand.until_seen("Rules", "NexaNodeDown", "err")
        await hand.press("]")
        await hand.until_seen("6 Alerts")
        await hand.press("[")
        await hand.until_seen("Rules")
        await hand.press("escape")
        assert hand.where == "view-overview"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("6", "]", "enter"), ("hides", "disk is being replaced", "end it")),
        (("6", "]", "]", "enter"), ("change", "firing", "NexaNodeDown")),
        (("6", "[", "enter"), ("error", "many-to-many", "rules/mine.yaml")),
        (("9", "enter"), ("what", "nodes:drain", "192.0.2.7", "alpha/e1")),
    ],
)
async def test_enter_shows_a_record_in_full(
    tmp_path: Path, keys: tuple[str, ...], words: tuple[str, ...]
) -> None:
    async with Stage(BOARD, home=tmp_path).open() as hand:
        await hand.press(*keys[:-1])
        await hand.until(hand.rows, "rows")
        await hand.press(keys[-1])
        await hand.until_seen(*words)

        await hand.press("escape")
        assert hand.top == "Dashboard"


async def test_a_silence_is_ended_after_it_was_said_so(tmp_path: Path) -> None:
    async with Stage(BOARD, home=tmp_path).open() as hand:
        await hand.press("6", "]")
        await hand.until(hand.rows, "rows")
        await hand.press("X")
        await hand.until_seen("is told again")
        await hand.press("tab", "enter")
        await hand.until_told("the silence is over")

        assert hand.stage.node.asked == [("expire", "s-1")]


async def test_the_audit_is_filtered_and_problems_are_what_was_refused(
    tmp_path: Path,
) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("9")
        await hand.until(lambda: len(hand.rows()) == 5)
        await hand.press("!")
        assert len(hand.rows()) == 2
        await hand.press("!", "/", *"ada", "enter")
        await hand.until(lambda: len(hand.rows()) == 2)


@pytest.mark.parametrize("keys", [("6", "]"), ("6", "["), ("9",)])
async def test_who_may_not_see_a_list_is_told_so(
    tmp_path: Path, keys: tuple[str, ...]
) -> None:
    no = Forbidden("a viewer may not read this", remedy="use a token of an auditor")
    async with Stage(BOARD, home=tmp_path, refusal=no).open() as hand:
        await hand.press(*keys)
        await hand.until_seen("a viewer may not read this", "use a token of an auditor")
