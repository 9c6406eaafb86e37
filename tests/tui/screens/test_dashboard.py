"""Every key of the dashboard does what the help says."""

from pathlib import Path

import pytest

from nexa_node.contract.errors import Forbidden
from nexa_node.contract.events import AgentChanged, Happened
from nexa_tui.client.api import Lost, Received
from nexa_tui.screens.detail import Detail
from nexa_tui.screens.lists import ListView
from nexa_tui.screens.overview import Overview
from nexa_tui.state.store import Denied
from tests.builders import NOW, agent, event, node_status
from tests.tui.scenes import AT, DEGRADED, Scene, heard, picture
from tests.tui.screens.conftest import Driven, drive


def list_of(driven: Driven, place: str) -> ListView:  # pyright: ignore[reportMissingTypeArgument]
    return driven.dashboard.query_one(f"#view-{place}", ListView)


async def test_the_overview_says_verdict_figures_and_who_works() -> None:
    async with drive() as driven:
        text = driven.text()

    assert "✓ HEALTHY   12 agents  9 running  5 waiting" in text
    assert "nexa › alpha" in text
    assert "token:op1  operator" in text
    assert "live" in text


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("1", "HEALTHY"),
        ("2", "2 Nodes 1"),
        ("3", "3 Agents 12"),
        ("4", "4 Tasks 40"),
        ("5", "comes with messaging"),
        ("6", "comes with alerting"),
        ("7", "come with the metrics"),
        ("8", "8 Events 11"),
        ("9", "comes with access control"),
    ],
)
async def test_a_number_turns_to_its_view(key: str, words: str) -> None:
    async with drive() as driven:
        await driven.press(key)

        assert words in driven.text()


async def test_minus_goes_to_the_view_before_escape_to_the_root() -> None:
    async with drive() as driven:
        await driven.press("3", "4", "minus")
        assert driven.dashboard.view.address() is not None
        assert "3 Agents" in driven.text()

        await driven.press("escape")
        assert isinstance(driven.dashboard._view, Overview)
        await driven.press("escape")
        assert isinstance(driven.dashboard._view, Overview)


async def test_rows_are_moved_through_as_in_vi() -> None:
    async with drive() as driven:
        await driven.press("4", "j", "j", "down", "k")
        table = list_of(driven, "tasks").table
        assert table.cursor == 2

        await driven.press("G")
        assert table.cursor == 39
        await driven.press("ctrl+u", "g")
        assert table.cursor == 0
        await driven.press("ctrl+d")
        assert table.cursor > 5
        await driven.press("home", "pagedown", "end", "pageup", "up")
        assert 0 < table.cursor < 39


async def test_the_filter_works_while_it_is_typed_and_escape_takes_it_back() -> None:
    async with drive() as driven:
        await driven.press("3", "slash", *"wc !busy")
        agents = list_of(driven, "agents")
        assert agents.table.line_count() == 3
        assert "3 of 12" in driven.text()

        await driven.press("enter", "j")
        assert agents.table.has_focus
        await driven.press("escape")
        assert agents.table.line_count() == 12
        assert "3 Agents 12" in driven.text()


async def test_a_filter_that_fits_nothing_says_how_to_go_back() -> None:
    async with drive() as driven:
        await driven.press("3", "slash", *"zzz", "enter")
        assert "Nothing fits the filter." in driven.text()

        await driven.press("slash", "backspace", "backspace", "backspace", *"re:[")
        assert "not a pattern" in driven.text()


async def test_sorting_and_turning_round() -> None:
    async with drive() as driven:
        await driven.press("3", "s")
        agents = list_of(driven, "agents")
        assert agents.choice.order.column == "id"
        first = agents.table.line_key(0)

        await driven.press("S")
        assert agents.table.line_key(11) == first
        assert "agent▾" in driven.text()


