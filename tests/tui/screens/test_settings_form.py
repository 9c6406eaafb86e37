"""The settings: looked at, changed, kept, and the rest of the file left as it was."""

from pathlib import Path

from textual.widgets import Input

from nexa_tui.settings import settings_path
from tests.tui.screens.pilot import Hand, Stage

FILE = """\
# mine
theme = "nexa-light"   # by day
refresh_s = 2.0        # slow enough

[keys]
filter = "f"  # as in less
"""


def write(home: Path, text: str) -> Path:
    path = settings_path({"NEXA_HOME": str(home)})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


async def fill(hand: Hand, key: str, text: str) -> None:
    hand.app.screen.query_one(f"#blank-{key}", Input).value = text
    await hand.rest()


def typed_in(hand: Hand, key: str) -> str:
    return hand.app.screen.query_one(f"#blank-{key}", Input).value


async def test_a_setting_is_changed_and_comments_stay(tmp_path: Path) -> None:
    path = write(tmp_path, FILE)
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("f2")
        await hand.until_seen("Settings", "nexa-light", "every")
        await fill(hand, "refresh_s", "5")
        await fill(hand, "mouse", "no")
        for _ in range(6):
            await hand.press("enter")
        await hand.until_told("mouse, refresh_s from the next start")

    assert path.read_text() == "mouse = false\n" + FILE.replace(
        "refresh_s = 2.0  ", "refresh_s = 5.0  "
    )
    assert stage.read().refresh_s == 5


async def test_a_theme_is_worn_at_once_and_taken_out_again(tmp_path: Path) -> None:
    path = write(tmp_path, FILE)
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("f2")
        await fill(hand, "theme", "dune")
        for _ in range(6):
            await hand.press("enter")
        await hand.until(lambda: hand.app.theme == "dune")
        assert 'theme = "dune"   # by day' in path.read_text()
        await hand.press("f2")
        await fill(hand, "theme", "")
        for _ in range(6):
            await hand.press("enter")
        await hand.until(lambda: "theme" not in path.read_text())
    assert stage.read().keys == {"filter": "f"}


async def test_what_is_wrong_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    path = write(tmp_path, FILE)
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("f2")
        for key, text, why in (
            ("theme", "blue", "There is no theme 'blue'"),
            ("mouse", "maybe", "mouse is yes, no or nothing"),
            ("refresh_s", "0", "refresh lies between"),
            ("refresh_s", "soon", "refresh lies between"),
        ):
            before = typed_in(hand, key)
            await fill(hand, key, text)
            hand.app.screen.query_one("#blank-slow_link").focus()
            await hand.press("enter")
            await hand.until_seen(why)
            await fill(hand, key, before)
        await hand.press("escape")
    assert path.read_text() == FILE


async def test_a_file_that_is_broken_is_told(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        write(tmp_path, "theme = ")
        await hand.press("f2")
        await hand.until_told("console.toml")
