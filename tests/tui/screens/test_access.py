"""View 9: the audit and its verification, tokens, roles, and what is done with them."""

from pathlib import Path

import msgspec

from nexa_tui.client.api import Received
from tests.builders import node_status
from tests.tui.scenes import picture
from tests.tui.screens.pilot import AT, Stage

ADMIN = Received(
    msgspec.structs.replace(picture(), node=node_status(role="admin", agents=12)), AT
)


async def test_tokens_and_roles_are_tabs_of_the_audit(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("9", "]")
        await hand.until(lambda: len(hand.rows()) == 3)
        await hand.until_seen("wc fleet", "team-a", "never")
        await hand.press("]")
        await hand.until_seen("desk", "tasks:*", "built in")
        await hand.press("enter")
        await hand.until_seen("team-a.>")


async def test_namespaces_show_what_is_left_the_least_first(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press(":", *"namespaces", "enter")
        await hand.until(lambda: len(hand.rows()) == 3)
        await hand.until_seen("team-b", "spent", "1,760,000", "12%", "50 agents")
        await hand.press("enter")
        await hand.until_seen("1,000 each month", "nexa namespace set team-b")
        await hand.press("escape", "j", "enter")
        await hand.until_seen("200,000 each day", "low", "wc-1", "25.0 each day")
        await hand.press("escape", "exclamation_mark")  # only what is wrong
        await hand.until(lambda: len(hand.rows()) == 2)
        await hand.press("exclamation_mark", "]")
        await hand.until(lambda: hand.dashboard.view.place == "audit")


async def test_a_token_is_revoked_once_the_person_has_said_so(tmp_path: Path) -> None:
    async with Stage(ADMIN, home=tmp_path).open() as hand:
        await hand.press("9", "]")
        await hand.until(lambda: len(hand.rows()) == 3)
        await hand.press("X")
        await hand.until_seen("Revoke a token", "nexa token revoke short1")
        await hand.press("tab", "enter")
        await hand.until_told("is revoked")

        assert hand.stage.node.asked == [("revoke_token", "short1")]


async def test_a_new_secret_is_shown_once_and_a_key_has_none(tmp_path: Path) -> None:
    async with Stage(ADMIN, home=tmp_path).open() as hand:
        await hand.press("9", "]")
        await hand.until(lambda: len(hand.rows()) == 3)
        await hand.press("r")
        await hand.until_told("has no secret")
        await hand.press("G", "r")
        await hand.until_seen("Rotate a token", "nexa token rotate first1")
        await hand.press("tab", "enter")
        await hand.until_seen("nxa_recorded", "shown once")

        assert hand.stage.node.asked == [("rotate_token", "first1")]


async def test_a_token_is_made_and_the_command_line_told(tmp_path: Path) -> None:
    async with Stage(ADMIN, home=tmp_path).open() as hand:
        await hand.press("9", "]")
        await hand.until(lambda: len(hand.rows()) == 3)
        await hand.press("n")
        await hand.until_seen("Make a token")
        await hand.press("tab", "tab", "tab", "enter")
        await hand.until_seen("nexa token create --role agent", "nxa_recorded")

        assert hand.stage.node.asked == [("create_token", "agent")]


async def test_the_audit_is_verified(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("9")
        await hand.until(lambda: len(hand.rows()) == 5)
        await hand.press("v")
        await hand.until_told("the audit is whole")