async def test_problems_only_and_back() -> None:
    async with drive() as driven:
        await driven.press("4", "exclamation_mark")
        assert "4 Tasks 3 of 40" in driven.text()
        assert "! problems only" in driven.text()

        await driven.press("escape")
        assert "4 Tasks 40" in driven.text()
        await driven.press("2", "exclamation_mark")
        assert "Nothing is wrong here." in driven.text()


async def test_enter_opens_a_task_with_its_result_and_escape_returns() -> None:
    async with drive() as driven:
        await driven.press("4", *"jjjjjjjjjjjjjj", "enter")
        await driven.until(lambda: "submitter" in driven.text())
        assert "Task 01jn8qk" in driven.text()
        assert '"words": 2' in driven.text()

        await driven.press("escape")
        assert isinstance(driven.dashboard._view, ListView)
        assert not driven.dashboard.query(Detail)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("3", "enter"), "can do"),
        (("2", "d"), "its machine"),
        (("8", "enter"), "task.completed"),
        (("enter",), "Agent grep-1"),
        (("tab", "d"), "Task 01jn8qk"),
    ],
)
async def test_details_open_from_lists_and_from_the_overview(
    keys: tuple[str, ...], words: str
) -> None:
    async with drive() as driven:
        await driven.press(*keys)
        await driven.until(lambda: words in driven.text(), words)


async def test_an_overview_detail_returns_to_the_overview() -> None:
    async with drive() as driven:
        await driven.press("enter", "escape")

        assert isinstance(driven.dashboard._view, Overview)


async def test_tab_goes_from_panel_to_panel_and_z_shows_one_alone() -> None:
    async with drive() as driven:
        await driven.press("tab", "z")
        text = driven.text()
        assert "4 Tasks" in text
        assert "3 Agents" not in text

        await driven.press("tab")
        assert "Host" in driven.text()
        await driven.press("shift+tab", "escape")
        assert "3 Agents" in driven.text()


async def test_a_pause_is_told_and_holds_the_picture() -> None:
    async with drive() as driven:
        await driven.press("3", "p")
        driven.node.tell(
            Received(AgentChanged(seq=1, time=NOW, agent=agent("new")), AT)
        )
        await driven.until(lambda: driven.app.session._pending)
        driven.app._refresh_now()
        await driven.pilot.pause()
        assert "paused" in driven.text()
        assert "Agents 12" in driven.text()

        await driven.press("p")
        assert "Agents 13" in driven.text()


async def test_a_change_is_seen_with_the_next_beat() -> None:
    async with drive() as driven:
        told = event("e99", message="wc-9 joined with wc")
        driven.node.tell(Received(Happened(seq=1, time=NOW, event=told), AT))
        await driven.until(lambda: driven.app.session._pending)
        driven.app._refresh_now()
        await driven.pilot.pause()

        assert "wc-9 joined with wc" in driven.text()


async def test_copying_keeps_the_address_in_a_file_too(tmp_path: Path) -> None:
    async with drive(home=str(tmp_path)) as driven:
        await driven.press("3", "y")
        await driven.until(driven.told)

        assert "copied nexa://agents/grep-1" in driven.told()
        kept = tmp_path / "state" / "logs" / "copied.txt"
        assert kept.read_text() == "nexa://agents/grep-1\n"
        assert driven.app.clipboard == "nexa://agents/grep-1"


async def test_help_tells_the_keys_of_the_place() -> None:
    async with drive(size=(100, 50)) as driven:
        await driven.press("4", "question_mark")
        text = driven.text()
        assert "here: tasks, list" in text
        assert "Cancel the task.   :task cancel" in text

        await driven.press("escape", "f1", "q")
        assert "here: tasks" not in driven.text()


async def test_the_palette_speaks_the_words_of_the_command_line() -> None:
    async with drive() as driven:
        await driven.press("colon", *"task list", "enter")
        assert "4 Tasks 40" in driven.text()

        await driven.press("ctrl+p", *"agents l", "enter")
        assert "3 Agents 12" in driven.text()
        await driven.press("colon", *"filter state:busy", "enter")
        await driven.until(lambda: "6 of 12" in driven.text())
        await driven.press("colon", *"zzz", "enter")
        assert "No such command." in driven.text()
        await driven.press("escape", "colon", "down", "up", "tab", "escape")


