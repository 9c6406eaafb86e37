"""Agents as rows."""

from nexa_node.contract.agents import Agent
from nexa_tui.state.formats import age, count, percent
from nexa_tui.state.listing import Cell, Column, Listing, Look, Order, how_old, since
from nexa_tui.state.severity import mark
from nexa_tui.state.text import clean

_WORKS, _AWAY = mark("agent", "busy").order, mark("agent", "offline").order
_PROBLEMS = frozenset(("error", "offline", "draining", "maintenance"))


def is_problem(agent: Agent) -> bool:
    """Say whether somebody should look at it."""
    return agent.state in _PROBLEMS or not agent.connected


def abilities(agent: Agent) -> str:
    """What it can do, in one line."""
    return clean(", ".join(one.name for one in agent.capabilities))


def _state(agent: Agent, look: Look) -> Cell:
    shown = mark("agent", clean(agent.state, 20), ascii_only=look.ascii_only)
    return Cell(shown.text, shown.style)


def _urgency(agent: Agent) -> int:
    """What is wrong first, then all that works, alike, then who is away.

    Whether an agent is idle or busy changes with every task: rows that follow that are
    rows nobody can read. The column `slots` sorts by it.
    """
    order = mark("agent", agent.state).order
    return min(order, _WORKS) if order < _AWAY else _AWAY


def _slots(agent: Agent, _: Look) -> Cell:
    full = agent.slots > 0 and agent.inflight >= agent.slots
    return Cell(f"{agent.inflight}/{agent.slots}", "accent" if full else "text")


def _seen(agent: Agent, look: Look) -> Cell:
    seconds = since(agent.since, look.now)
    return Cell(age(seconds), "muted")


def _load(agent: Agent, _: Look) -> Cell:
    return Cell(percent(agent.load), "muted" if agent.load is None else "text")


AGENTS: Listing[Agent] = Listing(
    title="Agents",
    columns=(
        Column("state", "state", 13, _state, _urgency,
               narrow=10),
        Column("id", "agent", 12, lambda a, _: Cell(clean(a.id), "strong"),
               lambda a: a.id, grows=2, narrow=11),
        Column("can", "can do", 12, lambda a, _: Cell(abilities(a)), abilities,
               grows=2, rank=2),
        Column("slots", "slots", 6, _slots,
               lambda a: a.inflight / a.slots if a.slots else 0.0,
               right=True, descending=True, narrow=5),
        Column("done", "done", 5, lambda a, _: Cell(count(a.completed)),
               lambda a: a.completed, right=True, rank=2, descending=True),
        Column("failed", "failed", 7,
               lambda a, _: Cell(count(a.failed), "warn" if a.failed else "muted"),
               lambda a: a.failed, right=True, rank=3, descending=True, narrow=6),
        Column("load", "load", 5, _load, lambda a: a.load or 0.0, right=True,
               rank=4, descending=True),
        Column("since", "since", 7, _seen, lambda a: how_old(a.since), right=True,
               rank=3),
        Column("node", "node", 10, lambda a, _: Cell(clean(a.node, 40), "muted"),
               lambda a: a.node, rank=4, grows=1),
        Column("version", "version", 9,
               lambda a, _: Cell(clean(a.version or "-", 20), "muted"),
               lambda a: a.version or "", rank=5),
    ),
    key=lambda agent: agent.id,
    problem=is_problem,
    address=lambda agent: f"nexa://agents/{agent.id}",
    first=Order("state"),
    empty=(
        "No agent has joined yet. Any program becomes one, in another terminal:",
        "nexa agent run --id wc-1 --capability wc -- wc -w",
    ),
)  # fmt: skip
"""The list of agents: the most urgent first."""
