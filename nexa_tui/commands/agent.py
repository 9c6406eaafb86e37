"""`nexa agent run`: becomes the agent library's own program."""

import os
import sys

from nexa_tui.client.discovery import discover
from nexa_tui.client.read_only import refuse
from nexa_tui.client.trust import to_environment
from nexa_tui.commands.arguments import Parser, choose_verb
from nexa_tui.commands.output import Call


def run(arguments: list[str], call: Call) -> int:
    """Replace this process by `python -m nexa_node.agent run`, told where the node is."""
    _, rest = choose_verb("agent", arguments, ("run",), default=None)
    ours, theirs = _split(rest)
    parser = Parser("agent run", "")
    parser.add_argument("--context")
    parser.add_argument("--attach", "--node")
    options, passed = parser.parse_known_args(
        [word for word in ours if word not in {"-h", "--help"}]
    )
    wants_help = len(passed) != len(ours) and bool({"-h", "--help"} & set(ours))
    environ = dict(call.environ)
    target = (
        None
        if wants_help
        else discover(call.environ, context=options.context, attach=options.attach)
    )
    if target is not None:
        if target.read_only:
            raise refuse("nexa agent run", f"{target.source} is only looked at")
        environ["NEXA_URL"] = target.url
        if target.token:
            environ["NEXA_TOKEN"] = target.token
        environ |= to_environment(target.trust)
    words = [sys.executable, "-m", "nexa_node.agent", "run", *passed]
    if wants_help:
        words.append("--help")
    call.out.flush()
    os.execve(sys.executable, [*words, *theirs], environ)  # noqa: S606  # no shell is wanted


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Part our options from the agent's program, which follows `--`."""
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at:]
