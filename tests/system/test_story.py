"""The operator's story, from the alert to the mend, on three real nodes; `make story`.

Imports fail because a folder is empty. Their dead letters pile up, an alert fires; the
person sees it, opens it, reads the evidence and the runbook, takes it, has the dead
letters brought back by a step of the runbook, and sees the alert end.
"""

import os
import re
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.conftest import Shell, end, environment, servers_under, until
from tests.system.recording import cast
from tests.system.screen import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
RECORDING_MAX = 300_000
COLUMNS, ROWS = 120, 36
LETTERS = 6
PACE_S = 0.6
SCREEN = b"\x1b[?1049h\x1b[?25l\x1b[2J\x1b[H"
"""What the console did to the terminal at its start."""
RULE = """
groups:
- name: imports
  interval: 5s
  rules:
  - alert: ImportsFail
    expr: max by (queue) (nexa_dead_letter_queue_depth{queue="import"}) >= 4
    labels:
      severity: critical
    annotations:
      summary: '{{ $value }} imports failed for good'
      description: 'Orders are not in the books until somebody brings them back.'
      runbook_url: nexa://runbook/NexaDeadLetterGrowing
"""
IMPORT = """
import json, pathlib, sys
path = pathlib.Path(json.load(sys.stdin)["data"]["file"])
if not path.exists():
    sys.exit(f"{path} is not there: is the share mounted?")
print(len(path.read_text().splitlines()))
"""


