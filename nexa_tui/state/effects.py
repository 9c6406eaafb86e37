"""What a destructive action would do, in sentences, before it is done.

Arithmetic over what is known; the node decides in the end and its answer is shown.
"""

import msgspec

from nexa_node.contract.agents import Agent
from nexa_node.contract.cluster import ClusterChange
from nexa_node.contract.nodes import Node
from nexa_node.contract.plans import Plan
from nexa_node.contract.tasks import FINISHED, TaskSummary
from nexa_tui.state.formats import age
from nexa_tui.state.listing import since
from nexa_tui.state.store import ClusterState
from nexa_tui.state.text import clean

_KEEP = "Leave it"
"""Where "cancel" is what the other button does."""


class Effect(msgspec.Struct, frozen=True):
    """What a dialog says before something is destroyed."""

    title: str
    """What would be done: our own words."""
    target: str
    """To what."""
    lines: tuple[str, ...]
    """What follows from it."""
    verb: str
    """On the button that does it."""
    type_name: str | None = None
    """What must be typed first: when writes would stop."""
    refused: str | None = None
    """Why it can't be done at all; then there is nothing to confirm."""
    keep: str = "Cancel"
    """On the button that does nothing."""


def cancel_task(state: ClusterState, task: TaskSummary, now: float) -> Effect:
    """Cancel a task."""
    title, target = "Cancel a task", f"{clean(task.id)} ({clean(task.type)})"
    if task.status in FINISHED:
        refused = f"it is {task.status} already; there is nothing to cancel"
        return Effect(title, target, (), "Stop the task", refused=refused)
    if task.agent is None:
        lines = ("It waits for an agent; nothing has been done yet.",)
        return Effect(title, target, lines, "Stop the task", keep=_KEEP)
    ran = age(since(task.started, state.node_time(now))).strip()
    lines = (
        f"Agent {clean(task.agent)} has worked on it for {ran}; that work is lost.",
        "The agent is told to stop. The task is not tried again.",
    )
    return Effect(title, target, lines, "Stop the task", keep=_KEEP)


def disconnect_agent(agent: Agent) -> Effect:
    """Disconnect an agent."""
    title, target = "Disconnect an agent", clean(agent.id)
    if not agent.connected:
        refused = "it is not connected"
        return Effect(title, target, (), "Disconnect", refused=refused)
    tasks = _count(agent.inflight, "task")
    lines = (
        f"{tasks} in its hands: back to the queue, one attempt spent."
        if agent.inflight
        else "It has no task in its hands.",
        "It may connect again by itself: to keep it away, revoke its token.",
    )
    return Effect(title, target, lines, "Disconnect")


def drain_agent(agent: Agent, *, on: bool) -> Effect:
    """Have an agent get no new tasks, or get them again."""
    if not on:
        lines = ("It gets new tasks again at once.",)
        return Effect("End the drain of an agent", clean(agent.id), lines, "Resume it")
    title, target = "Drain an agent", clean(agent.id)
    if not agent.connected:
        return Effect(title, target, (), "Drain", refused="it is not connected")
    lines = (
        f"{_count(agent.inflight, 'task')} in its hands: finished first.",
        "It gets no new tasks until it is resumed, or its process starts anew.",
        "It stays connected, and gets its messages.",
    )
    return Effect(title, target, lines, "Drain")


def drain_node(state: ClusterState, node: Node) -> Effect:
    """Drain a node."""
    title, target = "Drain a node", clean(node.name)
    if node.state in {"stopping", "stopped"}:
        return Effect(title, target, (), "Drain", refused=f"it is {node.state} already")
    mine = [one for one in state.agents.values() if one.node == node.name]
    connected = sum(one.connected for one in mine)
    inflight = sum(one.inflight for one in mine if one.connected)
    are = "is" if connected == 1 else "are"
    moved = f"{_count(connected, 'agent')} {are} asked to move"
    go = "goes" if inflight == 1 else "go"
    lines = [
        f"{moved}; {_count(inflight, 'task')} in hand {go} back to the queue.",
        "It takes nothing new, then its process ends. The store keeps what it has.",
    ]
    breaks = _quorum(state, node, lines)
    name = node.name if breaks else None
    return Effect(title, target, tuple(lines), "Drain", type_name=name)


def maintain_node(state: ClusterState, node: Node, *, on: bool) -> Effect:
    """Have a node take nothing new, or take it again."""
    if not on:
        lines = ("It takes agents and tasks again; those that left come as they like.",)
        return Effect("End maintenance", clean(node.name), lines, "Take work again")
    title, target = "Maintenance of a node", clean(node.name)
    if node.state != "running":
        refused = f"it is {clean(node.state, 20)}, not running"
        return Effect(title, target, (), "Maintain", refused=refused)
    mine = [one for one in state.agents.values() if one.node == node.name]
    connected = sum(one.connected for one in mine)
    inflight = sum(one.inflight for one in mine if one.connected)
    are = "is" if connected == 1 else "are"
    moved = f"{_count(connected, 'agent')} {are} asked to move"
    lines = (
        f"{moved}; {_count(inflight, 'task')} in hand finished first.",
        "It takes nothing new, and its process goes on: its vote and its copies stay.",
    )
    return Effect(title, target, lines, "Begin maintenance")


def remove_node(node: Node, planned: ClusterChange) -> Effect:
    """Strike a dead node off; `planned` is what the cluster says it would do."""
    lines = (
        *(f"{clean(one, 300)}." for one in planned.effects),
        "It can't come back by itself: it would have to join again, empty.",
    )
    return Effect(
        "Strike a node off",
        clean(node.name),
        lines,
        "Strike it off",
        type_name=node.name,
    )


def planned(effect: Effect, plan: Plan) -> Effect:
    """The same with the node's own figures, which it holds the deed against."""
    figures = ", ".join(_count(number, noun) for noun, number in _nouns(plan))
    until = f"{plan.expires:%H:%M:%S}"
    line = f"The node plans: {figures or 'nothing else'}; good until {until} UTC."
    return msgspec.structs.replace(effect, lines=(*effect.lines, line))


def _nouns(plan: Plan) -> list[tuple[str, int]]:
    return [
        (clean(name, 20).removesuffix("s"), number)
        for name, number in plan.counts.items()
    ]


def _quorum(state: ClusterState, node: Node, lines: list[str]) -> bool:
    """Say what it does to the quorum; whether writes would stop."""
    cluster = state.cluster
    if cluster is None or len(cluster.nodes) <= 1:
        lines.append("It is the only node: nothing takes tasks until nexa node start.")
        return False
    if cluster.store == "attached":
        lines.append("The data is in the attached NATS: the other nodes go on.")
        return False
    left = cluster.quorum.have - (1 if node.state == "running" else 0)
    need = cluster.quorum.need
    if left < need:
        lines.append(f"QUORUM BREAKS: {left} of {need} needed nodes left; writes stop.")
        return True
    lines.append(f"Quorum holds: {left} nodes left, {need} needed.")
    return False


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
