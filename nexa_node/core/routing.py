"""Which agents may have a task, and why not the others.

The same verdicts choose in dispatch and are shown by `nexa task explain`.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from nexa_node.contract.agents import Agent, Capability
from nexa_node.contract.ids import AgentId
from nexa_node.contract.tasks import Considered, Explanation, Task
from nexa_node.core.strategies import CLOSED_STATES, Candidate, Strategy, least_loaded
from nexa_node.core.tasks import is_claimed

SAMPLE = 16
"""Of many free agents so many are compared: the best of a few is nearly the best."""


@dataclass(frozen=True, slots=True)
class Nobody:
    """None of them, and for how long it is pointless to ask again."""

    reason: str
    hopeless: bool
    """No agent of this node could take it even when idle."""


def missing_labels(
    labels: Mapping[str, str], capability: Capability
) -> tuple[str, ...]:
    """The labels a task asks for that the capability has not."""
    return tuple(
        f"{name}={value}"
        for name, value in labels.items()
        if capability.labels.get(name) != value
    )


def choose(
    task: Task,
    free: Sequence[Candidate],
    *,
    excluded: Collection[AgentId],
    now: float,
    rng: random.Random,
    strategy: Strategy = least_loaded,
) -> Candidate | None:
    """Choose an agent for `task` among those that have its capability and a free slot.

    Compares at most `SAMPLE` of many, unless the task asks for labels, since few may
    have them.
    """
    if len(free) > SAMPLE and not task.labels:
        few = _open(task, rng.sample(free, SAMPLE), excluded)
        if few:
            return strategy(few, now=now)
    left = _open(task, free, excluded)
    rng.shuffle(left)
    return strategy(left, now=now)


def why_nobody(
    task: Task, candidates: Sequence[Candidate], *, excluded: Collection[AgentId]
) -> Nobody:
    """Say why `choose` found none among all agents with the capability."""
    able = [
        each for each in candidates if not missing_labels(task.labels, each.capability)
    ]
    if not able:
        return Nobody(f"no agent here has {task.type} with the labels asked for", True)
    if all(each.seat.agent in excluded for each in able):
        return Nobody("every agent refused it", True)
    return Nobody("every slot is taken", False)


def _open(
    task: Task, candidates: Sequence[Candidate], excluded: Collection[AgentId]
) -> list[Candidate]:
    return [
        each
        for each in candidates
        if each.seat.free > 0
        and each.seat.agent not in excluded
        and not missing_labels(task.labels, each.capability)
    ]


def consider(task: Task, agent: Agent) -> Considered:
    """Say whether `agent` could take `task` now, in words for a person."""
    reason = _objection(task, agent)
    told = reason or f"{agent.slots - agent.inflight} of {agent.slots} slots are free"
    return Considered(agent=agent.id, eligible=reason is None, reason=told)


def explain(task: Task, agents: Sequence[Agent]) -> Explanation:
    """Say why a task is where it is, with what speaks for and against each agent."""
    considered = tuple(consider(task, agent) for agent in agents)
    return Explanation(
        id=task.id,
        status=task.status,
        verdict=_verdict(task, considered),
        considered=considered,
    )


def _objection(task: Task, agent: Agent) -> str | None:
    capability = _capability_of(agent, task.type)
    if agent.namespace != task.namespace:
        return f"it is in the namespace {agent.namespace}, not {task.namespace}"
    if capability is None:
        return f"it has not the capability {task.type}"
    missing = missing_labels(task.labels, capability)
    if missing:
        return f"it lacks {', '.join(missing)}"
    if not agent.connected:
        return "it is not connected"
    if agent.state in CLOSED_STATES:
        return f"it is in the state {agent.state} and takes nothing new"
    if agent.inflight >= agent.slots:
        return f"{agent.inflight} of {agent.slots} slots are taken"
    return None


def _capability_of(agent: Agent, name: str) -> Capability | None:
    for capability in agent.capabilities:
        if capability.name == name:
            return capability
    return None


def _verdict(task: Task, considered: Sequence[Considered]) -> str:
    if is_claimed(task):
        return f"{task.agent} has it, attempt {task.attempts}"
    if task.status != "pending":
        return f"it is finished: {task.status}"
    if any(each.eligible for each in considered):
        return "it is about to be handed out"
    if not considered:
        return "it waits: no agent has ever connected"
    return "it waits: no agent can take it now"
