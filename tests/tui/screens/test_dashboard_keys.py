"""The dashboard under the fingers: every key does what the help says, and nothing else."""

# pyright: reportPrivateUsage=false
# What a person sees is not all public in Textual.

from pathlib import Path

import pytest

from nexa_node.contract.errors import Unauthorized, UnsupportedVersion
from nexa_node.contract.events import AgentChanged, AgentGone
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import Task
from nexa_tui.client.api import Received, Refused
from nexa_tui.state.store import Denied, Gone, Live
from tests.builders import NOW, agent, cluster
from tests.tui.scenes import AT, EMPTY, HOSTILE, LOST, heard, picture
from tests.tui.screens.pilot import SMALL, TINY, USUAL, Hand, Stage, later

VIEWS = {
    "1": "overview", "2": "nodes", "3": "agents", "4": "tasks", "5": "messages",
    "6": "alerts", "7": "metrics", "8": "logs", "9": "audit",
}  # fmt: skip


@pytest.mark.parametrize("size", [USUAL, SMALL, TINY])
async def test_each_number_leads_to_its_view(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with Stage(home=tmp_path).open(size) as hand:
        for key, name in [*VIEWS.items(), ("1", "overview")]:
            await hand.press(key)
            assert hand.where == f"view-{name}"


@pytest.mark.parametrize("key", ["3", "4", "5"])
async def test_moving_in_a_list(tmp_path: Path, key: str) -> None:
    async with Stage(home=tmp_path).open(SMALL) as hand:
        await hand.press(key)
        last = len(hand.rows()) - 1
        table = hand.table
        half = max(1, table.window // 2)
        for pressed, line in [
            ("j", 1), ("k", 0), ("down", 1), ("up", 0), ("k", 0), ("G", last),
            ("j", last), ("g", 0), ("end", last), ("home", 0),
            ("ctrl+d", min(last, half)), ("ctrl+u", 0),
            ("pagedown", min(last, max(1, table.window))), ("pageup", 0),
        ]:  # fmt: skip
            await hand.press(pressed)
            assert table.cursor == line, pressed


@pytest.mark.parametrize("opening", ["enter", "d"])
@pytest.mark.parametrize("closing", ["escape", "minus", "q"])
async def test_a_record_is_opened_and_left_again(
    tmp_path: Path, opening: str, closing: str
) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("4", "j", "j")
        key = hand.table.cursor_key
        await hand.press(opening)
        assert hand.dashboard.view.address() == f"nexa://tasks/{key}"
        assert hand.dashboard.subject() == ("tasks", key)

        await hand.press(closing)
        assert hand.where == "view-tasks"
        assert hand.table.cursor_key == key


async def test_escape_climbs_to_the_root_and_never_out(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("3", "enter", *["escape"] * 5)
        assert hand.where == "view-overview"
        assert hand.top == "Dashboard"
        assert hand.app.is_running


async def test_back_goes_through_what_was_seen(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("3", "8", "minus")
        assert hand.where == "view-agents"
        await hand.press("minus", "minus", "minus")
        assert hand.where == "view-overview"


@pytest.mark.parametrize(
    ("key", "words"),
    [("2", "alpha"), ("3", "1.4.2"), ("4", "README.md"), ("8 ]", "nexa")],
)
async def test_details_say_what_is_known(tmp_path: Path, key: str, words: str) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press(*key.split(), "enter")
        assert hand.where == "view-detail"
        await hand.until_seen(words)


async def test_a_record_that_goes_away_while_it_is_read(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("3")
        key = hand.table.cursor_key
        assert key is not None
        await hand.press("enter")
        stage.tell(AgentGone(seq=1, time=NOW, id=AgentId(key)))
        await hand.until_seen("does not remember the agent", "nexa agents list")


@pytest.mark.parametrize(
    ("key", "words"),
    [("2", "the node any"), ("8 ]", "the event any")],
)
async def test_a_gap_may_take_what_is_read(
    tmp_path: Path, key: str, words: str
) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press(*key.split(), "enter")
        gone = cluster(nodes=())
        stage.tell(later(seq=9, agents=(), tasks=(), events=(), cluster=gone))
        await hand.until_seen(words)


async def test_a_task_the_node_forgot_is_asked_for_once(tmp_path: Path) -> None:
    class Counting(dict[TaskId, Task]):
        asked = 0

        def __contains__(self, key: object) -> bool:
            self.asked += 1
            return super().__contains__(key)

    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("4")
        counting = Counting()
        stage.node._tasks = counting
        stage.tell(later(seq=9, tasks=()))
        key = "01jn8qk0000000000000000gone"
        await hand.dashboard.go(f"tasks/{key}")
        await hand.until_seen("does not remember the task", "nexa task show")
        await hand.until_seen("no task")
        for _ in range(20):
            await hand.pilot.pause(0)
        assert counting.asked <= 2


async def test_the_filter_works_while_it_is_typed(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("3")
        total = len(hand.rows())
        await hand.press("slash", "w", "c")
        assert [key[:2] for key in hand.rows()] == ["wc"] * 3
        await hand.press("enter")
        assert hand.app.focused is hand.table

        await hand.press("escape")
        assert len(hand.rows()) == total


async def test_an_exclamation_mark_inverts_a_word(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("3", "slash", *"!wc", "enter")
        assert len(hand.rows()) == 9
        assert not [key for key in hand.rows() if key.startswith("wc")]


async def test_a_pattern_that_is_none_keeps_the_last_good_one(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("3", "slash", *"re:^wc")
        good = hand.rows()
        await hand.press("left_parenthesis")
        assert hand.rows() == good
        assert hand.list.choice.filter.error
        await hand.press("backspace")
        assert hand.list.choice.filter.error is None
        assert hand.rows() == good


async def test_a_filter_that_nothing_fits_says_so(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("4", "slash", *"zzz", "enter")
        await hand.until_seen("Nothing fits the filter.")
        await hand.press("q")
        assert hand.where == "view-tasks"
        assert hand.rows()


async def test_sort_goes_round_the_columns_and_reverse_turns_it(
    tmp_path: Path,
) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("3")
        first = hand.list.choice.order
        before = hand.rows()
        await hand.press("S")
        assert hand.list.choice.order.column == first.column
        assert hand.list.choice.order.descending is not first.descending
        assert hand.rows() != before
        await hand.press("S", "s")
        assert hand.list.choice.order.column != first.column
        seen = {first.column}
        while hand.list.choice.order.column not in seen:
            seen.add(hand.list.choice.order.column)
            await hand.press("s")
        assert hand.list.choice.order.column == first.column


async def test_sorted_by_id_rows_stand_by_id(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("3")
        while hand.list.choice.order.column != "id":
            await hand.press("s")
        down = hand.list.choice.order.descending
        assert hand.rows() == sorted(hand.rows(), reverse=down)


async def test_only_what_is_wrong(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("4")
        total = len(hand.rows())
        await hand.press("exclamation_mark")
        assert 0 < len(hand.rows()) < total
        await hand.press("escape")
        assert len(hand.rows()) == total

        await hand.press("3", "exclamation_mark")
        await hand.until_seen("Nothing is wrong here.")
        await hand.press("exclamation_mark")
        assert len(hand.rows()) == 12


async def test_the_cursor_stays_on_its_record_when_others_come(
    tmp_path: Path,
) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("3", "j", "j", "j")
        key = hand.table.cursor_key
        stage.tell(AgentChanged(seq=1, time=NOW, agent=agent("aaa", state="error")))
        await hand.until(lambda: "aaa" in hand.rows())
        assert hand.table.cursor_key == key


async def test_a_panel_is_maximised_and_restored(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        view = hand.dashboard.view
        for back in ("z", "escape", "q"):
            await hand.press("z")
            assert view.has_class("-maximised")  # type: ignore[attr-defined]  # a widget
            await hand.press(back)
            assert not view.has_class("-maximised")  # type: ignore[attr-defined]  # a widget
            assert hand.top == "Dashboard"


@pytest.mark.parametrize("size", [USUAL, SMALL, TINY])
async def test_tab_goes_through_the_panels_and_back(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with Stage(home=tmp_path).open(size) as hand:

        def current() -> str | None:
            return hand.dashboard.query_one(".-current").id

        first = current()
        seen = [first]
        for _ in range(4):
            await hand.press("tab")
            seen.append(current())
        assert len(set(seen)) == 5
        await hand.press("tab")
        assert current() == first
        await hand.press("shift+tab")
        assert current() == seen[-1]


@pytest.mark.parametrize(
    ("tabs", "place"), [(0, "agents"), (1, "tasks"), (4, "events")]
)
async def test_what_is_opened_in_the_overview_is_left_to_the_overview(
    tmp_path: Path, tabs: int, place: str
) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press(*["tab"] * tabs, "enter")
        address = hand.dashboard.view.address()
        assert address is not None
        assert address.startswith(f"nexa://{place}/")
        await hand.press("escape")
        assert hand.where == "view-overview"


async def test_a_pause_holds_the_picture_and_loses_nothing(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("3", "p")
        await hand.until_seen("paused")
        stage.tell(AgentChanged(seq=1, time=NOW, agent=agent("late-1")))
        await hand.until(lambda: "late-1" in stage.session.state.agents)
        await hand.rest()
        assert "late-1" not in hand.rows()

        await hand.press("p")
        await hand.until(lambda: "late-1" in hand.rows())


async def test_the_picture_of_a_while_ago_is_shown_again_and_marked(
    tmp_path: Path,
) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("3")
        for step in range(1, 13):
            stage.clock.seconds += 10
            stage.tell(
                AgentChanged(seq=step, time=NOW, agent=agent(f"late-{step}")),
                at=stage.clock.seconds,
            )
            await hand.until(lambda n=step: f"late-{n}" in stage.session.state.agents)
        await hand.until(lambda: "late-12" in hand.rows())

        await hand.press(",")
        await hand.until_seen("paused 10s")
        assert "late-11" in hand.rows()
        assert "late-12" not in hand.rows()
        await hand.press("<")
        await hand.until(lambda: "late-6" not in hand.rows())
        assert "late-5" in hand.rows()
        await hand.press(">")
        await hand.until(lambda: "late-11" in hand.rows())
        await hand.press(".", ".")
        await hand.until(lambda: "late-12" in hand.rows())
        await hand.until_told("that is the newest; p goes on")
        await hand.press("p")
        await hand.until(lambda: not stage.session.paused)


@pytest.mark.parametrize(
    ("keys", "address"),
    [
        (("7",), "nexa://metrics"),
        (("3", "enter"), "nexa://agents/"),
        (("3",), "nexa://agents/"),
        (("4",), "nexa://tasks/"),
        ((), "nexa://agents/"),
        (("tab",), "nexa://tasks/"),
        (("tab", "tab"), "nexa://overview"),
    ],
)
async def test_an_address_is_copied_to_terminal_and_file(
    tmp_path: Path, keys: tuple[str, ...], address: str
) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press(*keys)
        hand.app.local(hand.stage.session.keymap.by_id["copy"], "nothing yet")
        hand.app.action_do("copy")
        await hand.until_told("copied ")
        assert hand.app.clipboard.startswith(address)
        kept = tmp_path / "state" / "logs" / "copied.txt"
        assert kept.read_text() == hand.app.clipboard + "\n"
        assert kept.stat().st_mode & 0o777 == 0o600


async def test_y_copies(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("3", "y")
        assert hand.app.clipboard == f"nexa://agents/{hand.table.cursor_key}"


async def test_without_a_file_the_copy_is_still_made(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("y")
        await hand.until_told("copied nexa://")
        assert not [one for one in hand.told() if "also in" in one]


async def test_an_empty_list_has_nothing_to_copy_or_open(tmp_path: Path) -> None:
    async with Stage(*heard(EMPTY), home=tmp_path).open() as hand:
        await hand.press("3", "enter", "y")
        assert hand.where == "view-agents"
        await hand.until_told("nothing to copy here")
        await hand.press("D")
        await hand.until_told("choose an agent first")


async def test_a_lost_feed_marks_everything_stale_until_it_is_back(
    tmp_path: Path,
) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        stage.node.tell(LOST)
        stage.clock.seconds = AT + 12.0
        await hand.until_seen("STALE 12", "nexa node start")
        assert isinstance(stage.session.state.link, Gone)

        await hand.press("3")
        await hand.until_seen("STALE", "connection refused", "nexa node start")
        stage.clock.seconds = AT + 14.0
        stage.tell(later(seq=7, agents=(agent("back-1"),)), at=AT + 14.0)
        await hand.until(lambda: isinstance(stage.session.state.link, Live))
        await hand.until(lambda: "STALE" not in hand.seen())
        await hand.until_seen("live")
        assert hand.rows() == ["back-1"]


async def test_silence_alone_makes_it_stale(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        assert "STALE" not in hand.seen()
        stage.clock.seconds = AT + 9.0
        await hand.until_seen("STALE 9")


async def test_a_snapshot_after_a_gap_replaces_what_was_known(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("3")
        stage.tell(
            AgentChanged(seq=1, time=NOW, agent=agent("one")),
            later(seq=50, agents=(agent("two"),)),
            AgentChanged(seq=51, time=NOW, agent=agent("three")),
        )
        await hand.until(lambda: sorted(hand.rows()) == ["three", "two"])


@pytest.mark.parametrize("key", ["1", "3"])
@pytest.mark.parametrize(
    ("error", "words", "mend"),
    [
        (Unauthorized("the token is unknown", remedy="nexa login"),
         "the token is unknown", "nexa login"),
        (UnsupportedVersion("the node speaks protocol 0", remedy="upgrade the node"),
         "the node speaks protocol 0", "upgrade the node"),
    ],
)  # fmt: skip
async def test_a_refusal_is_shown_with_what_mends_it(
    tmp_path: Path, key: str, error: Unauthorized, words: str, mend: str
) -> None:
    stage = Stage(Refused(error), home=tmp_path)
    async with stage.open() as hand:
        await hand.press(key)
        await hand.until_seen(words, mend)
        assert isinstance(stage.session.state.link, Denied)


async def test_reconnect_keeps_the_node_and_opens_the_feed_again(
    tmp_path: Path,
) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        stage.node.tell(LOST)
        await hand.until(lambda: isinstance(stage.session.state.link, Gone))
        stage.node._news[:] = heard(picture())
        for key in ("ctrl+r", "f5"):
            await hand.press(key)
            await hand.until(lambda: isinstance(stage.session.state.link, Live))
        assert len(stage.nodes) == 1


async def test_without_a_node_there_is_a_way_on(tmp_path: Path) -> None:
    async with Stage(home=tmp_path, node=False).open() as hand:
        await hand.until_seen("No node runs here", "nexa node start", "nexa demo")
        await hand.press("ctrl+r")
        await hand.until_told("there is no node to connect to")
        await hand.press("3")
        await hand.until_seen("Nothing is known yet.")
        await hand.press("X")
        await hand.until_told("not now, there is no node; :attach chooses one")


async def test_without_a_node_d_is_the_demo(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path, node=False)
    async with stage.open() as hand:
        await hand.press("d")
        await hand.until(lambda: hand.app._exit)
    assert stage.console.return_value == "demo"


@pytest.mark.parametrize("key", ["2", "3", "4", "8 ]"])
async def test_foreign_text_never_reaches_the_terminal_raw(
    tmp_path: Path, key: str
) -> None:
    async with Stage(Received(HOSTILE, AT), home=tmp_path).open() as hand:
        await hand.press(*key.split())
        for look in ("", "enter"):
            if look:
                await hand.press(look)
            seen = hand.seen()
            assert not [c for c in seen if ord(c) < 32 and c != "\n"]
            assert "\u202e" not in seen
            assert "\x9b" not in seen


async def test_a_click_on_the_key_bar_is_its_key(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("4")
        row = hand.seen().splitlines()[-1]
        await hand.pilot.click("#keys", offset=(row.index("problems"), 0))
        await hand.rest()
        assert hand.list.choice.problems


async def test_a_click_on_a_title_sorts_and_again_reverses(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("3")
        table: Hand = hand
        header = hand.seen().splitlines()
        y = next(n for n, line in enumerate(header) if "can do" in line)
        x = header[y].index("can do")
        await hand.pilot.click(offset=(x, y))
        await hand.rest()
        assert table.list.choice.order.column == "can"
        first = table.list.choice.order.descending
        await hand.pilot.click(offset=(x, y))
        await hand.rest()
        assert table.list.choice.order.descending is not first


async def test_the_bytes_to_the_terminal_are_shown_when_asked_for(
    tmp_path: Path,
) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        assert "tty" not in hand.seen()
        await hand.press("b")
        await hand.until_seen("tty", "B/s")
        await hand.press("b")
        await hand.until(lambda: "tty" not in hand.seen())
        await hand.press("ctrl+l")
        assert "live" in hand.seen()
