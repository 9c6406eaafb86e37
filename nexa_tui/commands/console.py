"""`nexa`: the console, or the plain report where no console can be drawn."""

import argparse
import sys
from pathlib import Path

from nexa_tui.client import read_only
from nexa_tui.commands.arguments import Parser, Usage
from nexa_tui.commands.output import Call


def run(arguments: list[str], call: Call) -> int:
    """Open the console; on a pipe, or a dumb terminal, print the plain report instead."""
    parser = Parser("console", "Open the console: splash, then dashboard.")
    parser.add_argument(
        "--context", metavar="NAME", help="a cluster of `nexa context list`"
    )
    parser.add_argument("--attach", metavar="URL", help="this node, whatever is here")
    parser.add_argument(
        "--start", action="store_true", help="start a node here, unasked"
    )
    parser.add_argument(
        "--read-only", action="store_true", help="offer nothing that changes"
    )
    parser.add_argument("--theme", metavar="NAME", help="see `nexa themes list`")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII alone")
    parser.add_argument(
        "--no-splash", action="store_true", help="straight to the dashboard"
    )
    parser.add_argument("--no-mouse", action="store_true", help="off over SSH anyway")
    parser.add_argument(
        "--slow-link",
        action="store_true",
        help="repaint every 5 s at most; b shows how many bytes are written",
    )
    parser.add_argument("--plain", action="store_true", help="print one report and end")
    parser.add_argument(
        "--screen-reader",
        action="store_true",
        help="line by line: a report, a prompt, and what changed",
    )
    parser.add_argument(
        "--record",
        metavar="FILE",
        type=Path,
        help="write what is seen and done into FILE, without secrets",
    )
    parser.add_argument(
        "--replay", metavar="FILE", type=Path, help="show what --record wrote"
    )
    parser.add_argument(
        "--speed", metavar="N", type=_speed, default=1.0, help="of a replay: 4 is fast"
    )
    options = parser.parse_args(arguments)
    looks = options.read_only or read_only.wanted(call.environ)
    if looks:
        call.environ = read_only.with_read_only(call.environ)
        if options.start:
            raise read_only.refuse("nexa console --start", "a node would be started")
    if options.record is not None and options.replay is not None:
        raise Usage("a replay is not recorded", remedy="give --record or --replay")
    if options.screen_reader:
        from nexa_tui.commands.lines import run as run_lines

        return run_lines(call, context=options.context, attach=options.attach)
    if options.plain or not can_draw(call):
        from nexa_tui.commands.plain import report

        if not options.plain:
            _say_why(call)
        return report(call, context=options.context, attach=options.attach)
    from nexa_tui.app import ConsoleOptions, run_console

    return run_console(
        ConsoleOptions(
            environ=call.environ,
            context=options.context,
            attach=options.attach,
            start=options.start,
            read_only=looks,
            theme=options.theme,
            ascii=options.ascii,
            no_splash=options.no_splash or options.replay is not None,
            slow_link=options.slow_link,
            record=options.record,
            replay=options.replay,
            speed=options.speed,
            mouse=not options.no_mouse and "SSH_CONNECTION" not in call.environ,
        )
    )


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.1 <= speed <= 1000:
        raise argparse.ArgumentTypeError(f"{text!a} is no number from 0.1 to 1000")
    return speed


def can_draw(call: Call) -> bool:
    """Say whether this is a terminal that can be drawn on. Textual draws on stderr."""
    if "TEXTUAL_DRIVER" in call.environ:
        return True  # a browser's terminal, behind `nexa web`
    return not _dumb(call) and sys.stdin.isatty() and sys.stderr.isatty()


def _dumb(call: Call) -> bool:
    return call.environ.get("TERM", "dumb") in {"", "dumb"}


def _say_why(call: Call) -> None:
    """Tell a person at a terminal why it is a report; a pipe is told nothing."""
    if _dumb(call) and sys.stdin.isatty() and sys.stderr.isatty():
        named = call.environ.get("TERM") or "not set"
        call.note(
            f"TERM is {named}: a plain report. TERM=vt100 nexa draws with the least a"
            " terminal can; nexa --screen-reader answers line by line"
        )
