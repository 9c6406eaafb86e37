"""The splash under the fingers: it tells, waits when it must, and is never in the way."""

# pyright: reportPrivateUsage=false
# What a person sees is not all public in Textual.

from pathlib import Path
from typing import Any

import pytest

from nexa_node.contract.errors import Invalid, Unauthorized, Unavailable
from nexa_tui.client.api import Received, Refused
from nexa_tui.client.discovery import Target
from nexa_tui.state.splash import GOES_ON_S, WARNED_S
from nexa_tui.state.store import Live
from nexa_tui.widgets.checks import Checks
from tests.builders import check
from tests.tui.scenes import AT, CHECKS, HALF, LOST, TIMEOUT, picture
from tests.tui.screens.pilot import SMALL, TINY, USUAL, Hand, Stage

BROKEN = tuple(TIMEOUT if one.id == TIMEOUT.id else one for one in CHECKS)
WARNED = (*CHECKS, check("machine.swap", status="warn", cause="no swap",
                         remedy="swapon /swapfile"))  # fmt: skip
STARTED = Target("http://127.0.0.1:7001", "t", "beta", "started here", pid=77)


def alone(home: Path, **more: Any) -> Stage:
    return Stage(home=home, node=False, splash=True, **more)


async def finished(hand: Hand) -> None:
    await hand.until(lambda: hand.stage.session.run.finished is not None)
    await hand.rest()


async def test_rows_appear_while_the_checks_run(tmp_path: Path) -> None:
    stage = alone(tmp_path, checks=HALF, hold=True)
    async with stage.open() as hand:
        await hand.until_seen("nats-server", "10 of 18 checks", "file modes")
        assert hand.top == "Splash"
        stage.clock.seconds += 3
        await hand.until_seen("3.00 s")


