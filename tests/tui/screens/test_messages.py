"""Messages as they come, what is sent, and dead letters."""

from datetime import timedelta
from pathlib import Path

import pytest

from nexa_node.contract.errors import Forbidden
from nexa_node.contract.messages import Posted
from tests.builders import NOW
from tests.tui.screens.pilot import SMALL, USUAL, Stage


def posted(seq: int, data: object, topic: str = "orders.new") -> Posted:
    return Posted(
        seq=seq, id=f"m{seq}", sender="shop-9", topic=topic, type="order",
        time=NOW + timedelta(seconds=seq - 9029), data=data,
    )  # fmt: skip


@pytest.mark.parametrize("size", [USUAL, SMALL])
async def test_the_newest_messages_are_on_top_and_more_come(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with Stage(home=tmp_path).open(size) as hand:
        await hand.press("5")
        await hand.until(lambda: len(hand.rows()) == 30)
        hand.stage.node.message_news.put_nowait((posted(9100, {"n": 1}),))
        await hand.until(lambda: len(hand.rows()) == 31)
        assert hand.rows()[0] == "9100"
        assert hand.stage.node.tailed[0] == ("default", ">")


async def test_enter_shows_the_envelope_and_the_data_laid_out(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("5")
        await hand.until(hand.rows)
        await hand.press("enter")
        await hand.until_seen("orders.eu.failed", "bank-2", '"id": 4713', "JSON, 44 B")
        await hand.press("escape")
        assert hand.top == "Dashboard"


async def test_other_topics_are_followed_by_key_and_by_command(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("5", "f")
        await hand.press(*["backspace"], *"orders", ".", "*", "enter", "enter")
        await hand.until(lambda: ("default", "orders.*") in hand.stage.node.tailed)
        await hand.until_seen("orders.*")
        await hand.press(":", *"tail sensors", ".", ">", "enter")
        await hand.until(lambda: ("default", "sensors.>") in hand.stage.node.tailed)


async def test_a_picture_that_is_held_changes_only_when_it_is_let_go(
    tmp_path: Path,
) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("5")
        await hand.until(hand.rows)
        await hand.press("p")
        hand.stage.node.message_news.put_nowait((posted(9100, 1),))
        await hand.until_seen("held, 31 seen")
        assert len(hand.rows()) == 30
        await hand.press("p")
        await hand.until(lambda: len(hand.rows()) == 31)


async def test_what_comes_too_fast_is_sampled_and_that_is_told(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        node = hand.stage.node
        await hand.press("5")
        await hand.until(hand.rows)
        flood = tuple(posted(10_000 + n, n) for n in range(150))
        node.message_end = 60_000
        node.message_news.put_nowait(flood)
        await hand.until_seen("sampled")


async def test_filter_sort_and_escape_work_as_in_every_list(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("5")
        await hand.until(hand.rows)
        await hand.press("/", *"paid", "enter")
        await hand.until(lambda: len(hand.rows()) == 5)
        await hand.press("escape", "s")
        await hand.until_seen("by topic")
        await hand.press("S", "!")
        await hand.until_seen("Nothing is wrong here")


async def test_a_message_is_sent_and_the_command_for_it_is_told(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("5", "n")
        await hand.until_seen("topic:orders.eu.failed")
        await hand.press("enter", *"retry", "enter", *"{1", "enter")
        await hand.until_seen("no JSON")
        await hand.press("backspace", "backspace", *'{"n":1}', "enter")
        await hand.until_told("nexa send topic:orders.eu.failed retry --data")
        assert hand.stage.node.asked == [("send", "orders.eu.failed retry")]


@pytest.mark.parametrize(
    ("typed", "fault"), [(("enter", "enter", "enter"), "Say to whom")]
)
async def test_a_message_to_nobody_is_not_sent(
    tmp_path: Path, typed: tuple[str, ...], fault: str
) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("1", ":", *"send", "enter", *typed)
        await hand.until_seen(fault)
        await hand.press("escape")
        assert hand.stage.node.asked == []


async def test_a_dead_letter_is_redriven_after_it_was_asked(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("5", "[")
        await hand.until(lambda: len(hand.rows()) == 3)
        key = hand.rows()[0]
        await hand.press("r")
        await hand.until_seen("failed 5 times", "nexa dead-letters redrive", key)
        await hand.press("tab", "enter")
        await hand.until_told("is in its queue again")
        assert hand.stage.node.asked == [("redrive", key)]


async def test_a_dead_letter_is_purged_after_it_was_asked(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("5", "[")
        await hand.until(hand.rows)
        await hand.press("X")
        await hand.until_seen("gone for good")
        await hand.press("tab", "enter")
        await hand.until_told("is forgotten")
        assert [verb for verb, _ in hand.stage.node.asked] == ["purge"]


async def test_enter_on_a_dead_letter_opens_its_task(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("5", "[")
        await hand.until(hand.rows)
        await hand.press("enter")
        await hand.until_seen("Task")
        assert hand.dashboard.view.place == "detail"


@pytest.mark.parametrize("keys", [("5",), ("5", "]"), ("5", "]", "]"), ("5", "[")])
async def test_who_may_not_read_messages_is_told_so(
    tmp_path: Path, keys: tuple[str, ...]
) -> None:
    no = Forbidden("a viewer may not read this", remedy="use a token of an operator")
    async with Stage(home=tmp_path, refusal=no).open() as hand:
        await hand.press(*keys)
        await hand.until_seen(
            "a viewer may not read this", "use a token of an operator"
        )


async def test_topics_are_counted_and_enter_follows_one(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("5", "]")
        await hand.until_seen("Topics", "orders.eu.paid")
        first = hand.rows()[0]
        await hand.press("enter")
        await hand.until(lambda: ("default", first) in hand.stage.node.tailed)
        assert hand.where == "view-messages"


async def test_an_inbox_is_looked_into_and_nothing_is_taken(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("5", "]", "]")
        await hand.until(hand.rows)
        await hand.press("enter")
        await hand.until_seen("Inbox of wc-1", "order.failed")
        assert hand.stage.node.asked == []


async def test_what_is_not_looked_at_is_not_asked_for(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("5")
        await hand.until(hand.rows)
        asked = hand.stage.node.tailed
        await hand.press("1")
        hand.stage.node.message_news.put_nowait((posted(9100, 1),))
        await hand.until(hand.stage.node.message_news.empty)
        await hand.pilot.pause(0.4)
        seen = len(asked)
        await hand.press("5")
        await hand.until(lambda: len(hand.rows()) == 31)
        assert len(asked) == seen + 1
