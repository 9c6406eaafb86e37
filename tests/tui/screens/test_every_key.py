"""Every key that the help names is alive where it is named, and pressed by some test."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexa_tui.actions import ACTIONS, Place
from nexa_tui.client.api import Received
from nexa_tui.screens.keys import method
from tests.tui.alarms import ALERTS
from tests.tui.scenes import AT, picture
from tests.tui.screens.pilot import NAMES as PRINTED, Stage, key_of

TESTS = Path(__file__).parents[1]
BOARD = Received(picture(alerts=ALERTS), AT)
ROUTES: dict[Place, tuple[str, ...]] = {
    "overview": (), "nodes": ("2",), "agents": ("3",), "tasks": ("4",), "messages": ("5",),
    "topics": ("5", "]"), "inboxes": ("5", "]", "]"), "dead-letters": ("5", "["),
    "alerts": ("6",), "silences": ("6", "]"), "alert-history": ("6", "]", "]"),
    "rules": ("6", "["), "metrics": ("7",), "logs": ("8",), "events": ("8", "]"),
    "audit": ("9",), "tokens": ("9", "]"), "clusters": ("0",),
}  # fmt: skip
MOVES = frozenset(("down", "up", "top", "bottom", "half-down", "half-up"))
"""Bound by whatever has lines; tests of those views press them."""


def pressed() -> Iterator[str]:
    """Every key that a test of the console names in a call of `press`."""
    for file in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            named = node.func if isinstance(node, ast.Call) else None
            if isinstance(named, ast.Attribute) and named.attr == "press":
                parts = [p for p in ast.walk(node) if isinstance(p, ast.Constant)]
                texts = [p.value for p in parts if isinstance(p.value, str)]
                yield from (
                    key_of(text)
                    for text in texts
                    if len(text) != 1 or text.isalnum() or text in PRINTED
                )


def test_every_key_is_pressed_by_some_test() -> None:
    """By key: two actions of one key in two places count as one here."""
    known = {*pressed(), *(key for _, key, _ in EFFECTS), *ON_ALERTS}

    missing = {
        (action.id, key)
        for action in ACTIONS
        for key in action.keys
        if key not in known
    }
    assert missing == set()


async def test_every_key_is_bound_where_the_help_names_it(tmp_path: Path) -> None:
    async with Stage(BOARD, home=tmp_path).open() as hand:
        for place, route in ROUTES.items():
            await hand.press("1", *route)
            await hand.until(lambda p=place: hand.dashboard.view.place == p, place)
            active = hand.app.screen.active_bindings
            for action in hand.stage.session.keymap.at(place):
                if action.id in MOVES:
                    continue
                same = {
                    method(one.id)
                    for one in ACTIONS
                    if set(one.keys) & set(action.keys)
                }
                for key in action.keys:
                    assert key in active, (place, action.id, key)
                    assert active[key].binding.action in same | {"choose"}, (place, key)


ON_ALERTS = ("A", "x")
EFFECTS = (
    (("4", "g"), "ctrl+d", "table"),
    (("4", "g"), "pagedown", "table"),
    (("4", "G"), "pageup", "table"),
    ((), "ctrl+p", "Palette"),
    ((), "f1", "Reading"),
    ((), "f5", "Dashboard"),
    ((), "ctrl+c", "Quit"),
)


@pytest.mark.parametrize(("route", "key", "seen"), EFFECTS, ids=str)
async def test_a_second_key_does_what_the_first_does(
    tmp_path: Path, route: tuple[str, ...], key: str, seen: str
) -> None:
    async with Stage(home=tmp_path).open((80, 24)) as hand:
        await hand.press(*route)
        before = hand.table.cursor_key if seen == "table" else None
        await hand.press(key)
        if seen == "table":
            await hand.until(
                lambda: hand.table.cursor_key != before, "the cursor moves"
            )
        else:
            await hand.until(lambda: hand.top == seen, seen)


@pytest.mark.parametrize("key", ON_ALERTS)
async def test_an_alert_is_given_back_or_taken_off_the_board_or_it_says_why_not(
    tmp_path: Path, key: str
) -> None:
    stage = Stage(BOARD, home=tmp_path)
    async with stage.open() as hand:
        await hand.press("6")
        await hand.until(lambda: len(hand.rows()) > 0)
        await hand.press(key)
        await hand.until(
            lambda: bool(hand.told()) or bool(stage.node.asked), "an answer"
        )
