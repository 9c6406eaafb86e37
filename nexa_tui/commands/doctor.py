"""`nexa doctor`: where everything is, and whether it works."""

from nexa_node.contract import places
from nexa_tui.client.discovery import announced
from nexa_tui.client.places import base_folders
from nexa_tui.commands import selftest, version
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import Call


def run(arguments: list[str], call: Call) -> int:
    """Print versions and places, then run the self-test; its exit code."""
    parser = Parser(
        "doctor", "Versions, places and the self-test: what a bug report needs."
    )
    parser.add_argument("--json", action="store_true", help="the self-test's document")
    options = parser.parse_args(arguments)
    if options.json:
        return selftest.run(["--json"], call)
    version.run([], call)
    call.line()
    config, state = base_folders(call.environ)
    for name, path in (
        ("settings", places.node_config(config)),
        ("console settings", places.console_config(config)),
        ("contexts", places.contexts(config)),
        ("state", state),
        ("start-up log", places.startup_log(state)),
    ):
        call.line(f"{name:<18}{path}")
    for node in announced(call.environ):
        alive = (
            f"runs, pid {node.file.pid}, {node.file.url}" if node.alive else "is gone"
        )
        call.line(f"{'node ' + node.file.name:<18}{alive}")
    call.line()
    return selftest.run([], call)
