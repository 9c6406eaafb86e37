"""Triage under the fingers: from the board to the cause, and to somebody who minds it."""

from pathlib import Path

import msgspec
import pytest

from nexa_node.contract.errors import Forbidden
from nexa_node.contract.events import AlertChanged, AlertGone
from nexa_tui.client.api import Received
from tests.builders import NOW
from tests.tui.alarms import ALERTS, FIRING
from tests.tui.scenes import AT, picture
from tests.tui.screens.pilot import SMALL, Stage

EVIL = "\x1b]52;c;eA==\x07\u202eevil[/bold]"
NAMES = {alert.fingerprint: alert.name for alert in ALERTS}
BOARD = (Received(picture(alerts=ALERTS), AT),)


def on(home: Path, **more: object) -> Stage:
    return Stage(*BOARD, home=home, **more)  # type: ignore[arg-type]  # of several types


async def test_what_needs_somebody_first_is_first(tmp_path: Path) -> None:
    async with on(tmp_path).open() as hand:
        await hand.press("6")

        names = [NAMES[key] for key in hand.rows()]
        assert names[0] == "NexaNodeDown"
        assert names[-1] == "NexaStoreSlow"
        assert "1 critical" in hand.seen()


async def test_problems_only_are_those_that_nobody_has_taken(tmp_path: Path) -> None:
    async with on(tmp_path).open() as hand:
        await hand.press("6", "exclamation_mark")

        assert {NAMES[key] for key in hand.rows()} == {
            "NexaNodeDown",
            "NexaTaskQueueBacklog",
            "NexaAgentFlapping",
            "NexaDiskAlmostFull",
        }


async def test_from_the_bell_to_the_cause_in_three_keys(tmp_path: Path) -> None:
    async with on(tmp_path).open() as hand:
        await hand.press("6", "enter")
        await hand.until_seen("evidence", "gamma is dead", "runbook")

        await hand.press("a")
        await hand.until(lambda: hand.top == "Form")


async def test_an_alert_is_acknowledged_with_a_note_and_an_end(tmp_path: Path) -> None:
    async with on(tmp_path).open(SMALL) as hand:
        await hand.press("6", "a", *"mine", "enter", *"4h", "enter")
        await hand.until_told("NexaNodeDown is yours")

        assert hand.stage.node.asked == [("acknowledge", f"{FIRING.fingerprint} mine")]


@pytest.mark.parametrize("span", ["soon", "-1h", "4x"])
async def test_an_end_that_is_none_is_told_where_it_was_typed(
    tmp_path: Path, span: str
) -> None:
    async with on(tmp_path).open() as hand:
        await hand.press("6", "a", "enter", *span, "enter")
        await hand.until_seen("is no number of seconds")

        await hand.press("escape")
        assert hand.top == "Dashboard"
        assert not hand.stage.node.asked


async def test_a_silence_shows_what_it_would_hide_before_it_begins(
    tmp_path: Path,
) -> None:
    async with on(tmp_path).open() as hand:
        await hand.press("6", "m", "enter", "enter", *"planned", "enter")
        await hand.until_seen("1 that is on now would be hidden.")
        assert not hand.stage.node.asked

        await hand.press("tab", "enter")
        await hand.until_told("silenced; to end it: nexa silences expire")
        assert hand.stage.node.asked == [("silence", "planned")]


async def test_a_silence_needs_a_reason_and_matchers(tmp_path: Path) -> None:
    async with on(tmp_path).open() as hand:
        await hand.press("6", "m", "enter", "enter", "enter")
        await hand.until_seen("Say why")


@pytest.mark.parametrize(
    ("key", "words", "asked"),
    [
        ("A", "is open", "unacknowledge"),
        ("x", "is dismissed", "dismiss"),
    ],
)
async def test_keys_of_the_board(
    tmp_path: Path, key: str, words: str, asked: str
) -> None:
    async with on(tmp_path).open() as hand:
        await hand.press("6", key)
        await hand.until_told(f"NexaNodeDown {words}")

        assert hand.stage.node.asked == [(asked, FIRING.fingerprint)]


async def test_a_note_and_the_handover(tmp_path: Path) -> None:
    async with on(tmp_path).open() as hand:
        await hand.press("6", "n", *"seen", "enter")
        await hand.until_told("has a note")
        assert hand.stage.node.asked == [("note", f"{FIRING.fingerprint} seen")]

        await hand.press("h")
        await hand.until_seen("Handover of the last 8 hours", "NexaNodeDown")


