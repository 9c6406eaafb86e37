"""A node that is gone: what it said last stays to be read, and nothing is asked of it."""

import re
from pathlib import Path

import pytest

from nexa_tui.client.api import Lost, Received
from nexa_tui.theming import Terminal
from tests import builders
from tests.tui.scenes import AT, picture
from tests.tui.screens.pilot import TINY, Hand, Stage, later

LOST = Lost("the connection to alpha broke", "nexa node start", AT + 9, 1)
PLAIN = Terminal(ascii_only=True, colours="none")


async def lose(hand: Hand) -> None:
    """Have the node fall silent as a killed one does."""
    hand.stage.node.tell(LOST)
    await hand.until_seen("node is gone")


def working(hand: Hand) -> set[str]:
    """The beginnings of the rows that say an agent works; fewer fit below a verdict."""
    rows = hand.seen().splitlines()
    return {row[4:20] for row in rows if "busy " in row[:20]}


@pytest.mark.parametrize("terminal", [None, PLAIN])
async def test_the_last_figures_stay_and_are_said_to_be_stale(
    tmp_path: Path, terminal: Terminal | None
) -> None:
    stage = Stage(home=tmp_path, terminal=terminal)
    async with stage.open() as hand:
        before = stage.session.state
        await hand.until_seen("busy", "running")
        shown = working(hand)
        await lose(hand)
        stage.clock.seconds += 30
        await hand.until_seen("Agents stale, ", "Tasks stale, ", "STALE")

        assert stage.session.state.agents == before.agents
        assert stage.session.state.counts == before.counts
        still = working(hand)
        assert still
        assert still <= shown
        for key in ("3", "4"):
            await hand.press(key)
            await hand.until_seen("stale, ", "node is gone")


async def test_what_needs_the_node_is_not_offered_and_says_why(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("3")
        await hand.until_seen("D disconnect", "M drain")
        await lose(hand)
        await hand.until(lambda: "disconnect" not in hand.seen(), "no such key")
        assert "M drain" not in hand.seen()
        for key, label in (("D", "disconnect"), ("M", "drain"), ("n", "send")):
            await hand.press(key)
            await hand.until_told(f"{label}: not now, nothing heard from alpha for ")
            hand.app.clear_notifications()
        assert hand.top == "Dashboard"
        assert stage.node.asked == []

        stage.tell(later())
        await hand.until_seen("D disconnect")
        await hand.press("D")
        await hand.until(lambda: hand.top == "Confirm", "it is offered again")


@pytest.mark.parametrize("nodes", [1, 3])
async def test_a_demo_does_not_advise_to_start_a_node_of_ones_own(
    tmp_path: Path, nodes: int
) -> None:
    cluster = builders.cluster(
        nodes=tuple(builders.node(f"n{i}") for i in range(nodes))
    )
    news = Received(picture(cluster=cluster), AT)
    async with Stage(news, home=tmp_path, environ={"NEXA_DEMO": "1"}).open() as hand:
        await lose(hand)
        advice = "q, then nexa demo" if nodes == 1 else "another of the demo's nodes"
        await hand.until_seen(advice)
        assert "nexa node start" not in hand.seen()


async def test_the_caller_has_the_name_that_the_audit_has(tmp_path: Path) -> None:
    told = builders.node_status(whoami="token:k3v9", who="ada")
    news = Received(picture(node=told), AT)
    async with Stage(news, home=tmp_path).open() as hand:
        await hand.press("9")
        await hand.until_seen("drain")
        first, *rest = hand.seen().splitlines()
        assert "ada" in first
        assert any("ada" in line for line in rest)
        assert "token:k3v9" not in hand.seen()


async def test_enter_on_a_cluster_is_told_in_one_way(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open((120, 60)) as hand:
        await hand.press("0")
        await hand.until_seen("Enter turns to it", "Enter turn to")
        await hand.press("?")
        await hand.until_seen("Turn to the cluster of the row.")
        assert "Details of the row" not in hand.seen()
        (line,) = [one for one in hand.seen().splitlines() if "Turn to the cl" in one]
        assert "Enter d" in line


async def test_on_a_tiny_screen_no_figure_of_the_verdict_is_cut(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open(TINY) as hand:
        line = next(one for one in hand.seen().splitlines() if "running" in one)
        assert "…" not in line
        assert re.search(r"\d+ running  \d+ waiting", line), line
