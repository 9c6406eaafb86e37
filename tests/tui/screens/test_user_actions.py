"""An operator's own actions: read, checked, filled in, run without a shell."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from nexa_node.contract.errors import Invalid, NexaError
from nexa_tui.actions import Keymap
from nexa_tui.screens.user_actions import (
    UserAction,
    actions_of,
    expanded,
    read_user_actions,
)
from nexa_tui.screens.user_deeds import run_beside
from tests.tui.screens.pilot import Stage

SAY = (sys.executable, "-c", "import sys; print(sys.argv[1:])")


def read(folder: Path, text: str) -> dict[str, UserAction]:
    path = folder / "actions.toml"
    path.write_text(text)
    return read_user_actions(path)


def test_a_file_is_read_and_without_one_there_is_nothing(tmp_path: Path) -> None:
    assert read_user_actions(tmp_path / "none.toml") == {}
    own = read(
        tmp_path,
        '[restart]\nkey = "f6"\nlabel = "again"\nwhere = ["agents"]\n'
        'command = ["systemctl", "restart", "worker@{id}"]\n',
    )
    (action,) = actions_of(own)

    assert (action.id, action.keys, action.words) == ("own-restart", ("f6",), "restart")
    assert own["own-restart"].confirm
    assert Keymap(own=(action,)).by_id["own-restart"] is action


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[a", "actions.toml"),
        ("[a]\ncommand = []", "names no program"),
        ("[a]\ncommand = ['{id}']", "is no variable"),
        ("[a]\ncommand = 'ls'", r"\[a\]"),
        ("[a]\ncommand = ['ls']\nkeyy = 'x'", "keyy"),
        ("[a]\ncommand = ['ls']\nkey = 'ctrl+a'", "belongs to terminals"),
        ("[a]\ncommand = ['ls']\nkey = 'q'", "the key q is quit's"),
        ("[a]\ncommand = ['ls']\nkey = 's'\nwhere = ['agents']", "the key s is"),
        ("[a]\ncommand = ['ls']\nwhere = ['agent']", "did you mean agents"),
        ("[a]\ncommand = ['ls']\ntimeout_s = 0.0", "timeout_s lies"),
        ("['A B']\ncommand = ['ls']", "is no id"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_action(
    tmp_path: Path, text: str, why: str
) -> None:
    with pytest.raises(Invalid, match=why):
        read(tmp_path, text)


def test_values_stay_in_their_argument_and_open_no_option() -> None:
    action = UserAction(command=("echo", "a{id}b", "{name}"))
    values = {"id": "x; rm -rf $(y) *", "name": "two words"}
    assert expanded(action, values) == ["echo", "ax; rm -rf $(y) *b", "two words"]

    with pytest.raises(Invalid, match="taken for an option"):
        expanded(action, {"id": "x", "name": "--force"})
    guarded = UserAction(command=("echo", "--", "{name}"))
    assert expanded(guarded, {"name": "-n"}) == ["echo", "--", "-n"]
    with pytest.raises(Invalid, match=r"\{nobody\} is nothing here"):
        expanded(UserAction(command=("echo", "{nobody}")), {"id": "x"})
    with pytest.raises(Invalid, match="NUL"):
        expanded(action, {"id": "a\0b", "name": "c"})


@given(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=50))
def test_no_value_makes_another_argument(value: str) -> None:
    action = UserAction(command=("echo", "--", "{id}", "x={id}"))

    assert expanded(action, {"id": value}) == ["echo", "--", value, f"x={value}"]


async def test_it_runs_without_a_shell_and_is_killed_when_it_takes_too_long() -> None:
    code, said = await run_beside([*SAY, "$HOME; ls", "*"], timeout_s=30)
    assert (code, said.strip()) == (0, "['$HOME; ls', '*']")
    with pytest.raises(NexaError, match="can't be run"):
        await run_beside(["/no/such/program"], timeout_s=1)
    with pytest.raises(NexaError, match="was killed"):
        await run_beside(["sleep", "60"], timeout_s=0.2)


async def test_a_key_asks_and_then_shows_what_it_said(tmp_path: Path) -> None:
    own = {
        "own-say": UserAction(
            command=(*SAY, "{id}", "{node}"), key="f6", where=("agents",)
        )
    }
    stage = Stage(home=tmp_path, own=own)
    async with stage.open() as hand:
        await hand.press("4", "f6")
        await hand.until_told("say is for agents")
        await hand.press("3", "f6")
        await hand.until_seen("Your action say", "runs ")
        await hand.press("tab", "enter")
        key = hand.rows()[0]
        await hand.until_seen("What it said", "ended with", key, "alpha")


async def test_help_and_palette_know_it(tmp_path: Path) -> None:
    own = {"own-say": UserAction(command=SAY, key="f6", help="Say it all again.")}
    stage = Stage(home=tmp_path, own=own)
    async with stage.open((120, 100)) as hand:
        await hand.press("?")
        await hand.until_seen("Say it all again.")