async def test_a_handover_of_any_shift_is_copied_and_written(tmp_path: Path) -> None:
    async with on(tmp_path).open() as hand:
        await hand.press("6", ":", *"alerts handover 90m", "enter")
        await hand.until_seen("Handover of the last 1 hours 30 minutes")

        await hand.press("y")
        await hand.until_told("copied")
        assert "NexaNodeDown" in hand.app.clipboard
        await hand.press("e")
        await hand.until_told("as a command: nexa alerts handover")
        (path,) = tmp_path.rglob("nexa-handover-*.md")
        assert "NexaNodeDown" in path.read_text()

        await hand.press("escape", ":", *"alerts handover soon", "enter")
        await hand.until_told("is no number of seconds")


async def test_a_new_alert_rings_on_every_screen_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = on(tmp_path)
    rung: list[int] = []
    monkeypatch.setattr(stage.console, "bell", lambda: rung.append(1))
    new = msgspec.structs.replace(FIRING, fingerprint="00000000000000aa", name="New")
    async with stage.open() as hand:
        await hand.press("4")
        assert not hand.told()

        mild = msgspec.structs.replace(new, severity="warning", labels={"a": "b"})
        stage.tell(AlertChanged(seq=2, time=NOW, alert=mild))
        await hand.until_told("New: gamma is gone: no word for 41 s; 6 shows it")
        assert not rung

        more = msgspec.structs.replace(new, fingerprint="00000000000000ab")
        quiet = msgspec.structs.replace(
            new, fingerprint="00000000000000ac", silenced_by=("maintenance:gamma",)
        )
        for one in (more, quiet):
            stage.tell(AlertChanged(seq=3, time=NOW, alert=one))
        await hand.until(lambda: rung)
        told = len(hand.told())
        stage.tell(AlertChanged(seq=4, time=NOW, alert=mild))
        await hand.press("3", "4")
        assert (len(hand.told()), rung) == (told, [1])


async def test_maintenance_is_said_where_an_alert_is_silenced_by_it(
    tmp_path: Path,
) -> None:
    rests = msgspec.structs.replace(FIRING, silenced_by=("maintenance:gamma",))
    stage = Stage(Received(picture(alerts=(rests,)), AT), home=tmp_path)
    async with stage.open() as hand:
        await hand.press("6")
        await hand.until_seen("maintenance")
        await hand.press("enter")
        await hand.until_seen("maintenance of gamma")


async def test_a_viewer_may_look_and_is_told_why_not(tmp_path: Path) -> None:
    async with on(tmp_path, read_only=True).open() as hand:
        await hand.press("6", "a")
        await hand.until_told("refused, this console is read-only")
        assert "acknowledge" not in hand.seen()


async def test_what_the_node_refuses_is_shown_as_it_said_it(tmp_path: Path) -> None:
    no = Forbidden("a viewer may not acknowledge", remedy="ask ada")
    async with on(tmp_path, refusal=no).open() as hand:
        await hand.press("6", "a", "enter", "enter")
        await hand.until_told("a viewer may not acknowledge; ask ada")


async def test_the_board_follows_the_feed(tmp_path: Path) -> None:
    stage = on(tmp_path)
    async with stage.open() as hand:
        await hand.press("6")
        calm = msgspec.structs.replace(FIRING, state="resolved", resolved=NOW)
        stage.tell(AlertChanged(seq=2, time=NOW, alert=calm))
        await hand.until(lambda: "1 critical" not in hand.seen())

        stage.tell(AlertGone(seq=3, time=NOW, fingerprint=FIRING.fingerprint))
        await hand.until(lambda: "NexaNodeDown" not in hand.seen())


async def test_no_alert_text_reaches_the_terminal_raw(tmp_path: Path) -> None:
    evil = msgspec.structs.replace(
        FIRING, name=EVIL, annotations={"summary": EVIL}, labels={EVIL: EVIL}
    )
    stage = Stage(Received(picture(alerts=(evil,)), AT), home=tmp_path)
    async with stage.open() as hand:
        for keys in (("6",), ("enter",), ("a",)):
            await hand.press(*keys)
            assert not {"\x1b", "\x07", "\u202e"} & set(hand.seen())
