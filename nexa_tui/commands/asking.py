"""Asking before something is changed that others depend on.

First the node says what the change would do; a person at a terminal reads that and
answers. Where nobody can be asked, nothing is done unless `--yes` says so.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from nexa_node.contract.cluster import ClusterChange
from nexa_node.contract.errors import Invalid
from nexa_tui.client.rest import Rest
from nexa_tui.commands.output import Call, clean

_YES = frozenset(("y", "yes"))


def add_change_options(parser: argparse.ArgumentParser) -> None:
    """Add `--yes` and `--dry-run`."""
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what it would do, and do nothing"
    )


def change(
    node: Rest,
    path: str,
    options: argparse.Namespace,
    call: Call,
    *,
    body: Any = None,
    wait_s: float = 0.0,
) -> ClusterChange:
    """Change the cluster, after asking; with `--dry-run` only say what it would do.

    Args:
        node: Whom to ask.
        path: Of the change.
        options: With `yes` and `dry_run`.
        call: Where to ask.
        body: What is wanted.
        wait_s: How long it may take.

    Raises:
        Invalid: Nobody can be asked, or the answer was no; nothing was done.
        NexaError: The node will not do it.
    """
    if not options.yes or options.dry_run:
        planned = node.post(path, ClusterChange, body=body, query={"dry_run": True})
        if options.dry_run:
            return planned
        confirm(planned.what, planned.effects, call)
    return node.post(path, ClusterChange, body=body, wait_s=wait_s)


def confirm(what: str, effects: Sequence[str], call: Call) -> None:
    """Tell what would be done and to whom, and go on only after a yes.

    Raises:
        Invalid: Standard input is no terminal, or the answer was no.
    """
    what = clean(what, 200)
    if not sys.stdin.isatty():
        told = "".join(f"; {clean(effect, 200)}" for effect in effects)
        raise Invalid(
            f"not done, nobody could be asked: {what}{told}",
            remedy="add --yes, or look first with --dry-run",
        )
    call.err.write(call.paint(what, "bold") + "\n")
    for effect in effects:
        call.err.write(f"  {clean(effect, 300)}\n")
    call.err.write("Go on? [y/N] ")
    call.err.flush()
    if sys.stdin.readline().strip().lower() not in _YES:
        raise Invalid("nothing was done", remedy="answer y, or add --yes")


def tell_change(told: ClusterChange, options: argparse.Namespace, call: Call) -> None:
    """Say what was done, or would be; its effects are for the person."""
    if options.json:
        call.json(told)
        return
    call.line(clean(told.what, 300))
    for effect in told.effects if not told.done else ():
        call.line(f"  {clean(effect, 300)}")
