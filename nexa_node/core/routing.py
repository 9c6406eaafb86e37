"""Which agents may have a task, and why not the others.

The same verdicts choose in dispatch and are shown by `nexa task explain`.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from nexa_node.contract.agents import Agent, Capability
from nexa_node.contract.ids import AgentId
from nexa_node.contract.tasks import Considered, Explanation, Task
from nexa_node.core.strategies import (
    CLOSED_STATES,
    COMPARING,
    Candidate,
    Seat,
    Strategy,
    least_loaded,
    ramp,
)
from nexa_node.core.tasks import is_claimed
from nexa_node.core.usage import of_budget, overspent

SAMPLE = 16
"""Of many free agents so many are compared: the best of a few is nearly the best."""


@dataclass(frozen=True, slots=True)
class Local:
    """What only the node that has an agent's session knows of it."""

    seat: Seat
    rests_s: float | None
    """How long it gets nothing new yet, having refused something."""
    unable: bool
    """It said that it can't do this task."""
    refused: bool
    """It would not take this task a moment ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a node knows beyond the registry."""

    node: str
    now: datetime
    monotonic: float
    local: Mapping[str, Local]
    """By agent: those with a session here."""
    ahead: int | None = None
    """How many waiting tasks are handed out before this one."""
    draining: bool = False
    """This node gives out nothing new."""
    held: str | None = None
    """Why tasks of this namespace wait, if its budget is spent."""
    spent: frozenset[str] = frozenset()
    """Agents that have spent what each may."""


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
    have them, or the strategy needs to see all.
    """
    if len(free) > SAMPLE and not task.labels and strategy in COMPARING:
        few = _open(task, rng.sample(free, SAMPLE), excluded)
        if few:
            return strategy(few, task, now=now)
    left = _open(task, free, excluded)
    if len(left) > 1:
        rng.shuffle(left)
    return strategy(left, task, now=now)


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


def consider(task: Task, agent: Agent, facts: Facts | None = None) -> Considered:
    """Say whether `agent` could take `task` now, in words for a person.

    Of agents with a session on another node only the registry is known; that is said.
    """
    local = None if facts is None else facts.local.get(agent.id)
    reason = _objection(task, agent) or _objection_here(local, facts)
    if reason is None and facts is not None and agent.id in facts.spent:
        reason = "it has spent what each agent of its namespace may in this period"
    told = reason or _room(agent, local, facts)
    if facts is not None and local is None and agent.node != facts.node:
        told = f"{told}, by what {agent.node} last told of it"
    return Considered(agent=agent.id, eligible=reason is None, reason=told)


def explain(
    task: Task,
    agents: Sequence[Agent],
    facts: Facts | None = None,
    told: Mapping[str, Considered] | None = None,
) -> Explanation:
    """Say why a task is where it is, with what speaks for and against each agent.

    `told`, by agent, is what the nodes that have their sessions said of them.
    """
    told = told or {}
    considered = tuple(
        told.get(agent.id) or consider(task, agent, facts) for agent in agents
    )
    return Explanation(
        id=task.id,
        status=task.status,
        verdict=_verdict(task, considered, facts),
        considered=considered,
    )


def put_off(task: Task, facts: Facts | None) -> str | None:
    """Say until when nobody gets a task, if its time has not come."""
    if facts is None:
        return None
    if facts.held is not None and task.status == "pending":
        return facts.held
    if task.not_before is None or task.not_before <= facts.now:
        return None
    left_s = (task.not_before - facts.now).total_seconds()
    why = "its next attempt" if task.attempts else "its time"
    return f"it waits for {why}, {task.not_before:%Y-%m-%d %H:%M:%S} UTC, in {left_s:.0f} s"


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


def _objection_here(local: Local | None, facts: Facts | None) -> str | None:
    if local is None or facts is None:
        return None
    if facts.draining:
        return f"its node {facts.node} drains and gives out nothing new"
    if local.unable:
        return "it said that it is unable to do this task"
    if local.refused:
        return "it refused this task a moment ago"
    if local.rests_s is not None:
        return f"it refused something and rests for {local.rests_s:.1f} s more"
    return _full(local.seat)


def _full(seat: Seat) -> str | None:
    if not seat.connected:
        return "it is not connected; its session waits for it"
    if seat.inflight >= seat.slots:
        return f"{seat.inflight} of {seat.slots} slots are taken"
    if seat.credits.left == 0:
        return "it has no credits left: it has to grant more with flow.credit"
    return None


def _room(agent: Agent, local: Local | None, facts: Facts | None) -> str:
    slots, inflight = agent.slots, agent.inflight
    if local is None or facts is None:
        return f"{slots - inflight} of {slots} slots are free"
    seat = local.seat
    told = f"{seat.slots - seat.inflight} of {seat.slots} slots are free"
    share = ramp(facts.monotonic - seat.since)
    if share < 1.0:
        told = f"{told}; it is new and counts for {share:.0%} of its weight yet"
    return told


def _capability_of(agent: Agent, name: str) -> Capability | None:
    for capability in agent.capabilities:
        if capability.name == name:
            return capability
    return None


def _verdict(task: Task, considered: Sequence[Considered], facts: Facts | None) -> str:
    if is_claimed(task):
        return f"{task.agent} has it, attempt {task.attempts}{of_budget(task)}"
    if task.status != "pending":
        over = overspent(task) if task.status == "failed" else None
        why = "" if over is None else f": {over.reason}: {over.message}"
        return f"it is finished: {task.status}{why}"
    delayed = put_off(task, facts)
    if delayed is not None:
        return delayed
    if any(each.eligible for each in considered):
        return f"it is about to be handed out{_after(facts)}"
    if not considered:
        return "it waits: no agent has ever connected"
    return f"it waits: no agent can take it now{_after(facts)}"


def _after(facts: Facts | None) -> str:
    if facts is None or not facts.ahead:
        return ""
    return f"; {facts.ahead} go before it, by priority and fairness"