class Story:
    """A console in a terminal; its scenes are written down."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.scenes: list[tuple[int, str]] = []

    def scene(self, name: str) -> None:
        self.terminal.take(PACE_S)
        self.scenes.append((len(self.terminal.chunks), name))

    def see(self, wanted: str, seconds: float = 60.0) -> str:
        return self.terminal.until(wanted, seconds)

    def press(self, *keys: str) -> None:
        """Press keys as a person does, who looks where the cursor goes."""
        for key in keys:
            end = time.monotonic() + PACE_S
            self.terminal.press(key)
            while (left := end - time.monotonic()) > 0:
                self.terminal.take(left)

    def choose(self, wanted: str) -> None:
        """Go down a list to the row that says so, and take it."""
        for _ in range(ROWS):
            if re.search(rf"▌ *{wanted}", self.terminal.text):
                self.press("\r")
                return
            self.press("j")
        raise AssertionError(f"no row says {wanted}\n{self.terminal.text}")


@contextmanager
def demo(folder: Path) -> Generator[tuple[Terminal, Shell]]:
    """A demo of three nodes in its console, and a shell beside it."""
    environ = {**environment(folder / "unused", LANG="C.UTF-8"), "TMPDIR": str(folder)}
    terminal = Terminal(
        environ, "demo", "--nodes", "3", "--agents", "3", columns=COLUMNS, rows=ROWS
    )
    with terminal:
        terminal.until("3 of 3 vote", 240)
        [home] = folder.glob("nexa-demo-*")
        yield terminal, Shell({**environ, "NEXA_HOME": str(home)})
        terminal.press("\x11")
        terminal.until("The demo ends")
        terminal.press("q")
        assert terminal.wait(120) == 0
    until(lambda: not servers_under(home), "nothing is left running", 20)


def test_an_incident_from_the_alert_to_its_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with demo(tmp_path) as (terminal, shell):
        rules = shell.home / "config" / "rules"
        rules.mkdir(parents=True)
        (rules / "imports.yaml").write_text(RULE)
        until(lambda: "ImportsFail" in shell("rules", "list").out, "the rule holds", 60)
        importer = shell.agent("importer-1", "import", sys.executable, "-c", IMPORT)
        story = Story(terminal)
        try:
            until(lambda: shell.connected("importer-1"), "the importer is there")
            story.press("1")
            story.see("Agents")
            story.scene("Three nodes, and all is well")
            story.press("\x0c")  # what came before is not recorded
            tasks = [submit(shell, number) for number in range(LETTERS)]
            heard_and_minded(story)
            mended(story)
            for task in tasks:
                told = shell("task", "show", task, "--json").json()
                assert told["status"] == "completed"
            handed_over(story)
        finally:
            end(importer)
    keep(story, tmp_path)


def submit(shell: Shell, number: int) -> str:
    said = shell(
        "task", "submit", "import", "--max-attempts", "1", "--json",
        "--data", f'{{"file": "inbox/orders-{number}.csv"}}',
    )  # fmt: skip
    assert said.code == 0, said.err
    return said.json()["id"]


def heard_and_minded(story: Story) -> None:
    """From the bell to the cause in three keys, and whose it is."""
    before = story.terminal.raw.count(b"\x07")
    story.see("ImportsFail.* 6 shows it", 90)
    assert story.terminal.raw.count(b"\x07") > before, "the terminal's bell"
    story.scene("The bell: an alert")
    story.press("6")
    story.see(r"▌✗ firing +✗ critical +ImportsFail")
    story.scene("6: the board, the worst first")
    story.press("\r")
    story.see("(?s)evidence.*dead_letter_queue_depth")
    story.scene("Enter: what was the case when it fired")
    story.press("r")
    story.see("Runbook of ImportsFail")
    story.scene("r: its runbook, step by step")
    story.choose("nexa dead-letters list")
    story.see("(?s)What it said.*is not there")
    story.scene("The first step names the cause")
    story.press("\x1b", "a")
    story.see("Acknowledge an alert")
    story.press("the share is being mounted", "\r", "\r")
    story.see("ImportsFail is yours")
    story.see("handling +first")
    story.scene("a: somebody minds it")


def mended(story: Story) -> None:
    """The cause first, elsewhere; then what it left behind, by a step that asks."""
    inbox = Path("inbox")
    inbox.mkdir()
    for number in range(LETTERS):
        (inbox / f"orders-{number}.csv").write_text("widget,2\ngadget,3\n")
    story.press("r")
    story.see("Runbook of ImportsFail")
    story.choose(r"nexa dead-letters redrive --type \S+ +asks first")
    story.see("(?s)A step of the runbook.*import")
    story.press("\r")
    story.see("(?s)nexa dead-letters redrive --type import.*Do it")
    story.scene("A step that changes something asks first")
    story.press("\x1b[C", "\r")
    story.see(f"(?s)What it said.*{LETTERS} back in the queue")
    story.scene("The dead letters are tasks again")
    story.press("\x1b")
    story.see(r"state +\S+ resolved", 90)
    story.scene("The alert is resolved")


def handed_over(story: Story) -> None:
    """What the next shift reads."""
    story.press("\x1b", "h")
    story.see("(?s)Handover.*ImportsFail")
    story.scene("h: what the next shift is told")
    story.press("\x1b")
    story.scene("The end")


def keep(story: Story, folder: Path) -> None:
    """Write the recording where `NEXA_STORY` says; it holds nothing of this machine."""
    first, last = story.scenes[0][0], story.scenes[-1][0]
    told = cast(
        [(story.terminal.chunks[first][0], SCREEN), *story.terminal.chunks[first:last]],
        [(number - first + 1, name) for number, name in story.scenes],
        columns=COLUMNS, rows=ROWS, title="nexa: an incident, from alert to mend",
    )  # fmt: skip
    assert len(told.encode()) < RECORDING_MAX
    found = re.search(
        r"/(tmp|home|root|usr|var|opt|work|etc)/|nxa_|nxj_|Traceback", told
    )
    assert found is None, told[found.start() - 100 : found.end() + 100]
    for word in (folder.name, str(Path.home()), sys.prefix):
        assert word not in told, word
    wanted = os.environ.get("NEXA_STORY")
    if wanted:
        Path(wanted).write_text(told)
