"""`nexa agents`: list, show, disconnect."""

from datetime import UTC, datetime

from nexa_node.contract.agents import Agent
from nexa_node.contract.rest import Page
from nexa_tui.commands.arguments import Parser, choose_verb
from nexa_tui.commands.output import Call, Cell, age, pretty, state_style
from nexa_tui.commands.reach import add_target_options, reach

_EMPTY = "no agents yet. Make one: nexa agent run --id wc-1 --capability wc -- wc -w"


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verb, rest = choose_verb(
        "agents", arguments, ("list", "show", "disconnect"), default="list"
    )
    return {"list": _list, "show": _show, "disconnect": _disconnect}[verb](rest, call)


def _list(arguments: list[str], call: Call) -> int:
    parser = Parser("agents list", "List agents, connected or not.")
    parser.add_argument("--capability", metavar="CAP")
    parser.add_argument("--state", metavar="STATE")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--cursor", metavar="CURSOR")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    query = {
        key: getattr(options, key) for key in ("capability", "state", "limit", "cursor")
    }
    with reach(options, call) as node:
        page = node.get("/v1/agents", Page[Agent], query=query)
    if options.json:
        call.json(page)
        return 0
    now = datetime.now(UTC)
    call.table(
        (
            "AGENT",
            "STATE",
            "NODE",
            "CAPABILITIES",
            "SLOTS",
            "BUSY",
            "DONE",
            "FAILED",
            "SINCE",
        ),
        [_row(agent, now) for agent in page.items],
        empty=_EMPTY,
    )
    if page.next_cursor:
        call.note(f"there are more: nexa agents list --cursor {page.next_cursor}")
    return 0


def _row(agent: Agent, now: datetime) -> tuple[str | Cell, ...]:
    return (
        agent.id,
        Cell(agent.state, state_style(agent.state)),
        agent.node,
        ",".join(capability.name for capability in agent.capabilities),
        str(agent.slots),
        str(agent.inflight),
        str(agent.completed),
        str(agent.failed),
        age(agent.since, now),
    )


def _show(arguments: list[str], call: Call) -> int:
    parser = Parser("agents show", "Show one agent.")
    parser.add_argument("id")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        agent = node.get(f"/v1/agents/{options.id}", Agent)
    if options.json:
        call.json(agent)
    else:
        call.line(pretty(agent))
    return 0


def _disconnect(arguments: list[str], call: Call) -> int:
    parser = Parser(
        "agents disconnect", "Close an agent's connection. It may come back by itself."
    )
    parser.add_argument("id")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        node.post(f"/v1/agents/{options.id}/disconnect", type(None))
    if options.json:
        call.json({"id": options.id, "disconnected": True})
    else:
        call.line(f"{options.id} is disconnected")
    return 0
