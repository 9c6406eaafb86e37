"""Asking before something is changed that others depend on.

First the node says what the change would do; a person at a terminal reads that and
answers. Where nobody can be asked, nothing is done unless `--yes` says so.
"""

import sys
from collections.abc import Sequence

from nexa_node.contract.errors import Invalid
from nexa_tui.commands.output import Call, clean
from nexa_tui.state.lookalikes import warnings

_YES = frozenset(("y", "yes"))


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
    for line in warnings((what, *effects)):
        call.err.write(call.paint(f"  {clean(line, 200)}", "warn") + "\n")
    call.err.write("Go on? [y/N] ")
    call.err.flush()
    if sys.stdin.readline().strip().lower() not in _YES:
        raise Invalid("nothing was done", remedy="answer y, or add --yes")
