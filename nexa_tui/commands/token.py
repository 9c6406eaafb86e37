"""`nexa token`: make, list and revoke tokens."""

import re
from datetime import datetime
from urllib.parse import unquote

from nexa_node.contract.access import ROLES, NewToken, TokenCreated, TokenView
from nexa_node.contract.rest import Page
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser, Usage, choose_verb
from nexa_tui.commands.output import Call, age, clean
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.commands.records import Listed, list_records, on_record

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
    return list_records(_TOKENS, arguments, call)


def _row(token: TokenView, now: datetime) -> tuple[str, ...]:
    ends = "never" if token.expires is None else f"{token.expires:%Y-%m-%d %H:%M}Z"
    return (token.id, token.role, token.name or "-", age(token.created, now), ends)


_TOKENS = Listed(
    command="token list",
    about="List tokens, without their secrets.",
    path="/v1/tokens",
    page=Page[TokenView],
    titles=("TOKEN", "ROLE", "NAME", "AGE", "ENDS"),
    row=_row,
    empty="no tokens. Make one: nexa token create --role viewer",
)


def _revoke(arguments: list[str], call: Call) -> int:
    def ask(node: Rest, token: str) -> dict[str, object]:
        node.delete(f"/v1/tokens/{token}")
        return {"id": unquote(token), "revoked": True}

    return on_record(
        "token revoke",
        "End a token, and what is connected by it.",
        arguments,
        call,
        ask=ask,
        tell=lambda told, call: call.line(f"{clean(str(told['id']))} is revoked"),
    )
