"""`nexa logs`: what nodes logged: of this machine, from the files; of a cluster, asked.

With `--cluster` all nodes that answer are asked through one of them, which needs the
permission `logs:read`; each tells the newest 10,000 lines it has in memory.
"""

import argparse
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nexa_node.contract import places
from nexa_node.contract.errors import NotFound
from nexa_node.contract.logs import LEVELS, LogLine
from nexa_node.contract.rest import PAGE_MAX, Page
from nexa_tui.client.places import base_folders
from nexa_tui.commands.arguments import Parser, Usage
from nexa_tui.commands.output import Call, Cell, clean, state_style
from nexa_tui.commands.reach import add_target_options, reach

_BEAT_S = 0.25
_WAIT_S = 20.0
_KNOWN = ("time", "level", "event", "node", "logger")


def run(arguments: list[str], call: Call) -> int:
    """Print the newest lines, newest last; follow if asked."""
    parser = Parser(
        "logs",
        "What nodes of this machine logged, or of a whole cluster; newest last.",
        epilog="nexa logs --cluster --level warning --follow",
    )
    parser.add_argument(
        "query", nargs="?", default="", help="only lines that hold this"
    )
    parser.add_argument("--startup", action="store_true", help="starts and self-tests")
    parser.add_argument("--follow", "-f", action="store_true")
    parser.add_argument("--limit", type=int, default=100)
    far = parser.add_argument_group("of a cluster")
    far.add_argument(
        "--cluster", action="store_true", help="all nodes, asked through one of them"
    )
    far.add_argument("--level", choices=LEVELS, help="that bad, or worse")
    far.add_argument("--from", dest="source", metavar="NODE", help="of that node alone")
    far.add_argument("--component", metavar="NAME", help="of loggers that begin so")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    if options.cluster or options.level or options.source or options.component:
        return _of_cluster(options, call)
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


def _of_cluster(options: argparse.Namespace, call: Call) -> int:
    """Ask all nodes; with `--follow`, again and again, waiting for what comes."""
    if options.startup:
        raise Usage("--startup is of this machine alone", remedy="leave out --cluster")
    if not 1 <= options.limit <= PAGE_MAX:
        raise Usage(f"--limit: 1 to {PAGE_MAX:,}, not {options.limit:,}")
    query: dict[str, object] = {
        "level": options.level, "node": options.source, "limit": options.limit,
        "component": options.component, "text": options.query or None,
    }  # fmt: skip
    with reach(options, call) as node:
        page = node.get("/v1/logs", Page[LogLine], query=query)
        while True:
            for line in page.items:
                _say_told(line, call, as_json=options.json)
            call.out.flush()
            if not options.follow:
                return 0
            wanted = {
                **query, "limit": PAGE_MAX, "after": page.next_cursor, "wait_s": _WAIT_S,
            }  # fmt: skip
            page = node.get("/v1/logs", Page[LogLine], query=wanted, wait_s=_WAIT_S)


def _say_told(line: LogLine, call: Call, *, as_json: bool) -> None:
    if as_json:
        call.json(line)
        return
    rest = " ".join(f"{key}={value}" for key, value in line.fields.items())
    level = call.paint(f"{line.level:<8}", state_style(line.level))
    where = clean(f"{line.node}  {line.component}")
    what = clean(f"{line.event}  {rest}".rstrip(), 2000)
    call.line(f"{line.time:%Y-%m-%dT%H:%M:%S.%f}Z  {level}{where}  {what}")


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
