"""What every command that talks to a node shares: its options, and the connection."""

import argparse

from nexa_tui.client.discovery import Target, discover
from nexa_tui.client.read_only import refuse
from nexa_tui.client.rest import NoNode, Rest
from nexa_tui.commands.output import Call

STALE = "this may be old: the node hears too few others (nexa cluster status)"


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Add `--context`, `--attach` (alias `--node`) and `--json`."""
    parser.add_argument(
        "--context", metavar="NAME", help="a cluster of `nexa context list`"
    )
    parser.add_argument(
        "--attach",
        "--node",
        metavar="URL",
        dest="attach",
        help="this node, whatever is here",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def find(options: argparse.Namespace, call: Call) -> Target:
    """Find the node to talk to.

    Raises:
        NoNode: There is none anywhere.
    """
    target = discover(call.environ, context=options.context, attach=options.attach)
    if target is None:
        raise NoNode(
            "no node runs here and no context is set", remedy="nexa node start"
        )
    if target.read_only and call.changes:
        raise refuse(f"nexa {call.changes}", f"{target.source} is only looked at")
    if target.login is not None:
        from nexa_tui.client.logins import renewed

        return renewed(call.environ, target)
    return target


def reach(options: argparse.Namespace, call: Call) -> Rest:
    """Connect to the node; use with `with`. What may be old is said beside the answer."""
    return Rest(find(options, call), on_stale=lambda: call.note(STALE))
