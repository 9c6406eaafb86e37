"""T18: a log that is shown with `cat` does nothing to the terminal, and loses nothing."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from nexa_node.adapters.files.logs import set_up_logs
from nexa_node.core.policies import LogPolicy
from tests.tui.hostile import CORPUS


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield tmp_path / "nexa.jsonl"
    for handler in root.handlers:
        if handler not in handlers and isinstance(handler, logging.FileHandler):
            handler.close()
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def test_each_line_is_printable_ascii_and_says_what_was_said(path: Path) -> None:
    set_up_logs(LogPolicy(), path, node="alpha", foreground=False)
    for text in CORPUS:
        structlog.get_logger("nexa").info("told", text=text)
        logging.getLogger("library").warning("%s", text)

    written = path.read_bytes()
    lines = [json.loads(line) for line in written.splitlines()]

    assert set(written) <= {*range(0x20, 0x7F), 0x0A}
    assert [line["text"] for line in lines[::2]] == list(CORPUS)
    assert len(lines) == 2 * len(CORPUS)
