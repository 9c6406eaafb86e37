"""A runbook's commands, done from the alert without leaving it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexa_node.contract.errors import NexaError
from nexa_tui.client.api import Received
from nexa_tui.screens import runbook_deeds
from tests.tui import alarms
from tests.tui.alarms import ALERTS, FIRING
from tests.tui.scenes import AT, picture
from tests.tui.screens.pilot import Stage

BOOK = """# NexaNodeDown

## Check

    nexa version

## Mend

Strike it off: `nexa cluster remove NODE`, or `nexa rules reload`.
"""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    told = msgspec.structs.replace(alarms.DETAIL, runbook=BOOK)
    monkeypatch.setattr(alarms, "RECORDED", (told, *alarms.RECORDED[1:]))
    return Stage(Received(picture(alerts=ALERTS), AT), home=tmp_path)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """What was started instead of processes."""
    kept: list[tuple[list[str], dict[str, str]]] = []

    async def run(words: list[str], **more: Any) -> tuple[int, str]:
        kept.append((words[3:], more["environ"]))
        if "reload" in words:
            raise NexaError("it took too long")
        return 0, "all well\x1b[2J\n"

    monkeypatch.setattr(runbook_deeds, "run_beside", run)
    return kept


async def test_alert_evidence_runbook_action_acknowledgement_on_one_screen(
    stage: Stage, ran: list[tuple[list[str], dict[str, str]]]
) -> None:
    async with stage.open() as hand:
        await hand.press("6", "enter", "r")
        await hand.until_seen("Runbook of NexaNodeDown", "nexa version")

        await hand.press("enter")
        await hand.until_seen("What it said", "all well")
        assert ran[0][0] == ["version"]

        await hand.press("escape", "a", *"mine", "enter", "enter")
        await hand.until_told("NexaNodeDown is yours")
        assert stage.node.asked == [("acknowledge", f"{FIRING.fingerprint} mine")]
        assert hand.where == "view-detail"


async def test_a_step_the_console_knows_asks_as_it_always_does(
    stage: Stage, ran: list[Any]
) -> None:
    async with stage.open() as hand:
        await hand.press("6", "r", "down", "enter")
        await hand.until_seen("nexa cluster remove NODE")
        blank = hand.app.screen.query_one("#blank-NODE")
        assert getattr(blank, "value", "") == "gamma"

        await hand.press("enter")
        await hand.until(lambda: hand.top == "Confirm" or hand.told())
        assert not ran


async def test_maintenance_is_of_the_node_that_the_alert_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: list[Any]
) -> None:
    book = "## Mend\n\n    nexa node maintenance on\n"
    told = msgspec.structs.replace(alarms.DETAIL, runbook=book)
    monkeypatch.setattr(alarms, "RECORDED", (told, *alarms.RECORDED[1:]))
    stage = Stage(Received(picture(alerts=ALERTS), AT), home=tmp_path)
    async with stage.open() as hand:
        await hand.press("6", "r", "enter", "enter")
        await hand.until(lambda: hand.top == "Confirm")
        assert "nexa node maintenance on gamma" in hand.seen()
        assert not ran
        await hand.press("tab", "enter")
        await hand.until_seen("all well")
        assert ran[0][0] == ["node", "maintenance", "on", "gamma"]


async def test_a_change_is_asked_first_and_its_failure_is_told(
    stage: Stage, ran: list[tuple[list[str], dict[str, str]]]
) -> None:
    async with stage.open() as hand:
        await hand.press("6", "r", "down", "down", "enter")
        await hand.until(lambda: hand.top == "Confirm")
        assert "nexa rules reload" in hand.seen()
        assert not ran

        await hand.press("tab", "enter")
        await hand.until_told("it took too long")
        words, environ = ran[0]
        assert words == ["rules", "reload"]
        assert environ["NEXA_URL"] == stage.node.target.url


async def test_who_may_only_look_may_look_by_it(
    stage: Stage, ran: list[tuple[list[str], dict[str, str]]], tmp_path: Path
) -> None:
    looking = Stage(Received(picture(alerts=ALERTS), AT), home=tmp_path, read_only=True)
    async with looking.open() as hand:
        await hand.press("6", "r", "down", "down", "enter")
        await hand.until_told("refused, you may only look here")
        assert not ran

        await hand.press("r", "enter")
        await hand.until_seen("all well")


async def test_what_is_typed_without_an_alert_says_where_they_are(
    stage: Stage,
) -> None:
    async with stage.open() as hand:
        await hand.press(":", *"alerts runbook", "enter")
        await hand.until_told("choose an alert first; nexa alerts list")
        await hand.press(":", *"alerts ack nope", "enter")
        await hand.until_told("no alert nope; nexa alerts list")
        await hand.press(":", *"silences expire", "enter")
        await hand.until_told("choose a silence first; nexa silences list")


async def test_a_form_or_a_list_that_is_left_does_nothing(
    stage: Stage, ran: list[Any]
) -> None:
    async with stage.open() as hand:
        await hand.press("6", "r", "escape")
        assert hand.top == "Dashboard"
        await hand.press("r", "down", "enter", "escape")
        assert hand.top == "Dashboard"
        assert not ran


async def test_a_node_that_does_not_answer_for_an_alert_is_told(tmp_path: Path) -> None:
    new = msgspec.structs.replace(FIRING, fingerprint="00000000000000aa")
    stage = Stage(Received(picture(alerts=(new,)), AT), home=tmp_path)
    async with stage.open() as hand:
        await hand.press("6", "r")
        await hand.until(hand.told)
        assert hand.top == "Dashboard"


async def test_an_alert_without_a_runbook_says_how_it_would_have_one(
    stage: Stage,
) -> None:
    async with stage.open() as hand:
        await hand.press("6", "down", "r")
        await hand.until_told("names no runbook")