async def test_a_typed_command_acts_on_what_it_names() -> None:
    async with drive() as driven:
        await driven.press("colon", *"agents disconnect wc-1", "enter")
        assert "Disconnect an agent" in driven.text()
        await driven.press("tab", "enter")
        await driven.until(lambda: driven.node.asked)

    assert driven.node.asked == [("disconnect", "wc-1")]


async def test_a_theme_is_worn_while_it_is_looked_at() -> None:
    async with drive() as driven:
        await driven.press("t", "down")
        assert driven.app.theme != "nexa-dark"
        await driven.press("escape")
        assert driven.app.theme == "nexa-dark"

        await driven.press("t", "end", "enter")
        assert driven.app.theme == "nexa-light"
        await driven.press("colon", *"theme nexa-dark", "enter")
        assert driven.app.theme == "nexa-dark"
        await driven.press("colon", *"theme zzz", "enter")
        assert "no such theme" in driven.told()


async def test_cancelling_asks_first_and_says_what_the_node_answered() -> None:
    async with drive() as driven:
        await driven.press("4", *"jjjjjjj", "X")
        assert "has worked on it" in driven.text()
        await driven.press("enter")
        assert driven.node.asked == []

        await driven.press("X", "tab", "enter")
        await driven.until(lambda: driven.node.asked)
        assert driven.node.asked[0][0] == "cancel"
        await driven.until(lambda: "is running" in driven.told())


async def test_a_finished_task_is_not_cancelled() -> None:
    async with drive() as driven:
        await driven.press("4", "G", "X")
        await driven.until(driven.told)

        assert "it is completed already" in driven.told()


async def test_what_the_node_refuses_is_shown_as_it_said_it() -> None:
    async with drive() as driven:
        driven.node.refusal = Forbidden("operators only", remedy="ask ann")
        await driven.press("3", "D", "tab", "enter")
        await driven.until(driven.told)

        assert "operators only; ask ann" in driven.told()


async def test_draining_a_node_from_list_and_detail() -> None:
    async with drive() as driven:
        await driven.press("2", "D")
        assert "It is the only node" in driven.text()
        await driven.press("escape", "enter", "D", "tab", "enter")
        await driven.until(lambda: driven.node.asked)

    assert driven.node.asked[0][0] == "drain"


async def test_nothing_is_chosen_nothing_is_destroyed() -> None:
    async with drive(Scene(heard(picture(agents=())))) as driven:
        await driven.press("3", "D")
        await driven.until(driven.told)
        assert "choose a agent first" in driven.told() or "choose" in driven.told()

        await driven.press("X")
        assert driven.node.asked == []


async def test_read_only_refuses_and_hides_what_changes_something() -> None:
    async with drive(options={"read_only": True}) as driven:
        await driven.press("4", "X")
        await driven.until(driven.told)

        assert "read-only" in driven.told()
        assert "X cancel" not in driven.text()
        assert "read-only" in driven.text()


async def test_a_viewer_is_refused_with_its_role() -> None:
    told = picture(node=node_status(role="viewer"))
    async with drive(Scene(heard(told))) as driven:
        await driven.press("3", "D")
        await driven.until(driven.told)

        assert "a viewer may only look" in driven.told()


async def test_quitting_asks_and_detaches_by_default() -> None:
    async with drive() as driven:
        await driven.press("q")
        assert "Leave the console?" in driven.text()
        await driven.press("escape", "3", "q")
        assert isinstance(driven.dashboard._view, Overview)

        await driven.press("ctrl+q", "enter")
        await driven.until(lambda: driven.app._exit)

    assert driven.app.return_value == "detach"