@pytest.mark.parametrize("size", [USUAL, SMALL, TINY])
async def test_green_goes_on_by_itself_at_its_time(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    stage = alone(tmp_path)
    async with stage.open(size) as hand:
        await finished(hand)
        stage.clock.seconds += GOES_ON_S - 0.1
        hand.app._splash_beat()
        assert not hand.splash.due()
        stage.clock.seconds += 0.2
        await hand.until(lambda: hand.top == "Dashboard")
        assert hand.where == "view-overview"


async def test_a_warning_is_shown_longer(tmp_path: Path) -> None:
    stage = alone(tmp_path, checks=WARNED)
    async with stage.open() as hand:
        await finished(hand)
        stage.clock.seconds += GOES_ON_S + 1
        await hand.until_seen("1 of 19 checks warns", "swapon /swapfile")
        assert not hand.splash.due()
        stage.clock.seconds += WARNED_S
        await hand.until(lambda: hand.top == "Dashboard")


async def test_a_failure_waits_with_its_cause_and_remedy(tmp_path: Path) -> None:
    stage = alone(tmp_path, checks=BROKEN)
    async with stage.open() as hand:
        await finished(hand)
        stage.clock.seconds += 3600
        await hand.until_seen("1 of 18 checks fails", "never answers", "curl -v")
        current = hand.splash.query_one(Checks).current
        assert current is not None
        assert current.id == TIMEOUT.id
        assert not hand.splash.due()


async def test_enter_shows_all_about_a_check_and_esc_closes_it(
    tmp_path: Path,
) -> None:
    async with alone(tmp_path, checks=BROKEN).open() as hand:
        await finished(hand)
        await hand.until(
            lambda: hand.splash.query_one(Checks).current.id == TIMEOUT.id  # type: ignore[union-attr]  # there is one
        )
        await hand.press("enter")
        assert hand.top == "Reading"
        await hand.until_seen("accepts the connection", "raise timeout")
        await hand.press("escape")
        assert hand.top == "Splash"
        assert hand.splash.waits


async def test_enter_before_the_first_check_does_nothing(tmp_path: Path) -> None:
    async with alone(tmp_path, checks=(), hold=True).open() as hand:
        await hand.press("enter", "r")
        assert hand.top == "Splash"


async def test_r_runs_the_check_under_the_cursor_again(tmp_path: Path) -> None:
    stage = alone(tmp_path, checks=BROKEN)
    async with stage.open() as hand:
        await finished(hand)
        await hand.until_seen("never answers")
        await hand.press("r")
        await hand.until(lambda: stage.ran == [None, TIMEOUT.id])
        await finished(hand)
        assert len(stage.session.run.checks) == len(CHECKS)


async def test_a_check_that_was_mended_turns_the_run_green(tmp_path: Path) -> None:
    stage = alone(tmp_path, checks=BROKEN)
    async with stage.open() as hand:
        await finished(hand)
        stage.checks = CHECKS
        await hand.until_seen("never answers")
        await hand.press("r")
        await hand.until(lambda: stage.session.run.standing() == "pass")
        stage.clock.seconds += 60
        await hand.until_seen("everything passes")
        assert hand.top == "Splash"


async def test_capital_r_runs_all_again(tmp_path: Path) -> None:
    stage = alone(tmp_path, checks=BROKEN)
    async with stage.open() as hand:
        await finished(hand)
        await hand.press("R")
        await hand.until(lambda: stage.ran == [None, None])


@pytest.mark.parametrize("key", ["space", "x", "escape", "minus", "5", "tab", "j"])
async def test_any_key_goes_on_but_those_that_read(tmp_path: Path, key: str) -> None:
    stage = alone(tmp_path, checks=HALF, hold=True)
    async with stage.open() as hand:
        await hand.until_seen("nats-server")
        await hand.press(key)
        if key in {"tab", "j"}:
            assert hand.top == "Splash"
            assert hand.splash.waits
        else:
            await hand.until(lambda: hand.top == "Dashboard")
            place = "messages" if key == "5" else "overview"
            await hand.until(lambda: hand.where == f"view-{place}")


async def test_who_reads_is_not_carried_off(tmp_path: Path) -> None:
    stage = alone(tmp_path)
    async with stage.open() as hand:
        await finished(hand)
        await hand.press("j")
        stage.clock.seconds += 60
        assert not hand.splash.due()
        await hand.until(lambda: "goes on in" not in hand.seen())


class Starter:
    """Stands for the launcher of nodes."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.started = 0

    def __call__(self, environ: Any, *, say: Any) -> Target:
        self.started += 1
        say("alpha is starting")
        if self.fails:
            raise Unavailable("the disk is full", remedy="df -h")
        return STARTED


@pytest.mark.parametrize("hold", [True, False])
async def test_s_starts_a_node_even_while_checks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hold: bool
) -> None:
    starter = Starter()
    monkeypatch.setattr("nexa_tui.client.launch.start_node", starter)
    stage = alone(tmp_path, checks=HALF if hold else BROKEN, hold=hold)
    async with stage.open() as hand:
        await hand.until(lambda: stage.session.run.checks)
        if not hold:
            await finished(hand)
        await hand.press("s")
        await hand.until(lambda: starter.started == 1)
        await hand.until(lambda: isinstance(stage.session.state.link, Live))
        assert stage.session.target == STARTED
        assert stage.session.started == [STARTED]
        await hand.until(lambda: hand.top == "Dashboard")
        hand.app.action_do("start-node")
        await hand.until_told("a node is attached already")
        assert starter.started == 1


async def test_a_node_that_can_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexa_tui.client.launch.start_node", Starter(fails=True))
    stage = alone(tmp_path)
    async with stage.open() as hand:
        await finished(hand)
        await hand.press("s")
        await hand.until_told("the disk is full; df -h")
        await hand.until_seen("the disk is full", "df -h")
        assert stage.session.starting is None


async def test_s_really_asks_for_a_process(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    async with alone(tmp_path, checks=BROKEN).open() as hand:
        await finished(hand)
        await hand.press("s")
        await hand.until_told("can't be written")


async def test_start_is_asked_for_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = Starter()
    monkeypatch.setattr("nexa_tui.client.launch.start_node", starter)
    stage = alone(tmp_path, start=True)
    async with stage.open() as hand:
        await hand.until(lambda: hand.top == "Dashboard")
        assert starter.started == 1


async def test_a_second_s_while_one_starts_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = Starter()
    monkeypatch.setattr("nexa_tui.client.launch.start_node", starter)
    stage = alone(tmp_path)
    stage.session.starting = "starting a node"
    async with stage.open() as hand:
        await finished(hand)
        await hand.until_seen("starting a node")
        stage.clock.seconds += 60
        assert not hand.splash.due()
        await hand.press("s")
        assert starter.started == 0


async def test_a_lets_choose_and_d_is_the_demo(tmp_path: Path) -> None:
    stage = alone(tmp_path, checks=BROKEN)
    async with stage.open() as hand:
        await finished(hand)
        await hand.press("a")
        assert hand.top == "Attach"
        await hand.press("escape", "d")
        await hand.until(lambda: hand.app._exit)
    assert stage.console.return_value == "demo"


@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
async def test_quitting_asks(tmp_path: Path, key: str) -> None:
    async with alone(tmp_path, hold=True).open() as hand:
        await hand.press(key)
        assert hand.top == "Quit"
        await hand.press("escape")
        assert hand.top == "Splash"


async def test_help_lists_the_keys_of_the_splash(tmp_path: Path) -> None:
    async with alone(tmp_path, hold=True).open() as hand:
        await hand.press("question_mark")
        await hand.until_seen("here: splash", "Run this check again")


async def test_a_node_checks_itself_and_its_refusal_is_told(tmp_path: Path) -> None:
    error = Unauthorized("the token is unknown", remedy="nexa login")
    stage = Stage(Refused(error), home=tmp_path, splash=True)
    async with stage.open() as hand:
        await finished(hand)
        await hand.until_seen("node alpha", "the token is unknown", "nexa login")
        stage.clock.seconds += 60
        assert not hand.splash.due()


async def test_a_node_that_does_not_answer_is_told(tmp_path: Path) -> None:
    stage = Stage(LOST, home=tmp_path, splash=True)
    async with stage.open() as hand:
        await finished(hand)
        await hand.until_seen("no node answers", "nexa node start")
        assert not hand.splash.due()


async def test_a_live_node_that_passes_goes_on(tmp_path: Path) -> None:
    stage = Stage(Received(picture(), AT), home=tmp_path, splash=True)
    async with stage.open() as hand:
        await finished(hand)
        stage.clock.seconds += GOES_ON_S + 0.1
        await hand.until(lambda: hand.top == "Dashboard")


async def test_a_context_that_is_unknown_is_told_with_its_remedy(
    tmp_path: Path,
) -> None:
    stage = alone(tmp_path, context="nowhere")
    async with stage.open() as hand:
        await finished(hand)
        await hand.until_seen("no context 'nowhere'", "nexa context list")


async def test_an_address_on_the_command_line_is_attached(tmp_path: Path) -> None:
    stage = alone(tmp_path, attach="somewhere:7000")
    async with stage.open() as hand:
        await finished(hand)
        target = stage.session.target
        assert target is not None
        assert target.url == "http://somewhere:7000"


async def test_a_second_self_test_is_shown_until_a_key(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("colon", *"selftest show", "enter")
        await hand.until(lambda: hand.top == "Splash")
        await hand.until(lambda: stage.session.run.finished is not None)
        stage.clock.seconds += 60
        assert not hand.splash.due()
        await hand.press("space")
        await hand.until(lambda: hand.top == "Dashboard")


async def test_attaching_elsewhere_begins_that_nodes_self_test(tmp_path: Path) -> None:
    stage = alone(tmp_path, checks=BROKEN)
    async with stage.open() as hand:
        await finished(hand)
        await hand.press("j", "a", *"box:7005", "enter", "enter")
        await hand.until_seen("on node box:7005")
        await finished(hand)
        assert stage.ran == [None]
        assert not hand.splash.waits
        await hand.until_seen("any key goes on, degraded")


async def test_several_failures_are_counted_and_seen_together(tmp_path: Path) -> None:
    refused = check("connectivity.orders", title="orders (tcp)", status="fail",
                    cause="connection refused", remedy="start it")  # fmt: skip
    checks = tuple(refused if one.id == refused.id else one for one in BROKEN)
    stage = alone(tmp_path, checks=checks)
    async with stage.open(SMALL) as hand:
        await finished(hand)
        await hand.until_seen("2 of 18 checks fail", "api (http)", "orders (tcp)")
        await hand.until_seen("touches", "Tasks: work may fail")
        await hand.until_seen("curl -v", "s start", "a attach", "d demo")


async def test_who_goes_on_without_a_node_is_told_what_failed_here(
    tmp_path: Path,
) -> None:
    full = tuple(
        check(f"machine.extra{n}", status="fail", cause=f"cause {n}", remedy="mend")
        for n in range(5)
    )
    async with alone(tmp_path, checks=(*CHECKS, *full)).open() as hand:
        await finished(hand)
        await hand.press("space")
        await hand.until_seen("No node runs here", "cause 2", "and 2 more")


async def test_settings_that_are_wrong_are_told_and_stop_nothing(
    tmp_path: Path,
) -> None:
    problem = Invalid("console.toml:2: unknown key them", remedy="correct it")
    async with alone(tmp_path, hold=True, problem=problem).open() as hand:
        await hand.until_told("unknown key them; the defaults hold; correct it")
        assert hand.top == "Splash"


async def test_unknown_theme_is_told_and_another_worn(tmp_path: Path) -> None:
    async with alone(tmp_path, hold=True, theme="no-such-theme").open() as hand:
        await hand.until_told("no-such-theme")
