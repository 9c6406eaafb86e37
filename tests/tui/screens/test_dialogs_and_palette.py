"""What lies on top for a moment: palette, help, themes, questions, and their defaults."""

# pyright: reportPrivateUsage=false
# What a person sees is not all public in Textual.

import asyncio
from pathlib import Path

import msgspec
import psutil
import pytest

from nexa_node.contract.errors import Conflict
from nexa_node.contract.nodes import NodeFile
from nexa_node.contract.version import CONSOLE_PROTOCOL, VERSION
from nexa_tui.client.api import Received
from nexa_tui.client.contexts import Context, keep_context
from nexa_tui.client.discovery import Target
from nexa_tui.settings import settings_path
from nexa_tui.theming import Terminal
from nexa_tui.widgets.table import Table
from tests.builders import NODE_ID, NOW, agent, cluster, node, node_status
from tests.tui.scenes import AT, picture
from tests.tui.screens.pilot import SMALL, TINY, USUAL, Hand, Stage

RUNNING = 7
"""Lines down in the list of tasks there is one that is worked on."""


async def typed(hand: Hand, words: str, opened: str = "colon") -> None:
    await hand.press(opened)
    assert hand.top == "Palette"
    await hand.press(*words, "enter")


def announce(home: Path, name: str = "local") -> int:
    """Have a node that lives: this very process."""
    here = psutil.Process()
    folder = home / "state" / "node" / name
    folder.mkdir(parents=True)
    file = NodeFile(
        id=NODE_ID,
        name=name,
        cluster="nexa",
        state="running",
        url="http://127.0.0.1:7002",
        pid=here.pid,
        pid_started=here.create_time(),
        version=VERSION,
        started=NOW,
        console_protocol=CONSOLE_PROTOCOL,
    )
    (folder / "node.json").write_bytes(msgspec.json.encode(file))
    return here.pid


@pytest.mark.parametrize("opened", ["colon", "ctrl+p"])
@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("task list", "view-tasks"), ("agents list", "view-agents"),
        ("audit list", "view-audit"), ("tail orders.>", "view-messages"),
    ],
)  # fmt: skip
async def test_the_words_of_the_command_line_lead_to_views(
    tmp_path: Path, opened: str, words: str, where: str
) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await typed(hand, words, opened)
        await hand.until(lambda: hand.where == where)


