"""`nexa web`: the console in a browser of this machine."""

import importlib.util
import socket

from nexa_node.contract.errors import Conflict, NexaError
from nexa_tui.client import read_only
from nexa_tui.commands.arguments import Parser, Usage
from nexa_tui.commands.output import Call

PORT = 6393


def run(arguments: list[str], call: Call) -> int:
    """Serve the console on loopback until a signal ends it."""
    parser = Parser(
        "web",
        "Serve the console to a browser of this machine. The address that is printed opens\n"
        "once. From elsewhere: ssh -L 6393:127.0.0.1:6393 HOST, then run it there.",
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"{PORT} by default")
    parser.add_argument("--context", metavar="NAME")
    parser.add_argument("--attach", metavar="URL")
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("--theme", metavar="NAME")
    options = parser.parse_args(arguments)
    if not 1 <= options.port <= 65535:
        raise Usage(f"{options.port} is no port", remedy=f"nexa web --port {PORT}")
    if importlib.util.find_spec("textual_serve") is None:
        raise NexaError(
            "nexa web needs textual-serve, which is not installed",
            remedy="pip install 'nexa[web]'",
        )
    _check_free(options.port)
    words = [
        word
        for name, value in (
            ("--context", options.context),
            ("--attach", options.attach),
            ("--theme", options.theme),
        )
        if value
        for word in (name, value)
    ]
    if options.read_only or read_only.wanted(call.environ):
        words.append("--read-only")
    from nexa_tui.web.server import serve

    def say(address: str) -> None:
        call.line(address)
        call.out.flush()
        call.note("open it in a browser of this machine; ctrl+c ends")

    serve(words, port=options.port, say=say)
    return 0


def _check_free(port: int) -> None:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            raise Conflict(
                f"port {port} can't be had: {error.strerror}",
                remedy=f"nexa web --port {port + 1}",
            ) from error
