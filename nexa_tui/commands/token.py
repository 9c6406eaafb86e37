"""`nexa token`: make, list and revoke tokens."""

import re
from datetime import UTC, datetime

from nexa_node.contract.access import ROLES, NewToken, TokenCreated, TokenView
from nexa_node.contract.rest import Page
from nexa_tui.commands.arguments import Parser, Usage, choose_verb
from nexa_tui.commands.output import Call, age
from nexa_tui.commands.reach import add_target_options, reach

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verb, rest = choose_verb(
        "token", arguments, ("create", "list", "revoke"), default="list"
    )
    return {"create": _create, "list": _list, "revoke": _revoke}[verb](rest, call)


def seconds(text: str) -> int:
    """Read a duration: `30d`, `12h`, `90s`.

    Raises:
        Usage: It is none.
    """
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text)
    if found is None:
        raise Usage(f"'{text}' is no duration", remedy="give 30d, 12h, 45m or 90s")
    return int(found[1]) * _UNITS[found[2]]


def _create(arguments: list[str], call: Call) -> int:
    parser = Parser("token create", "Make a token. It is shown once.")
    parser.add_argument("--role", choices=ROLES, required=True)
    parser.add_argument("--name", default="", help="who it is for")
    parser.add_argument(
        "--expires", metavar="30d", help="agents 90d, others 30d by default"
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    wanted = NewToken(
        role=options.role,
        name=options.name,
        expires_s=None if options.expires is None else seconds(options.expires),
    )
    with reach(options, call) as node:
        made = node.post("/v1/tokens", TokenCreated, body=wanted)
    if options.json:
        call.json(made)
    else:
        call.line(made.token)
        ends = "never" if made.expires is None else f"{made.expires:%Y-%m-%d}"
        call.note(f"{made.role} token {made.id}, ends {ends}; it is not shown again")
    return 0


def _list(arguments: list[str], call: Call) -> int:
    parser = Parser("token list", "List tokens, without their secrets.")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        page = node.get("/v1/tokens", Page[TokenView])
    if options.json:
        call.json(page)
        return 0
    now = datetime.now(UTC)
    call.table(
        ("TOKEN", "ROLE", "NAME", "AGE", "ENDS"),
        [
            (
                token.id,
                token.role,
                token.name or "-",
                age(token.created, now),
                "never"
                if token.expires is None
                else f"{token.expires:%Y-%m-%d %H:%M}Z",
            )
            for token in page.items
        ],
        empty="no tokens. Make one: nexa token create --role viewer",
    )
    return 0


def _revoke(arguments: list[str], call: Call) -> int:
    parser = Parser("token revoke", "End a token, and what is connected by it.")
    parser.add_argument("id")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        node.delete(f"/v1/tokens/{options.id}")
    if options.json:
        call.json({"id": options.id, "revoked": True})
    else:
        call.line(f"{options.id} is revoked")
    return 0
