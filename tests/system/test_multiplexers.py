"""The console inside tmux and screen: drawn, sized, and gone as if it had not been there."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.debian import install
from tests.system.conftest import Shell, until
from tests.system.screen import Terminal
from tests.system.shells import environment_of, ready, settings

pytestmark = pytest.mark.timeout(120)
VERDICT = "HEALTHY|DEGRADED"


def program(name: str) -> str:
    """Where it is; the test is skipped without it."""
    if shutil.which(name) is None and not install(name):
        pytest.skip(f"needs {name}")
    return name


def leave(terminal: Terminal) -> None:
    terminal.press("\x11")
    terminal.until("Detach")
    terminal.press("q")


class Tmux:
    """A tmux of this test's own, seen by a client in a terminal."""

    def __init__(self, shell: Shell, folder: Path) -> None:
        self._socket = str(folder / "tmux")
        self._environ = environment_of(shell.environ, folder)
        self.terminal = Terminal(
            {**os.environ, **self._environ},
            command=[
                program("tmux"), "-S", self._socket, "-f", "/dev/null", "new", "sh", "-i",
            ],
            columns=100,
            rows=31,
        )  # fmt: skip

    def ask(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *words],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    def pane(self) -> str:
        return self.ask("capture-pane", "-p").rstrip()

    def state(self) -> str:
        """What a program may have left: other screen, mouse, cursor, keypad, wrapping."""
        flags = (
            "alternate_on mouse_any_flag cursor_flag keypad_flag wrap_flag insert_flag"
        )
        return self.ask(
            "display", "-p", " ".join(f"#{{{name}}}" for name in flags.split())
        ).strip()

    def end(self) -> None:
        self.ask("kill-server")


@pytest.fixture
def tmux(shared: Shell, tmp_path: Path) -> Iterator[Tmux]:
    made = Tmux(shared, tmp_path)
    with made.terminal:
        try:
            made.terminal.until("ready>")
            yield made
        finally:
            made.end()


def shown(tmux: Tmux, wanted: str | Callable[[str], object]) -> str:
    """Wait for the pane, as tmux itself has it."""
    fits = wanted if callable(wanted) else re.compile(wanted).search

    def look() -> str | None:
        tmux.terminal.take(0)
        text = tmux.pane()
        return text if fits(text) else None

    return until(look, f"the pane shows {wanted}")


def test_in_tmux_it_is_drawn_and_leaves_the_pane_as_it_was(tmux: Tmux) -> None:
    tmux.terminal.press("stty -g; echo a line before\r")
    shown(tmux, r"\na line before\nready>$")
    pane, state = tmux.pane(), tmux.state()
    set_before = re.findall(r"[0-9a-f]+(?::[0-9a-f]+){10,}", pane)

    tmux.terminal.press("nexa --no-splash\r")
    text = shown(tmux, VERDICT)
    assert "╭" in text
    assert tmux.state().startswith("1 ")
    tmux.ask("split-window", "-h", "-d", "sleep 60")
    shown(tmux, lambda text: 0 < max(map(len, text.splitlines())) < 60)
    shown(tmux, VERDICT)
    tmux.ask("resize-pane", "-Z")
    shown(tmux, lambda text: max(map(len, text.splitlines())) > 90)
    tmux.terminal.press("\x11")
    shown(tmux, "Detach")
    tmux.terminal.press("q")

    left = shown(tmux, r"ready>$")
    assert left.startswith(pane)
    assert "╭" not in left
    assert tmux.state() == state
    tmux.terminal.press("clear; stty -g\r")
    text = shown(tmux, r":\w+\nready>$")
    assert re.findall(r"[0-9a-f]+(?::[0-9a-f]+){10,}", text) == set_before


def test_a_tmux_client_that_goes_leaves_the_console_where_it_is(tmux: Tmux) -> None:
    tmux.terminal.press("nexa --no-splash\r")
    shown(tmux, VERDICT)

    tmux.terminal.vanish()
    until(lambda: not tmux.ask("list-clients"), "the client is gone")

    assert re.search(VERDICT, tmux.pane())
    tmux.ask("send-keys", "2")
    until(lambda: "Nodes 1" in tmux.pane(), "it still answers")
    tmux.ask("send-keys", "C-q")
    until(lambda: "Detach" in tmux.pane(), "it asks")
    tmux.ask("send-keys", "q")
    until(lambda: tmux.pane().endswith("ready>"), "it leaves")


def test_in_screen_it_is_drawn_and_gives_the_terminal_back(
    shared: Shell, tmp_path: Path
) -> None:
    (tmp_path / "sockets").mkdir(mode=0o700)
    (tmp_path / "rc").write_text("startup_message off\naltscreen on\ndefutf8 on\n")
    environ = {
        **environment_of(shared.environ, tmp_path),
        "SCREENDIR": str(tmp_path / "sockets"),
    }
    command = [
        program("screen"), "-U", "-c", str(tmp_path / "rc"), "-S", "nexa", "sh", "-i",
    ]  # fmt: skip
    with Terminal(environ, command=command, columns=100, rows=30) as terminal:
        try:
            before = settings(terminal)
            ready(terminal)
            terminal.press("echo a line before\r")
            terminal.until(r"\na line before\nready>")
            terminal.press("nexa --no-splash\r")
            text = terminal.until(VERDICT)
            assert "╭" in text
            terminal.resize(120, 36)
            terminal.until(lambda text: max(map(len, text.splitlines())) > 110)
            leave(terminal)

            text = terminal.until(r"ready>\s*\Z")
            assert "a line before" in text
            assert "╭" not in text
            assert settings(terminal) == before
            terminal.press("exit\r")
            terminal.wait(10)
            assert terminal.raw.rfind(b"\x1b[?25h") > terminal.raw.rfind(b"\x1b[?25l")
        finally:
            subprocess.run(
                ["screen", "-S", "nexa", "-X", "quit"],
                env=environ,
                check=False,
                capture_output=True,
            )
