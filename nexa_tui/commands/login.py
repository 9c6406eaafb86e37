"""`nexa login URL`: keep a cluster's address and token as a context."""

import getpass
import sys

from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import slugify
from nexa_node.contract.nodes import NodeStatus
from nexa_tui.client.contexts import Context, keep_context
from nexa_tui.client.discovery import Target, normalize
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import Call


def run(arguments: list[str], call: Call) -> int:
    """Ask for the token, try it, keep it in a file of mode 0600."""
    parser = Parser(
        "login",
        "Keep a cluster's address and token. The token is asked for, or read from\n"
        "standard input; it is never an argument.",
    )
    parser.add_argument("url")
    parser.add_argument("--name", metavar="NAME", help="of the context")
    parser.add_argument(
        "--production", action="store_true", help="mark it on the screen"
    )
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    url = normalize(options.url)
    token = getpass.getpass("token: ") if sys.stdin.isatty() else sys.stdin.readline()
    token = token.strip()
    if not token:
        raise Invalid(
            "no token was given", remedy="nexa token create --role operator there"
        )
    with Rest(Target(url=url, token=token, name=url, source="login")) as node:
        status = node.get("/v1/node", NodeStatus)
    name = options.name or slugify(status.cluster or status.name, default="cluster")
    context = Context(
        url=url, production=options.production, read_only=options.read_only
    )
    keep_context(call.environ, name, context, token)
    if options.json:
        call.json(
            {"name": name, "url": url, "whoami": status.whoami, "role": status.role}
        )
    else:
        call.line(f"kept as context {name}: {status.role} on {status.name} at {url}")
    return 0
