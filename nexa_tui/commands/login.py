"""`nexa login URL`: keep a cluster's address and token as a context."""

import argparse
import getpass
import socket
import sys
from pathlib import Path

from nexa_node.contract.access import NewToken, TokenCreated
from nexa_node.contract.errors import Invalid, NotFound
from nexa_node.contract.ids import slugify
from nexa_node.contract.nodes import NodeStatus
from nexa_tui.client.contexts import Context, keep_context, kept_in
from nexa_tui.client.discovery import Target, discover, local_nodes, normalize
from nexa_tui.client.rest import Rest
from nexa_tui.client.trust import Trust
from nexa_tui.commands.arguments import Parser, Usage
from nexa_tui.commands.output import Call, clean


def run(arguments: list[str], call: Call) -> int:
    """Ask for the token, try it, keep it in a file of mode 0600."""
    parser = Parser(
        "login",
        "Keep a cluster's address and token. The token is asked for, or read from\n"
        "standard input; it is never an argument.",
    )
    parser.add_argument(
        "url", nargs="?", default="", help="with --local: the node of this machine"
    )
    parser.add_argument("--name", metavar="NAME", help="of the context")
    parser.add_argument(
        "--production", action="store_true", help="mark it on the screen"
    )
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument(
        "--ca", metavar="FILE", help="trust this authority (nexa cert ca) and no other"
    )
    parser.add_argument(
        "--cert", metavar="FILE", help="log in by a certificate, not a token"
    )
    parser.add_argument(
        "--key", metavar="FILE", help="its key, if in a file of its own"
    )
    parser.add_argument(
        "--sign", metavar="FILE", help="log in by an Ed25519 key: nexa token key"
    )
    parser.add_argument(
        "--id", metavar="ID", default="", help="of the token it was registered for"
    )
    parser.add_argument(
        "--oidc", action="store_true", help="log in with a browser, at the issuer"
    )
    parser.add_argument(
        "--local",
        action="store_true",
        help="get an admin's token of your own; the node's first one is over then",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.local:
        return _local(options, call)
    if not options.url:
        raise Usage("no URL was given", remedy="nexa login URL, or nexa login --local")
    url = normalize(options.url)
    trust = _trust(options, url, call)
    made = _logged_in(options, Target(url, None, url, "login", trust=trust), call)
    token = made.token if made is not None else None
    if made is None and not trust.certificate:
        token = _asked_token()
    target = Target(url=url, token=token, name=url, source="login", trust=trust)
    with Rest(target) as node:
        status = node.get("/v1/node", NodeStatus)
    name = options.name or slugify(status.cluster or status.name, default="cluster")
    context = Context(
        url=url,
        production=options.production,
        read_only=options.read_only,
        sign=str(Path(options.sign).absolute()) if options.sign else "",
        id=options.id,
        until=made.expires if made is not None else None,
    )
    keep_context(call.environ, name, context, token, trust)
    if options.json:
        call.json(
            {"name": name, "url": url, "whoami": status.whoami, "role": status.role}
        )
    else:
        call.line(f"kept as context {name}: {status.role} on {status.name} at {url}")
        if token is not None:
            call.note(f"its token is in {kept_in(call.environ, name)}")
    return 0


def _logged_in(
    options: argparse.Namespace, target: Target, call: Call
) -> TokenCreated | None:
    """A short-lived token, for who proves who he is; None for who brings a token."""
    if not options.sign and not options.oidc:
        return None
    from nexa_tui.client.logins import log_in_by_device, log_in_by_key

    with Rest(target) as node:
        if options.sign:
            if not options.id:
                raise Usage("no --id was given", remedy="nexa token list shows it")
            return log_in_by_key(node, Path(options.sign), options.id)
        return log_in_by_device(
            node,
            lambda url, code: call.note(f"open {clean(url)} and give {clean(code)}"),
        )


def _local(options: argparse.Namespace, call: Call) -> int:
    """Use the first token of this machine's node up: its holder gets one of his own."""
    nodes = local_nodes(call.environ)
    if not nodes:
        raise NotFound("no node runs on this machine", remedy="nexa node start")
    target = nodes[0]
    first = (target.token or "").split("_")[1:2]
    who = f"{getpass.getuser()}@{socket.gethostname()}"[:100]
    with Rest(target) as node:
        status = node.get("/v1/node", NodeStatus)
        body = NewToken(role="admin", name=who)
        made = node.post("/v1/tokens", TokenCreated, body=body)
        name = options.name or slugify(status.cluster or status.name, default="cluster")
        context = Context(
            url=target.url,
            production=options.production,
            read_only=options.read_only,
            until=made.expires,
        )
        keep_context(call.environ, name, context, made.token, target.trust)
        for token_id in first:
            node.delete(f"/v1/tokens/{token_id}")
    if options.json:
        call.json({"name": name, "url": target.url, "whoami": made.id, "role": "admin"})
    else:
        call.line(f"kept as context {name}: {who} is admin of {status.name}")
        call.note(f"your token is in {kept_in(call.environ, name)}")
        call.note("the node's first token is used up; rotate yours before it ends")
    return 0


def _trust(options: argparse.Namespace, url: str, call: Call) -> Trust:
    """What was named; of a node of this machine also what its own folder says.

    Raises:
        Invalid: There is no TLS to use it with.
    """
    found = discover(call.environ, attach=url)
    own = found.trust if found is not None else Trust()
    given = Trust(
        ca=options.ca or own.ca,
        by_name=own.by_name or bool(options.ca),
        certificate=options.cert or own.certificate,
        key=options.key or ("" if options.cert else own.key),
    )
    if (options.ca or options.cert) and not url.startswith("https:"):
        raise Invalid(f"{url} is called without TLS", remedy="write https://HOST:PORT")
    return given


def _asked_token() -> str:
    token = getpass.getpass("token: ") if sys.stdin.isatty() else sys.stdin.readline()
    token = token.strip()
    if not token:
        raise Invalid(
            "no token was given", remedy="nexa token create --role operator there"
        )
    return token
