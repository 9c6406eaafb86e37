"""What every list has: columns that are remembered, export, addresses that lead back."""

import csv
import json
import tomllib
from pathlib import Path

import pytest
from textual.widgets import Input

from nexa_tui.client.api import Received
from nexa_tui.screens.kept_columns import columns_of, keep_columns
from tests.tui.alarms import ALERTS
from tests.tui.scenes import AT, picture
from tests.tui.screens.pilot import SMALL, Stage

BOARD = Received(picture(alerts=ALERTS), AT)
LISTS = {
    "agents": ("3",), "tasks": ("4",), "messages": ("5",), "dead-letters": ("5", "["),
    "topics": ("5", "]"), "inboxes": ("5", "]", "]"),
    "alerts": ("6",), "silences": ("6", "]"), "alert-history": ("6", "]", "]"),
    "rules": ("6", "["), "logs": ("8",), "events": ("8", "]"), "audit": ("9",),
}  # fmt: skip


def exports(home: Path) -> list[Path]:
    return sorted((home / "state" / "exports").glob("*"))


async def test_every_list_is_exported_as_csv_and_as_json(tmp_path: Path) -> None:
    async with Stage(BOARD, home=tmp_path).open() as hand:
        for n, (place, keys) in enumerate(LISTS.items()):
            await hand.press("1", *keys)
            await hand.until(lambda: hand.dashboard.view.address() is not None, place)
            await hand.press("e")
            await hand.until(lambda n=n: len(exports(tmp_path)) == 2 * n + 1)
            await hand.press(":", *"export json", "enter")
            await hand.until(lambda n=n: len(exports(tmp_path)) == 2 * n + 2)
        await hand.until_told("as a command: nexa audit list --json")

    for place in LISTS:
        as_csv, as_json = (tmp_path / "state" / "exports").glob(f"nexa-{place}-2026*")
        if as_csv.suffix == ".json":
            as_csv, as_json = as_json, as_csv
        rows = list(csv.DictReader(as_csv.read_text().splitlines()))
        records = json.loads(as_json.read_text())
        assert len(rows) == len(records) > 0, place
        assert as_csv.stat().st_mode & 0o777 == 0o600


async def test_an_export_of_an_unknown_kind_or_of_no_list_is_refused(
    tmp_path: Path,
) -> None:
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("3", ":", *"export pdf", "enter")
        await hand.until_told("no kind of file: pdf")
        await hand.press("1", ":", *"export", "enter")
        await hand.until_told("there is no list here to export")
        assert not exports(tmp_path)


async def test_columns_are_chosen_and_remembered_with_comments_kept(
    tmp_path: Path,
) -> None:
    file = tmp_path / "config" / "console.toml"
    file.parent.mkdir()
    file.write_text("# mine\nascii = false  # why not\n[keys]\n# none yet\n")
    async with Stage(home=tmp_path).open() as hand:
        await hand.press("3", "c")
        await hand.until_seen("Choose columns", "there are: state")
        await hand.press("ctrl+u", *"load nonsense", "enter")
        await hand.until_seen("no column nonsense")
        await hand.press("ctrl+u", *"id load", "enter")
        await hand.until(lambda: hand.list.columns == ("id", "load"))
        assert "state" not in hand.seen().splitlines()[2]
    assert file.read_text() == (
        '# mine\nascii = false  # why not\n[keys]\n# none yet\n\n[columns]\nagents = ["id", "load"]\n'
    )

    async with Stage(home=tmp_path).open(SMALL) as hand:
        await hand.press("3")
        assert hand.list.columns == ("id", "load")
        await hand.press("/", *"state:busy", "enter")  # a filter reads them all
        await hand.until(lambda: 0 < len(hand.rows()) < 12)
        await hand.press("escape", ":", *"columns nothing", "enter")
        await hand.until_told("no column nothing")
        await hand.press("c", "ctrl+u", "enter")
        await hand.until(lambda: len(hand.list.columns) > 5)
    assert columns_of({"NEXA_HOME": str(tmp_path)}, "agents") == ()
    assert "# mine" in file.read_text()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[columns]\ntasks = ["id"]\n'),
        ("theme = 'x'", "theme = 'x'\n\n[columns]\ntasks = [\"id\"]\n"),
        (
            '[columns] # mine\nagents = ["id"] # a\n[keys]\n',
            '[columns] # mine\ntasks = ["id"]\nagents = ["id"] # a\n[keys]\n',
        ),
        ('[columns]\ntasks = ["type"]\n', '[columns]\ntasks = ["id"]\n'),
        ("[columns]", '[columns]\ntasks = ["id"]\n'),
    ],
)
def test_only_the_line_of_the_list_is_written(
    tmp_path: Path, before: str, after: str
) -> None:
    file = tmp_path / "config" / "console.toml"
    file.parent.mkdir()
    file.write_text(before)

    keep_columns({"NEXA_HOME": str(tmp_path)}, "tasks", ["id"])

    assert file.read_text() == after
    assert columns_of({"NEXA_HOME": str(tmp_path)}, "tasks") == ("id",)


def test_a_file_whose_columns_stand_in_many_lines_is_kept_beside(
    tmp_path: Path,
) -> None:
    file = tmp_path / "config" / "console.toml"
    file.parent.mkdir()
    old = '# mine\n[columns]\ntasks = [\n  "type",\n]\n'
    file.write_text(old)

    keep_columns({"NEXA_HOME": str(tmp_path)}, "tasks", ["id"])

    assert tomllib.loads(file.read_text()) == {"columns": {"tasks": ["id"]}}
    assert file.with_suffix(".toml.before").read_text() == old


async def test_an_address_that_was_copied_leads_back_when_it_is_pasted(
    tmp_path: Path,
) -> None:
    async with Stage(BOARD, home=tmp_path).open() as hand:
        for place, keys in LISTS.items():
            await hand.press("1", *keys)
            await hand.until(lambda: hand.dashboard.view.address() is not None, place)
            await hand.press("j" if place != "logs" else "k", "y")
            kept = tmp_path / "state" / "logs" / "copied.txt"
            address = kept.read_text().strip()
            assert address.startswith("nexa://")
            await hand.press("1", ":")
            hand.app.screen.query_one(Input).value = address
            await hand.press("enter")
            await hand.until(
                lambda address=address: hand.dashboard.view.address() == address, place
            )
        await hand.press(":", *"nexa://", *"nowhere", "enter")
        await hand.until_told("no such place: nexa://nowhere")


async def test_the_help_names_the_keys_of_the_place(tmp_path: Path) -> None:
    async with Stage(BOARD, home=tmp_path).open(size=(120, 80)) as hand:
        for place in ("agents", "messages", "dead-letters", "logs"):
            await hand.press("1", *LISTS[place], "?")
            wanted = {"logs": "Go to a time", "messages": "Follow other topics"}
            await hand.until_seen(
                "Write all rows", wanted.get(place, "Choose the columns")
            )
            await hand.press("escape")
