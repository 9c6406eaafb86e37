"""`nexa logs`: what nodes of this machine logged."""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nexa_node.contract import places
from nexa_node.contract.errors import NotFound
from nexa_tui.client.places import base_folders
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import Call, Cell, clean, state_style

_BEAT_S = 0.25
_KNOWN = ("time", "level", "event", "node", "logger")


def run(arguments: list[str], call: Call) -> int:
    """Print the newest lines, newest last; follow if asked."""
    parser = Parser("logs", "What nodes of this machine logged, newest last.")
    parser.add_argument(
        "query", nargs="?", default="", help="only lines that hold this"
    )
    parser.add_argument("--startup", action="store_true", help="starts and self-tests")
    parser.add_argument("--follow", "-f", action="store_true")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args(arguments)
    _, state = base_folders(call.environ)
    path = Path(
        places.startup_log(state) if options.startup else places.node_log(state)
    )
    if not path.exists():
        raise NotFound(
            f"there is no log at {path} yet",
            remedy="nexa selftest" if options.startup else "nexa node start",
        )
    say = _say_raw if options.json else _say_startup if options.startup else _say_line
    for line in _last(path, options.limit, options.query):
        say(line, call)
    if options.follow:
        call.out.flush()
        for line in _follow(path, options.query):
            say(line, call)
            call.out.flush()
    return 0


def _last(path: Path, limit: int, query: str) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        yield from deque(
            (line for line in lines if query in line), maxlen=max(1, limit)
        )


def _follow(path: Path, query: str) -> Iterator[str]:
    """Yield lines as they are written; a rotated file is opened anew."""
    file = path.open(encoding="utf-8", errors="replace")
    file.seek(0, 2)
    try:
        while True:
            line = file.readline()
            if line:
                if query in line:
                    yield line
                continue
            time.sleep(_BEAT_S)
            if (
                path.exists()
                and path.stat().st_ino != Path(f"/dev/fd/{file.fileno()}").stat().st_ino
            ):
                file.close()
                file = path.open(encoding="utf-8", errors="replace")
    finally:
        file.close()


def _record(line: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        return None


def _say_raw(line: str, call: Call) -> None:
    record = _record(line)
    if record is not None:
        call.json(record)


def _say_line(line: str, call: Call) -> None:
    record = _record(line)
    if record is None:
        call.line(clean(line.rstrip("\n"), 2000))
        return
    level = str(record.get("level", ""))
    rest = " ".join(
        f"{key}={value}" for key, value in record.items() if key not in _KNOWN
    )
    when = clean(str(record.get("time", "")))
    what = clean(f"{record.get('event', '')}  {rest}".rstrip(), 2000)
    call.line(f"{when}  {call.paint(f'{level:<8}', state_style(level))}{what}")


def _say_startup(line: str, call: Call) -> None:
    record = _record(line)
    if record is None:
        return
    status = str(record.get("status", ""))
    cell = Cell(f"{status:<8}", state_style(status))
    told = [
        str(record[key])
        for key in ("id", "title", "node", "detail", "cause", "remedy", "error")
        if record.get(key) not in {None, ""}
    ]
    took = record.get("duration_ms")
    took_text = f"{took:8.0f} ms  " if isinstance(took, int | float) else " " * 13
    when, kind = clean(str(record.get("time", ""))), clean(str(record.get("kind", "")))
    painted = call.paint(cell.text, cell.style)
    call.line(f"{when}  {kind:<12}{painted}{took_text}{clean('  '.join(told), 600)}")