async def test_staying_is_an_answer_too() -> None:
    async with drive() as driven:
        await driven.press("ctrl+c", "tab", "enter")

        assert not driven.app._exit
        assert "HEALTHY" in driven.text()


async def test_a_lost_feed_is_told_everywhere_with_its_remedy() -> None:
    lost = Lost("nothing listens there any more", "nexa node start", AT + 9, 1)
    async with drive() as driven:
        driven.node.tell(lost)
        await driven.until(lambda: "node is gone" in driven.text())
        assert "mend  nexa node start" in driven.text()
        assert "STALE" in driven.text()

        await driven.press("3")
        assert "node is gone: nothing listens there any more" in driven.text()
        driven.node.tell(Received(picture(), AT))
        await driven.until(lambda: "node is gone" not in driven.text())


async def test_a_refusal_is_told_and_claims_nothing() -> None:
    async with drive("overview-refused") as driven:
        text = driven.text()

        assert "the token is unknown or has expired" in text
        assert "nexa login" in text
        assert "Nothing is known yet." in text
        assert "0 running" not in text
        assert isinstance(driven.app.session.state.link, Denied)


async def test_affected_panels_say_so_when_degraded() -> None:
    async with drive(Scene(heard(DEGRADED)), size=(120, 40)) as driven:
        text = driven.text()

    assert "DEGRADED" in text
    assert "never answers" in text
    assert "mend  curl -v https://api.internal/health" in text


async def test_without_a_node_the_overview_offers_one() -> None:
    async with drive("overview-no-node") as driven:
        text = driven.text()
        assert "nexa node start" in text
        assert "s start a node  a attach" in text

        await driven.press("d")
        await driven.until(lambda: driven.app._exit)

    assert driven.app.return_value == "demo"


async def test_attaching_lists_what_there_is_and_takes_a_url(tmp_path: Path) -> None:
    async with drive("overview-no-node", home=str(tmp_path)) as driven:
        await driven.press("a", *"nonsense://", "enter")
        await driven.until(driven.told)
        assert "is no address" in driven.told()

        await driven.press("a", *"127.0.0.1:1", "enter")
        await driven.until(lambda: driven.app.session.target)

    assert driven.app.session.target is not None
    assert driven.app.session.target.url == "http://127.0.0.1:1"


async def test_reconnecting_keeps_what_is_known() -> None:
    async with drive() as driven:
        await driven.press("f5")
        await driven.pilot.pause()

        assert "HEALTHY" in driven.text()


async def test_on_a_small_terminal_one_panel_is_seen_and_tab_goes_on() -> None:
    async with drive(size=(40, 12)) as driven:
        assert "3 Agents" in driven.text()
        assert "4 Tasks" not in driven.text()
        assert "HEALTHY" in driven.text()

        await driven.press("tab")
        assert "4 Tasks" in driven.text()
        assert "3 Agents" not in driven.text()


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (120, 40), (200, 60), (20, 6)])
async def test_every_view_fits_every_size(size: tuple[int, int]) -> None:
    async with drive(size=size) as driven:
        for key in "123456789":
            await driven.press(key)
            assert "live" in driven.text() or size[0] < 40
        await driven.pilot.resize_terminal(100, 30)
        await driven.pilot.pause()
        assert "live" in driven.text()


async def test_nothing_hostile_reaches_a_line_of_the_screen() -> None:
    async with drive("hostile") as driven:
        for key in ("1", "3", "enter", "4", "enter", "8", "enter"):
            await driven.press(key)
            text = driven.text().replace("\n", "")
            assert text.isprintable()
            assert "\u202e" not in text


async def test_work_that_fails_unexpectedly_is_told_and_life_goes_on() -> None:
    async def fail() -> None:
        raise RuntimeError("unforeseen [/markup]")

    async with drive() as driven:
        driven.app.begin(fail, group="deed")
        await driven.until(driven.told)

        assert "unforeseen" in driven.told()
        assert "HEALTHY" in driven.text()
