"""`nexa role`: what roles may do, and who may do what."""

from datetime import datetime
from typing import Any

from nexa_node.contract.access import AccessDecision, NewRole, Permission, Role
from nexa_node.contract.errors import NotFound
from nexa_node.contract.rest import PAGE_MAX, Page
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser, choose_verb
from nexa_tui.commands.output import Call, clean
from nexa_tui.commands.planning import Ending, end_record
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.commands.records import Listed, list_records, on_record


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verbs = {
        "list": _list,
        "show": _show,
        "create": _create,
        "delete": _delete,
        "explain": _explain,
    }
    verb, rest = choose_verb("role", arguments, tuple(verbs), default="list")
    return verbs[verb](rest, call)


def _list(arguments: list[str], call: Call) -> int:
    return list_records(_ROLES, arguments, call)


def _row(role: Role, now: datetime) -> tuple[str, ...]:
    del now
    kind = "built in" if role.built_in else "of the cluster"
    return (role.name, kind, str(len(role.permissions)))


_ROLES = Listed(
    command="role list",
    about="List roles: those that are built in, and the cluster's own.",
    path="/v1/roles",
    page=Page[Role],
    titles=("ROLE", "KIND", "PERMISSIONS"),
    row=_row,
    empty="no roles",
)


def _show(arguments: list[str], call: Call) -> int:
    def ask(node: Rest, name: str) -> Role:
        page = node.get("/v1/roles", Page[Role], query={"limit": PAGE_MAX})
        for role in page.items:
            if role.name == name:
                return role
        raise NotFound(f"no role {name}", remedy="nexa role list")

    def tell(role: Role, call: Call) -> None:
        for each in role.permissions:
            call.line(clean(f"{each.allow}  on {each.on}"))

    return on_record(
        "role show", "What a role may do.", arguments, call, ask=ask, tell=tell
    )


def _create(arguments: list[str], call: Call) -> int:
    parser = Parser("role create", "Make or replace a role of the cluster.")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--allow",
        action="append",
        required=True,
        metavar="RESOURCE:VERB[@PATTERN]",
        help="tasks:read, or tasks:cancel@team-a.> for one namespace",
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    wanted = NewRole(
        name=options.name,
        permissions=tuple(_permission(each) for each in options.allow),
    )
    with reach(options, call) as node:
        made = node.post("/v1/roles", Role, body=wanted)
    return _told(made, options, call, f"the role {clean(made.name)} is there")


def _permission(text: str) -> Permission:
    allow, at, pattern = text.partition("@")
    return Permission(allow=allow, on=pattern if at else ">")


def _delete(arguments: list[str], call: Call) -> int:
    how = Ending(method="DELETE", path="/v1/roles/{}", member="name", did="deleted")
    about = "Forget a role that no token has."
    return end_record("role delete", about, how, arguments, call)


def _explain(arguments: list[str], call: Call) -> int:
    parser = Parser(
        "role explain", "Say whether somebody may do something, and by which rule."
    )
    parser.add_argument(
        "who",
        metavar="WHO",
        help="a token's id, a role, or an agent that is connected to the node",
    )
    parser.add_argument("action", metavar="ACTION", help="tasks:submit, say")
    parser.add_argument(
        "what",
        metavar="WHAT",
        nargs="?",
        default="*",
        help="a dotted name, its namespace first: team-a.topic.orders.eu",
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    query = {
        "who": options.who,
        "action": options.action,
        "resource": options.what,
    }
    with reach(options, call) as node:
        found = node.get("/v1/roles/explain", AccessDecision, query=query)
    answer = "yes" if found.allowed else "no"
    _told(found, options, call, f"{answer}: {clean(found.rule)}")
    return 0 if found.allowed else 1


def _told(record: Any, options: Any, call: Call, line: str) -> int:
    if options.json:
        call.json(record)
    else:
        call.line(line)
    return 0
