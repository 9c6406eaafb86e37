"""`nexa events`: what happened."""

from nexa_node.contract.events import Event
from nexa_node.contract.rest import Page
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import Call, Cell, state_style
from nexa_tui.commands.reach import add_target_options, reach


def run(arguments: list[str], call: Call) -> int:
    """List events, the newest last, as a log is read."""
    parser = Parser("events", "What happened: the newest events, newest last.")
    parser.add_argument("--kind", metavar="PREFIX", help="task. finds all of them")
    parser.add_argument("--severity", choices=("debug", "info", "warning", "critical"))
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--cursor", metavar="CURSOR")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    names = ("kind", "severity", "limit", "cursor")
    with reach(options, call) as node:
        page = node.get(
            "/v1/events",
            Page[Event],
            query={name: getattr(options, name) for name in names},
        )
    if options.json:
        call.json(page)
        return 0
    call.table(
        ("TIME", "SEVERITY", "NODE", "WHAT", "SUBJECT", "MESSAGE"),
        [
            (
                f"{event.time:%Y-%m-%d %H:%M:%S}Z",
                Cell(event.severity, state_style(event.severity)),
                event.node,
                event.kind,
                event.subject,
                event.message,
            )
            for event in reversed(page.items)
        ],
        empty="nothing has happened yet",
    )
    return 0
