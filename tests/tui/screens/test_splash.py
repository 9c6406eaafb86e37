"""The splash: live checks, what fails and what mends it, and the ways on."""

from nexa_tui.screens.dashboard import Dashboard
from nexa_tui.screens.splash import Splash
from nexa_tui.widgets.checks import Checks
from tests.tui.screens.conftest import Driven, drive


def on_splash(driven: Driven) -> bool:
    return isinstance(driven.app.screen, Splash)


async def checked(driven: Driven) -> None:
    await driven.until(lambda: driven.app.session.run.finished is not None)
    driven.app.screen.refresh_view()  # pyright: ignore[reportAttributeAccessIssue]
    await driven.pilot.pause()


async def test_checks_are_told_while_they_run() -> None:
    async with drive("splash-running") as driven:
        await driven.until(lambda: "8 of 17 checks" in driven.text())
        text = driven.text()

    assert "✓ pass     Python" in text
    assert "▸ running  nats-server" in text
    assert "pending" in text


async def test_green_goes_on_by_itself_after_a_moment() -> None:
    async with drive("splash-pass") as driven:
        await checked(driven)
        assert "everything passes" in driven.text()
        assert on_splash(driven)

        driven.app.session.clock.seconds += 5  # pyright: ignore[reportAttributeAccessIssue]
        await driven.until(lambda: isinstance(driven.app.screen, Dashboard))


async def test_a_failure_waits_with_its_cause_and_what_mends_it() -> None:
    async with drive("splash-fail") as driven:
        await checked(driven)
        driven.app.session.clock.seconds += 60  # pyright: ignore[reportAttributeAccessIssue]
        await driven.pilot.pause(0.3)
        text = driven.text()
        assert on_splash(driven)
        assert "something fails" in text
        assert "accepts the connection and never answers" in text
        assert "mend  curl -v https://api.internal/health" in text
        assert driven.app.screen.query_one(Checks).current is not None

        await driven.press("space")
        await driven.until(lambda: isinstance(driven.app.screen, Dashboard))


async def test_any_key_goes_on_at_once() -> None:
    async with drive("splash-running") as driven:
        await driven.press("x")

        await driven.until(lambda: isinstance(driven.app.screen, Dashboard))


async def test_moving_reads_and_enter_opens_a_check() -> None:
    async with drive("splash-fail") as driven:
        await checked(driven)
        await driven.press("g", "j", "k", "enter")
        assert "nexa selftest --only machine.python" in driven.text()

        await driven.press("escape", "j")
        assert on_splash(driven)


async def test_one_check_or_all_are_run_again() -> None:
    async with drive("splash-pass") as driven:
        await checked(driven)
        first = driven.app.session.run
        await driven.press("r")
        await driven.until(lambda: driven.app.session.run is not first)
        await checked(driven)
        await driven.press("R")
        await checked(driven)
        driven.app.session.clock.seconds += 60  # pyright: ignore[reportAttributeAccessIssue]
        await driven.pilot.pause(0.3)

        assert on_splash(driven)
        assert driven.app.session.run.count("pass") == 17


async def test_a_number_opens_its_view() -> None:
    async with drive("overview", splash=True) as driven:
        await driven.press("3")
        await driven.until(lambda: "3 Agents 12" in driven.text())


async def test_with_a_node_the_node_checks_itself() -> None:
    async with drive("overview", splash=True) as driven:
        await driven.until(lambda: "on node alpha" in driven.text())


async def test_quitting_asks_here_too() -> None:
    async with drive("splash-pass") as driven:
        await driven.press("q")
        assert "Leave the console?" in driven.text()
        await driven.press("escape", "question_mark")
        assert "here: splash" in driven.text()


async def test_the_selftest_is_found_again_from_the_dashboard() -> None:
    async with drive() as driven:
        await driven.press("colon", *"selftest show", "enter")
        await driven.until(lambda: on_splash(driven))
        await driven.until(lambda: "17 of 17" in driven.text())
        await driven.press("escape")

        await driven.until(lambda: isinstance(driven.app.screen, Dashboard))


async def test_a_small_terminal_shows_the_checks_first() -> None:
    async with drive("splash-pass", size=(40, 12)) as driven:
        await checked(driven)

        assert "nexa 0.1.0" in driven.text()
        assert "✓ pass" in driven.text()


async def test_leaving_keys_of_the_splash_for_node_and_demo() -> None:
    async with drive("splash-pass") as driven:
        await driven.press("a")
        assert "Attach to" in driven.text()
        await driven.press("escape", "d")
        await driven.until(lambda: driven.app._exit)

    assert driven.app.return_value == "demo"
