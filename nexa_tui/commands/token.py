"""`nexa token`: make, list, rotate and revoke tokens."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nexa_node.contract.access import (
    ROLES,
    NewToken,
    RotateToken,
    Scope,
    TokenCreated,
    TokenView,
)
from nexa_node.contract.rest import Page
from nexa_tui.commands.arguments import Parser, Usage, choose_verb
from nexa_tui.commands.output import Call, age
from nexa_tui.commands.planning import Ending, end_record
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.commands.records import Listed, list_records

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verb, rest = choose_verb(
        "token",
        arguments,
        ("create", "list", "revoke", "rotate", "key"),
        default="list",
    )
    verbs = {
        "create": _create,
        "list": _list,
        "revoke": _revoke,
        "rotate": _rotate,
        "key": _key,
    }
    return verbs[verb](rest, call)


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
    parser.add_argument(
        "--role", required=True, help=f"{', '.join(ROLES)}, or see nexa role list"
    )
    add_scope(parser)
    parser.add_argument("--name", default="", help="who it is for")
    parser.add_argument(
        "--expires", metavar="30d", help="agents 90d, others 30d by default"
    )
    parser.add_argument(
        "--public-key",
        metavar="KEY",
        help="the holder logs in by an Ed25519 key (nexa token key), not by a secret",
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    wanted = NewToken(
        role=options.role,
        name=options.name,
        expires_s=None if options.expires is None else seconds(options.expires),
        scope=scope_of(options),
        public_key=options.public_key,
    )
    with reach(options, call) as node:
        made = node.post("/v1/tokens", TokenCreated, body=wanted)
    return _show(made, options, call)


def _show(made: TokenCreated, options: Any, call: Call) -> int:
    if options.json:
        call.json(made)
    else:
        call.line(made.token or made.id)
        ends = "never" if made.expires is None else f"{made.expires:%Y-%m-%d}"
        shown = (
            "it is not shown again"
            if made.token
            else f"log in: nexa login URL --sign FILE --id {made.id}"
        )
        call.note(f"{made.role} token {made.id}, ends {ends}; {shown}")
    return 0


def add_scope(parser: Parser) -> None:
    """Add `--namespace` and `--may-…`."""
    parser.add_argument(
        "--namespace",
        action="append",
        default=[],
        metavar="NAME",
        help="nothing outside of it exists for the holder; all by default",
    )
    for name, what in (
        ("send", "topic:orders.>, agent:bob, capability:wc or broadcast"),
        ("receive", "topic:orders.> or capability:wc"),
        ("submit", "capability:wc"),
    ):
        parser.add_argument(
            f"--may-{name}", action="append", metavar="TARGET", help=f"only {what}"
        )


def scope_of(options: Any) -> Scope:
    """What these options say."""

    def targets(given: list[str] | None) -> tuple[str, ...] | None:
        return None if given is None else tuple(given)

    return Scope(
        namespaces=tuple(options.namespace),
        may_send=targets(options.may_send),
        may_receive=targets(options.may_receive),
        may_submit=targets(options.may_submit),
    )


def _rotate(arguments: list[str], call: Call) -> int:
    parser = Parser("token rotate", "Give a token a new secret. It is shown once.")
    parser.add_argument("id", metavar="ID", help="as nexa token list names it")
    parser.add_argument(
        "--overlap",
        metavar="10m",
        default="10m",
        help="how long the secret before works yet; 0s ends it at once",
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    wanted = RotateToken(overlap_s=seconds(options.overlap))
    path = f"/v1/tokens/{quote(options.id, safe='')}/rotate"
    with reach(options, call) as node:
        made = node.post(path, TokenCreated, body=wanted)
    return _show(made, options, call)


def _key(arguments: list[str], call: Call) -> int:
    from nexa_tui.client.logins import make_signing_key

    parser = Parser(
        "token key",
        "Make an Ed25519 key in a file of mode 0600, and print its public half, which an\n"
        "admin registers: nexa token create --role agent --public-key KEY",
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    public = make_signing_key(Path(options.file))
    if options.json:
        call.json({"file": options.file, "public_key": public})
    else:
        call.line(public)
    return 0


def _list(arguments: list[str], call: Call) -> int:
    return list_records(_TOKENS, arguments, call)


def _row(token: TokenView, now: datetime) -> tuple[str, ...]:
    ends = "never" if token.expires is None else f"{token.expires:%Y-%m-%d %H:%M}Z"
    used = "never" if token.last_used is None else age(token.last_used, now)
    from nexa_tui.state.access import proved_by

    how = proved_by(token)
    name = token.name or "-"
    return (token.id, token.role, name, how, age(token.created, now), used, ends)


_TOKENS = Listed(
    command="token list",
    about="List tokens, without their secrets.",
    path="/v1/tokens",
    page=Page[TokenView],
    titles=("TOKEN", "ROLE", "NAME", "BY", "AGE", "USED", "ENDS"),
    row=_row,
    empty="no tokens. Make one: nexa token create --role viewer",
)


def _revoke(arguments: list[str], call: Call) -> int:
    how = Ending(method="DELETE", path="/v1/tokens/{}", did="revoked")
    about = "End a token, and what is connected by it."
    return end_record("token revoke", about, how, arguments, call)
