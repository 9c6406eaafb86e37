"""One sentence on why a task is where it is, and the agents that sentence rests on."""

from collections.abc import Mapping, Sequence

import msgspec

from nexa_node.contract.agents import Agent
from nexa_node.contract.tasks import Considered, Explanation, Task
from nexa_node.core import routing
from nexa_node.core.routing import Facts, missing_labels, put_off

CONSIDERED_MAX = 100
"""Agents told of; those with the capability first, since the others explain nothing."""


def explain(
    task: Task,
    agents: Sequence[Agent],
    facts: Facts | None = None,
    told: Mapping[str, Considered] | None = None,
) -> Explanation:
    """Say why `task` is where it is, and what speaks for and against each agent.

    Args:
        task: Its record.
        agents: The registry's.
        facts: What the node that is asked knows beyond the registry.
        told: By agent, what the node that has its session says of it.
    """
    near = [agent for agent in agents if agent.namespace == task.namespace]
    able = [agent for agent in near if _can(agent, task.type)]
    others = [agent for agent in near if not _can(agent, task.type)]
    found = routing.explain(task, (*able, *others)[:CONSIDERED_MAX], facts, told)
    can_go = any(each.eligible for each in found.considered)
    if task.status != "pending" or can_go or put_off(task, facts) is not None:
        return found
    ahead = "" if facts is None or not facts.ahead else f"; {facts.ahead} go before it"
    verdict = f"{_why_it_waits(task, near, able)}{ahead}"
    return msgspec.structs.replace(found, verdict=verdict)


def _why_it_waits(task: Task, near: Sequence[Agent], able: Sequence[Agent]) -> str:
    if not near:
        return f"waits: no agent has connected to the namespace {task.namespace!r} yet"
    here = [agent for agent in able if agent.connected]
    if not here:
        gone = f"; {len(able)} that had it are gone" if able else ""
        return f"waits: no connected agent has the capability {task.type!r}{gone}"
    fitting = [agent for agent in here if _has_labels(agent, task)]
    if not fitting:
        wanted = ", ".join(f"{name}={value}" for name, value in task.labels.items())
        return f"waits: no connected agent has {task.type!r} with {wanted}"
    full = sum(agent.inflight >= agent.slots for agent in fitting)
    if full == len(fitting):
        return f"waits: all slots of {full} agents with {task.type!r} are taken"
    closed = len(fitting) - full
    return (
        f"waits: of {len(fitting)} agents with {task.type!r} {full} are full"
        f" and {closed} take nothing new"
    )


def _can(agent: Agent, capability: str) -> bool:
    return any(each.name == capability for each in agent.capabilities)


def _has_labels(agent: Agent, task: Task) -> bool:
    return any(
        each.name == task.type and not missing_labels(task.labels, each)
        for each in agent.capabilities
    )