async def test_part_of_a_word_finds_the_command(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("colon", *"metr")
        assert hand.app.screen.query_one(Table).line_count() == 2
        await hand.press("tab", "enter")
        await hand.until(lambda: hand.where == "view-metrics")


async def test_the_palette_is_moved_in_and_closed(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("colon", "colon")
        table = hand.app.screen.query_one(Table)
        assert table.line_count() > 10
        for key, line in [("down", 1), ("ctrl+n", 2), ("up", 1), ("ctrl+p", 0)]:
            await hand.press(key)
            assert table.cursor == line
        await hand.press("escape")
        assert hand.top == "Dashboard"


async def test_what_is_no_command_is_not_run(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await typed(hand, "frobnicate")
        assert hand.top == "Palette"
        await hand.until_seen("No such command.")
        await hand.press("tab", "escape")
        assert hand.top == "Dashboard"
        hand.app._deeds.say("frobnicate")
        await hand.until_told("no command 'frobnicate'")


async def test_a_click_takes_a_command(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("colon", *"task lis")
        lines = hand.seen().splitlines()
        y = next(n for n, line in enumerate(lines) if "task list" in line)
        await hand.pilot.click(offset=(lines[y].index("task list"), y))
        await hand.until(lambda: hand.top == "Dashboard")
        await hand.until(lambda: hand.where == "view-tasks")


async def test_filter_and_order_by_words(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("3")
        await typed(hand, "filter wc")
        await hand.until(lambda: len(hand.rows()) == 3)
        await hand.press("escape")
        before = hand.list.choice.order
        await typed(hand, "sort")
        await hand.until(lambda: hand.list.choice.order != before)
        await typed(hand, "problems")
        await hand.until(lambda: hand.list.choice.problems)
        await typed(hand, "filter")
        await hand.until(lambda: type(hand.app.focused).__name__ == "Input")


async def test_going_back_by_words_takes_a_span(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        stage.clock.seconds += 90
        await typed(hand, "rewind 1m")
        await hand.until_seen("paused 1m30s")
        await typed(hand, "rewind soon")
        await hand.until_told("is no number of seconds")


async def test_back_pause_copy_and_quit_by_words(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("3", "4")
        await typed(hand, "back")
        await hand.until(lambda: hand.where == "view-agents")
        await typed(hand, "pause")
        await hand.until(lambda: stage.session.paused)
        await typed(hand, "copy")
        await hand.until(lambda: hand.app.clipboard.startswith("nexa://agents/"))
        await typed(hand, "quit")
        await hand.until(lambda: hand.top == "Quit")


async def test_a_task_is_cancelled_by_words(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("4", *"j" * RUNNING)
        key = hand.table.cursor_key
        await hand.press("1")
        await typed(hand, f"task cancel {key}")
        await hand.until(lambda: hand.top == "Confirm")
        await hand.press("right", "enter")
        await hand.until(lambda: stage.node.asked == [("cancel", key)])
        await typed(hand, "task cancel nothing-such")
        await hand.until_told("no task nothing-such; nexa task list")


@pytest.mark.parametrize("size", [USUAL, SMALL, TINY])
async def test_help_lists_the_keys_of_this_place(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with Stage(home=tmp_path).open(size) as hand:
        await hand.press("4")
        for opened, closed in [("question_mark", "question_mark"), ("f1", "escape")]:
            await hand.press(opened)
            assert hand.top == "Reading"
            await hand.until_seen("here: tasks, list")
            await hand.press(closed)
            assert hand.top == "Dashboard"


async def test_help_says_what_is_refused_and_why(tmp_path: Path) -> None:
    async with Stage(home=tmp_path, read_only=True).open((160, 60)) as hand:
        await hand.press("4", "question_mark")
        await hand.until_seen("Cancel the task.", "refused: you may only look")


async def test_a_theme_is_tried_on_and_taken_off_again(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        before = hand.app.theme
        await hand.press("t")
        table = hand.app.screen.query_one(Table)
        assert table.cursor_key == before
        await hand.press("home", "end")
        assert hand.app.theme == table.cursor_key != before
        await hand.press("escape")
        assert hand.app.theme == before

        await hand.press("t", "end", "enter")
        assert hand.app.theme != before
        await hand.until_told("kept in")
    assert Stage(home=tmp_path).read().theme == hand.app.theme


async def test_a_settings_file_that_is_broken_is_not_touched(tmp_path: Path) -> None:
    path = settings_path({"NEXA_HOME": str(tmp_path)})
    path.parent.mkdir(parents=True)
    path.write_text("theme = \n")
    async with Stage(home=tmp_path).open() as hand:
        await typed(hand, "theme nexa-light")
        await hand.until(lambda: hand.app.theme == "nexa-light")
        await hand.until_told("nexa-light, until the console ends")
    assert path.read_text() == "theme = \n"


async def test_what_a_poor_terminal_can_not_show_is_kept_all_the_same(
    tmp_path: Path,
) -> None:
    stage = Stage(home=tmp_path, terminal=Terminal(colours="16"))
    async with stage.open() as hand:
        await typed(hand, "theme nexa-light")
        await hand.until_told("nexa-light, here as ansi-16; kept in")
    assert stage.read().theme == "nexa-light"


async def test_a_theme_by_name(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await typed(hand, "theme nexa-light")
        await hand.until(lambda: hand.app.theme == "nexa-light")
        await typed(hand, "theme none-such")
        await hand.until_told("none-such")
        assert hand.app.theme == "nexa-light"


async def test_a_broken_theme_says_so_in_the_list(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "themes"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text("not = a theme")
    from nexa_tui.theming import Themes

    stage = Stage(home=tmp_path)
    stage.console.themes = Themes(folder)
    async with stage.open() as hand:
        await hand.press("t")
        await hand.until_seen("mine")


async def test_cancelling_asks_and_the_default_is_no(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("4", *"j" * RUNNING)
        key = hand.table.cursor_key
        for keys in (("enter",), ("escape",)):
            await hand.press("X")
            assert hand.top == "Confirm"
            await hand.until_seen("Cancel a task", "has worked on it")
            assert hand.app.focused is not None
            assert hand.app.focused.id == "confirm-no"
            await hand.press(*keys)
            assert hand.top == "Dashboard"
        assert stage.node.asked == []

        await hand.press("X", "right", "enter")
        await hand.until(lambda: stage.node.asked == [("cancel", key)])
        await hand.until_told(" is ")


async def test_an_open_task_is_cancelled_from_its_details(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("4", *"j" * RUNNING)
        key = hand.table.cursor_key
        await hand.press("enter", "X", "right", "enter")
        await hand.until(lambda: stage.node.asked == [("cancel", key)])


async def test_what_is_over_can_not_be_cancelled(tmp_path: Path) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("4", "G", "X")
        assert hand.top == "Dashboard"
        await hand.until_told("there is nothing to cancel")


@pytest.mark.parametrize(
    ("view", "key", "verb"),
    [("4", "X", "cancel"), ("3", "D", "disconnect"), ("2", "D", "drain")],
)
@pytest.mark.parametrize("viewer", [True, False])
async def test_who_may_only_look_is_refused(
    tmp_path: Path, view: str, key: str, verb: str, viewer: bool
) -> None:
    told = picture(node=node_status(role="viewer")) if viewer else picture()
    stage = Stage(Received(told, AT), home=tmp_path, read_only=not viewer)
    async with stage.open() as hand:
        await hand.press(view, *"j" * (RUNNING if view == "4" else 0), key)
        assert hand.top == "Dashboard"
        words = "a viewer may only look" if viewer else "this console is read-only"
        await hand.until_told(f"{verb}: refused, {words}")
        assert stage.node.asked == []


async def test_disconnecting_asks_and_the_default_is_no(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("3", "j")
        key = hand.table.cursor_key
        await hand.press("D", "enter")
        assert stage.node.asked == []
        await hand.press("D", "right", "enter")
        await hand.until(lambda: stage.node.asked == [("disconnect", key)])
        await hand.until_told("is disconnected")
        await hand.press("enter", "D", "right", "enter")
        await hand.until(lambda: len(stage.node.asked) == 2)


async def test_an_agent_that_is_gone_can_not_be_disconnected(tmp_path: Path) -> None:
    told = picture(agents=(agent("off", connected=False, state="offline"),))
    async with Stage(Received(told, AT), home=tmp_path).open() as hand:
        await hand.press("3", "D")
        await hand.until_told("it is not connected")
        await typed(hand, "agents disconnect nobody")
        await hand.until_told("no agent nobody; nexa agents list")


@pytest.mark.parametrize("opened", [True, False])
async def test_draining_the_only_node_asks(tmp_path: Path, opened: bool) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("2", *["enter"] * opened, "D")
        await hand.until_seen("Drain a node", "only node")
        await hand.press("right", "enter")
        await hand.until(lambda: [verb for verb, _ in stage.node.asked] == ["drain"])
        await hand.until_told("the node drains")
        await typed(hand, "node drain nothing")
        await hand.until_told("no node nothing; nexa cluster status")


async def test_where_writes_would_stop_the_name_is_typed(tmp_path: Path) -> None:
    two = cluster(
        quorum=cluster().quorum.__class__(have=2, need=2),
        nodes=(node(), node("beta", id="01jn8qk00000000000000beta0")),
    )
    stage = Stage(Received(picture(cluster=two), AT), home=tmp_path)
    async with stage.open() as hand:
        await hand.press("2", "D")
        await hand.until_seen("QUORUM BREAKS", "to go on")
        await hand.press("right", "enter")
        assert stage.node.asked == []


async def test_what_the_node_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path, refusal=Conflict("it just ended", remedy="look"))
    async with stage.open() as hand:
        await hand.press("4", *"j" * RUNNING, "X", "right", "enter")
        await hand.until_told("it just ended; look")


@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
@pytest.mark.parametrize(
    ("answer", "returned"), [("enter", "detach"), ("y", "detach"), ("q", "detach")]
)
async def test_leaving_asks_and_detaches_by_default(
    tmp_path: Path, key: str, answer: str, returned: str
) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press(key)
        assert hand.top == "Quit"
        assert hand.app.focused is not None
        assert hand.app.focused.id == "detach"
        assert not hand.app.screen.query("#stop")
        await hand.press("escape")
        assert hand.top == "Dashboard"
        await hand.press(key, "right", "enter")
        assert hand.top == "Dashboard"
        await hand.press(key, answer)
        await hand.until(lambda: hand.app._exit)
    assert stage.console.return_value == returned


@pytest.mark.parametrize(
    ("key", "before"), [("ctrl+q", "question_mark"), ("ctrl+c", "slash")]
)
async def test_leaving_is_asked_out_of_a_dialog_and_a_field_and_once(
    tmp_path: Path, key: str, before: str
) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("4", before)
        under = hand.top
        await hand.press(key, key)
        assert hand.top == "Quit"
        await hand.press("escape")
        assert hand.top == under


async def test_stop_is_offered_only_for_nodes_that_were_started_here(
    tmp_path: Path,
) -> None:
    pid = announce(tmp_path)
    stage = Stage(home=tmp_path)
    stage.session.started.append(
        Target("http://127.0.0.1:7002", None, "local", "here", pid=pid)
    )
    stage.session.started.append(
        Target("http://127.0.0.1:7003", None, "ended", "here", pid=1)
    )
    async with stage.open() as hand:
        await hand.press("ctrl+q")
        await hand.until_seen("Stop local", "Detach")
        assert "ended" not in hand.seen()
        await hand.press("right", "enter")
        await hand.until(lambda: hand.app._exit)
    assert stage.console.return_value == "stop"


async def test_a_demo_ends_with_the_console(tmp_path: Path) -> None:
    async with Stage(home=tmp_path, environ={"NEXA_DEMO": "1"}).open() as hand:
        await hand.press("ctrl+q")
        await hand.until_seen("The demo ends", "End it")


async def test_a_node_to_attach_to_is_chosen(tmp_path: Path) -> None:
    announce(tmp_path)
    keep_context(
        {"NEXA_HOME": str(tmp_path)},
        "prod",
        Context(url="http://far:6392", production=True, read_only=True),
        None,
    )
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await typed(hand, "attach")
        await hand.until(lambda: hand.top == "Attach")
        await hand.until_seen("local", "prod", "production")
        await hand.press("enter")
        await hand.until(lambda: stage.session.target.url == "http://127.0.0.1:7002")  # type: ignore[union-attr]  # attached
        await typed(hand, "attach")
        await hand.press("end", "enter")
        await hand.until(lambda: stage.session.target.name == "prod")  # type: ignore[union-attr]  # attached
        assert stage.session.read_only


async def test_an_address_may_be_typed(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path, node=False)
    async with stage.open() as hand:
        await hand.press("a")
        assert hand.top == "Attach"
        await hand.press("enter")
        assert hand.top == "Attach"
        await hand.press(*"box:7005", "enter", *"nxa-secret")
        assert hand.top == "Attach"
        assert "nxa-secret" not in hand.seen()
        await hand.press("enter")
        await hand.until(lambda: stage.session.target is not None)
        assert stage.node.target.url == "http://box:7005"
        assert stage.node.target.token == "nxa-secret"
        await hand.until_told("nexa login http://box:7005")
        await typed(hand, "attach other:7006")
        await hand.until(lambda: stage.node.target.url == "http://other:7006")


async def test_a_token_that_is_known_is_not_asked_for(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path, node=False, environ={"NEXA_TOKEN": "known"})
    async with stage.open() as hand:
        await hand.press("a", *"box:7005", "enter")
        await hand.until(lambda: stage.session.target is not None)
        assert stage.node.target.token == "known"


async def test_without_a_token_the_node_is_asked_all_the_same(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path, node=False)
    async with stage.open() as hand:
        await hand.press("a", *"box:7005", "enter", "enter")
        await hand.until(lambda: stage.session.target is not None)
        assert stage.node.target.token is None


async def test_what_can_be_no_token_is_told(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path, node=False)
    async with stage.open() as hand:
        hand.app._deeds._attach_to("url:box:7005", token="nxa\n")
        await hand.until_told("that is no token; nexa token create")
        assert stage.session.target is None


async def test_turning_to_another_node_closes_the_first(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await typed(hand, "attach other:7006")
        await hand.until(lambda: len(stage.nodes) == 2)
        await hand.until(lambda: stage.nodes[0].closed)
        assert not stage.nodes[1].closed


async def test_an_address_that_is_none_is_told(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path, node=False)
    async with stage.open() as hand:
        await typed(hand, "attach ftp://x")
        await hand.until_told("is no address of a node; give http://HOST:6392")
        assert stage.session.target is None
        hand.app._deeds._attach_to("node:nobody")
        await hand.until_told("nobody is gone; nexa node status")


async def test_a_broken_file_of_contexts_is_told_and_a_url_still_taken(
    tmp_path: Path,
) -> None:
    (tmp_path / "config").mkdir()
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        (tmp_path / "config" / "contexts.toml").write_text("= broken")
        await typed(hand, "attach")
        await hand.until_told("contexts.toml")
        await hand.until(lambda: hand.top == "Attach")


async def test_keys_an_operator_chose(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path, keys={"filter": "f", "sort": "o", "down": "n"})
    async with stage.open() as hand:
        await hand.press("3", "n")
        assert hand.table.cursor == 1
        before = hand.list.choice.order
        await hand.press("o")
        assert hand.list.choice.order != before
        await hand.press("f", *"wc", "enter")
        assert len(hand.rows()) == 3


async def test_work_that_fails_is_told_and_the_console_goes_on(
    tmp_path: Path,
) -> None:
    async def broken() -> None:
        raise RuntimeError("a bug")

    async with Stage(home=tmp_path).open() as hand:
        hand.app.begin(broken(), group="x")
        await hand.until_told("x: RuntimeError('a bug')")
        assert hand.app.is_running


async def test_a_signal_ends_it_with_its_code(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await asyncio.to_thread(stage.console.leave_now, 143)
        await hand.until(lambda: hand.app._exit)
    assert stage.console.return_code == 143


async def test_a_bug_leaves_a_file_and_two_lines(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)

    def broken() -> None:
        raise RuntimeError("a bug")

    async def until_it_fails() -> None:
        async with stage.open() as hand:
            hand.app.call_later(broken)
            await hand.until(lambda: stage.console.failed is not None)

    with pytest.raises(RuntimeError, match="a bug"):
        await until_it_fails()
    assert "RuntimeError: a bug" in stage.console.last_words()
    assert list((tmp_path / "state" / "logs").glob("crash-*.txt"))
