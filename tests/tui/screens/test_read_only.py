"""A console that only looks: whatever changes something is refused, by key or word."""

import sys
from pathlib import Path

import pytest

from nexa_node.contract.plans import Plan
from nexa_tui.actions import ACTIONS, Action, permitted
from nexa_tui.client.discovery import Target
from nexa_tui.client.read_only import ReadOnly
from nexa_tui.screens.user_actions import UserAction
from tests import builders
from tests.tui.screens.pilot import Stage

NODE = str(builders.NODE_ID)
CHANGING = [action for action in ACTIONS if action.right != "watch"]
LOOKING = {action.id for action in ACTIONS} - {action.id for action in CHANGING}
HERE = [action for action in CHANGING if "splash" not in action.where]
WORDS = {"cancel", "drain", "disconnect", "create", "revoke", "rotate", "send", "add",
         "ack", "unack", "note", "dismiss", "expire", "redrive", "purge", "remove",
         "maintenance", "start", "join-token", "demo"}  # fmt: skip


def test_an_action_named_like_a_change_needs_a_right() -> None:
    named = {
        action.id
        for action in ACTIONS
        if action.words and WORDS & set(action.words.split())
    }

    assert named
    assert named & LOOKING == set()


@pytest.mark.parametrize("action", CHANGING, ids=lambda one: one.id)
@pytest.mark.parametrize("role", ["viewer", "operator", "admin", None])
def test_none_of_them_is_offered(action: Action, role: str | None) -> None:
    assert not permitted(action, role=role, read_only=True)


async def test_each_is_refused_and_nothing_is_asked_of_the_node(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    own = {
        "own-touch": UserAction(command=("touch", str(mark)), confirm=False),
        "own-say": UserAction(
            command=(sys.executable, "-c", "print('said')"), confirm=False, looks=True
        ),
    }
    stage = Stage(home=tmp_path, read_only=True, own=own)
    async with stage.open() as hand:
        deeds = hand.app._deeds
        for action in HERE:
            for key in ("", "wc-1"):
                deeds.do(action.id, key)
                await hand.until_told(f"{action.label}: refused, this console is read-")
                hand.app.clear_notifications()
        deeds.do("own-touch")
        await hand.until_told("refused, this console is read-only")
        deeds.do("own-say")
        await hand.until(lambda: hand.top == "Reading", "what it said")

        assert stage.node.asked == []
        assert not mark.exists()
        assert stage.node.target.read_only


async def test_nothing_is_started_from_the_splash(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path, node=False, splash=True, read_only=True)
    async with stage.open() as hand:
        for action in CHANGING:
            if action not in HERE:
                hand.app._deeds.do(action.id)
                await hand.until_told(f"{action.label}: refused, this console is read-")

        assert stage.session.starting is None


async def test_nor_by_a_context_that_is_read_only(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    stage.session.attach(Target("http://x", None, "prod", "a context", read_only=True))
    async with stage.open() as hand:
        for action in HERE:
            hand.app._deeds.do(action.id, "wc-1")
            await hand.until_told(f"{action.label}: refused, this console is read-")
            hand.app.clear_notifications()

        assert stage.node.asked == []


async def test_a_dialog_tells_the_plan_and_does_just_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(home=tmp_path)
    done: list[tuple[str, str | None]] = []

    async def drain(node_id: str, *, plan: str | None = None) -> None:
        done.append((node_id, plan))

    async with stage.open((120, 40)) as hand:
        monkeypatch.setattr(stage.node, "drain", drain)
        hand.app._deeds.do("node-drain", NODE)
        await hand.until_seen("The node plans: 1 agent, 2 tasks; good until")
        await hand.press("right", "enter")
        await hand.until(lambda: len(done) == 1, "the drain")

    assert done[0][1] == "plan-drain"


async def test_what_the_node_does_not_plan_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(home=tmp_path)

    async def plan(*_: object) -> Plan:
        raise ReadOnly("no plan for you")

    async with stage.open() as hand:
        monkeypatch.setattr(stage.node, "plan", plan)
        hand.app._deeds.do("node-drain", NODE)
        await hand.until_told("no plan for you")

        assert hand.top == "Dashboard"
