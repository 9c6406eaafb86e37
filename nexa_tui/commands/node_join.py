"""How a join token gets to a node that starts: never by the arguments of the node.

Whoever may look at the processes of a machine sees their arguments; the token is a
secret for as long as nobody has used it. `--join TOKEN` is taken for those who are alone
on the machine, and handed on by standard input; `--join-file` shows it to nobody.
"""

import argparse
import os
import sys
from pathlib import Path

from nexa_node.contract.errors import Conflict, Invalid
from nexa_tui.client.discovery import Target
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import Call

JOIN_TIMEOUT_S = 300.0
"""What is in the cluster may have to be copied first."""
PREFIX = "nxj1."
TOKEN_MAX = 8192
_NEW = "a new one: nexa cluster join-token, on a node of the cluster"


def add_join_options(parser: Parser) -> None:
    """Add `--join` and `--join-file`."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--join",
        metavar="TOKEN",
        help="of nexa cluster join-token; others on this machine may see it",
    )
    group.add_argument(
        "--join-file",
        metavar="FILE",
        help="where the token is, mode 0600; -: standard input",
    )


def token_of(options: argparse.Namespace, call: Call) -> str | None:
    """The join token that is given, from wherever; None if none is.

    Raises:
        Invalid: It is no token, or its file is open to others.
    """
    if options.join is not None:
        return _checked(options.join, "--join")
    if options.join_file is None:
        return None
    if options.join_file == "-":
        if sys.stdin.isatty():
            call.err.write("join token: ")
            call.err.flush()
        return _checked(sys.stdin.readline(TOKEN_MAX), "standard input")
    return _checked(_read(Path(options.join_file)), options.join_file)


def refuse_running(target: Target) -> None:
    """A node joins as it starts, with an empty store.

    Raises:
        Conflict: Always.
    """
    raise Conflict(
        f"node {target.name} runs here already (pid {target.pid}); a node joins as it"
        " starts, with an empty store",
        remedy="a second one here: nexa node start --name NAME --port 0 --join TOKEN",
    )


def token_on_stdin(token: str) -> None:
    """Lay the token on standard input, for a process that takes this one's place."""
    reading, writing = os.pipe()
    os.write(writing, token.encode())
    os.close(writing)
    os.dup2(reading, 0)
    os.close(reading)


def _read(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise Invalid(
            f"the join token in {path} can't be read: {error.strerror}", remedy=_NEW
        ) from error
    if mode & 0o077 and not _is_pipe(mode):
        raise Invalid(
            f"{path} can be read by others, and holds a secret",
            remedy=f"chmod 600 {path}; and take {_NEW}",
        )
    return text


def _is_pipe(mode: int) -> bool:
    """What a shell makes of <(…) is open to nobody else."""
    import stat

    return stat.S_ISFIFO(mode)


def _checked(text: str, where: str) -> str:
    token = text.strip()
    if not token:
        raise Invalid(f"there is no join token in {where}", remedy=_NEW)
    if not token.startswith(PREFIX) or not token.isascii() or " " in token:
        raise Invalid(
            f"what is in {where} is no join token: one begins with {PREFIX}",
            remedy=_NEW,
        )
    return token
