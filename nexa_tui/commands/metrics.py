"""`nexa metrics`: what Prometheus reads."""

from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import Call, clean
from nexa_tui.commands.reach import add_target_options, reach


def run(arguments: list[str], call: Call) -> int:
    """Print the samples whose name holds the given text."""
    parser = Parser("metrics", "The node's metrics, in Prometheus' text format.")
    parser.add_argument("name", nargs="?", default="", help="only names that hold this")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        text = node.text("/metrics")
    lines = [line for line in text.splitlines() if options.name in line]
    if options.json:
        samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        items = [{"series": series, "value": value} for series, _, value in samples]
        call.json({"items": items})
        return 0
    for line in lines:
        call.line(clean(line, 2000))
    return 0
