"""Which one of several able agents gets a message: the least busy. Pure."""

import random
from collections.abc import Callable, Iterable

from nexa_node.contract.agents import Agent
from nexa_node.core.strategies import CLOSED_STATES


def able(agents: Iterable[Agent], capability: str) -> list[Agent]:
    """Those that are connected, open for work and have the capability."""
    return [
        each
        for each in agents
        if each.connected
        and each.state not in CLOSED_STATES
        and any(one.name == capability for one in each.capabilities)
    ]


def least_busy(
    agents: Iterable[Agent], waiting: Callable[[Agent], int], rng: random.Random
) -> Agent | None:
    """Choose the one with the least in hand for each of its slots; chance decides ties.

    Args:
        agents: Whom to choose from.
        waiting: How many requests of ours the agent has not answered yet.
        rng: Decides ties.
    """
    best: list[Agent] = []
    least = 0.0
    for agent in agents:
        load = (agent.inflight + waiting(agent)) / max(1, agent.slots)
        if not best or load < least:
            best, least = [agent], load
        elif load == least:
            best.append(agent)
    return rng.choice(best) if best else None
