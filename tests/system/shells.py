"""A person's shell in a terminal: a prompt, what is typed, and the terminal's settings."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.system.screen import Terminal

PROMPT = "ready> "
_KEPT = ("NEXA_HOME", "PATH", "HOME", "LANG", "PYTHONPATH", "COVERAGE_PROCESS_CONFIG")
_MOUSE = re.compile(rb"\x1b\[\?(?:9|100[012356]|101[56])h")


def environment_of(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What such a shell has: a prompt of ours, and `nexa` on its path."""
    program = folder / "nexa"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m nexa_tui "$@"\n')
    program.chmod(0o755)
    kept = {key: environ[key] for key in _KEPT if key in environ}
    return {
        **kept,
        "PATH": f"{folder}:{environ['PATH']}",
        "PS1": PROMPT,
        "LANG": "C.UTF-8",
        "ENV": "",
    }


def ready(terminal: Terminal) -> None:
    """Wait until the shell asks."""
    terminal.until(lambda text: text.rstrip().endswith(PROMPT.strip()))


def say(terminal: Terminal, words: str) -> str:
    """Type a command; what it prints before the next prompt."""
    ready(terminal)
    terminal.press(f"clear; {words}; echo done\r")
    text = terminal.until(
        lambda text: re.search(r"^done\n+ready>\s*\Z", text, re.MULTILINE)
    )
    return text.rpartition("done")[0].strip()


def settings(terminal: Terminal) -> str:
    """The terminal's settings, as the kernel has them."""
    return say(terminal, "stty -g").split()[-1]


def mouse_taken(raw: bytes) -> bool:
    """Whether a program has asked for the mouse."""
    return _MOUSE.search(raw) is not None
