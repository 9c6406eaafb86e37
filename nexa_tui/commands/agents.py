"""`nexa agents`: list, show, drain, resume, disconnect."""

from datetime import datetime

from nexa_node.contract.agents import Agent
from nexa_node.contract.rest import Page
from nexa_tui.commands.arguments import choose_verb
from nexa_tui.commands.output import Call, Cell, age, clean, state_style
from nexa_tui.commands.planning import Ending, end_record
from nexa_tui.commands.records import Listed, list_records, on_record


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verb, rest = choose_verb("agents", arguments, tuple(_VERBS), default="list")
    return _VERBS[verb](rest, call)


def _list(arguments: list[str], call: Call) -> int:
    return list_records(_AGENTS, arguments, call)


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


_AGENTS = Listed(
    command="agents list",
    about="List agents, connected or not.",
    path="/v1/agents",
    page=Page[Agent],
    filters=("capability", "state"),
    titles=(
        "AGENT", "STATE", "NODE", "CAPABILITIES", "SLOTS", "BUSY", "DONE", "FAILED",
        "SINCE",
    ),
    row=_row,
    empty="no agents yet. Make one: nexa agent run --id wc-1 --capability wc -- wc -w",
)  # fmt: skip


def _show(arguments: list[str], call: Call) -> int:
    return on_record(
        "agents show",
        "Show one agent.",
        arguments,
        call,
        ask=lambda node, agent: node.get(f"/v1/agents/{agent}", Agent),
    )


def _disconnect(arguments: list[str], call: Call) -> int:
    how = Ending(method="POST", path="/v1/agents/{}/disconnect", did="disconnected")
    about = "Close an agent's connection. It may come back by itself."
    return end_record("agents disconnect", about, how, arguments, call)


def _drain(arguments: list[str], call: Call) -> int:
    return on_record(
        "agents drain",
        "Give an agent no new tasks; it finishes those it has, and gets its messages.",
        arguments,
        call,
        ask=lambda node, agent: node.post(f"/v1/agents/{agent}/drain", Agent),
        tell=lambda told, call: call.line(
            f"{clean(told.id)} gets no new tasks; {told.inflight} still in hand."
            f" Give it tasks again: nexa agents resume {clean(told.id)}"
        ),
    )


def _resume(arguments: list[str], call: Call) -> int:
    return on_record(
        "agents resume",
        "Give an agent tasks again that was drained.",
        arguments,
        call,
        ask=lambda node, agent: node.post(f"/v1/agents/{agent}/resume", Agent),
        tell=lambda told, call: call.line(f"{clean(told.id)} gets tasks again"),
    )


_VERBS = {
    "list": _list,
    "show": _show,
    "drain": _drain,
    "resume": _resume,
    "disconnect": _disconnect,
}
