"""`nexa`: the console, or the plain report where no console can be drawn."""

import sys

from nexa_tui.commands.arguments import Parser
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
    parser.add_argument("--plain", action="store_true", help="print one report and end")
    options = parser.parse_args(arguments)
    if options.plain or not can_draw(call):
        from nexa_tui.commands.plain import report

        return report(call, context=options.context, attach=options.attach)
    from nexa_tui.app import ConsoleOptions, run_console

    return run_console(
        ConsoleOptions(
            environ=call.environ,
            context=options.context,
            attach=options.attach,
            start=options.start,
            read_only=options.read_only,
            theme=options.theme,
            ascii=options.ascii,
            no_splash=options.no_splash,
            mouse=not options.no_mouse and "SSH_CONNECTION" not in call.environ,
        )
    )


def can_draw(call: Call) -> bool:
    """Say whether this is a terminal that can be drawn on. Textual draws on stderr."""
    if call.environ.get("TERM", "dumb") in {"", "dumb"}:
        return False
    return sys.stdin.isatty() and sys.stderr.isatty()
