"""`nexa config`: the node's settings, as the node itself reads them."""

import subprocess
import sys

from nexa_tui.commands.arguments import choose_verb
from nexa_tui.commands.output import Call


def run(arguments: list[str], call: Call) -> int:
    """Let `python -m nexa_node config` answer: the console doesn't know the settings."""
    verb, rest = choose_verb(
        "config", arguments, ("show", "path", "validate", "init"), default="show"
    )
    call.out.flush()
    words = [sys.executable, "-m", "nexa_node", "config", verb, *rest]
    return subprocess.run(words, env=dict(call.environ), check=False).returncode
