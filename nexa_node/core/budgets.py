"""Budgets: what was spent in a period, by whom, and whether more may be.

Spending is additive: each node counts what its own agents used, in a record that it alone
writes, and the sum over all nodes is what was spent. Nobody waits for anybody, nothing is
counted twice, and a node that died leaves what it counted.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from nexa_node.contract.quotas import Allowance, BudgetView, Period, SpendState, Spent

AGENTS_MAX = 5000
"""Agents told apart in one node's record; others are counted in the whole alone."""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one node counted of a namespace in one period."""

    node: str
    namespace: str
    begins: datetime
    """The period's."""
    period: Period
    total: Spent = Spent()
    agents: Mapping[str, Spent] = {}

    def plus(self, agent: str | None, spent: Spent) -> "Share":
        """With one more use."""
        agents = self.agents
        if agent is not None and (agent in agents or len(agents) < AGENTS_MAX):
            agents = {**agents, agent: agents.get(agent, Spent()).plus(spent)}
        return msgspec.structs.replace(
            self, total=self.total.plus(spent), agents=agents
        )


def begins(period: Period, now: datetime) -> datetime:
    """When the period began that `now` is in."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if period == "hour":
        return hour
    day = hour.replace(hour=0)
    return day if period == "day" else day.replace(day=1)


def resets(period: Period, now: datetime) -> datetime:
    """When the next period begins."""
    start = begins(period, now)
    if period == "hour":
        return start + timedelta(hours=1)
    if period == "day":
        return start + timedelta(days=1)
    return (start + timedelta(days=32)).replace(day=1)


def is_of(share: Share, allowance: Allowance, now: datetime) -> bool:
    """Whether a share counts for the period that `now` is in."""
    same = share.period == allowance.period
    return same and share.begins == begins(allowance.period, now)


def remaining(limits: Iterable[tuple[float | None, float]]) -> float:
    """The share that is left of the limit that is nearest to its end, 0 to 1.

    Args:
        limits: Each a limit and what was spent of it; None is no limit.
    """
    left = [
        max(0.0, 1.0 - spent / limit) if limit > 0 else 0.0
        for limit, spent in limits
        if limit is not None
    ]
    return min(left, default=1.0)


def view(allowance: Allowance, shares: Iterable[Share], now: datetime) -> BudgetView:
    """What all nodes counted, held against what is allowed."""
    total = Spent()
    agents: dict[str, Spent] = {}
    for share in shares:
        if is_of(share, allowance, now):
            total = total.plus(share.total)
            for agent, spent in share.agents.items():
                agents[agent] = agents.get(agent, Spent()).plus(spent)
    left = remaining(
        ((allowance.tokens, total.tokens), (allowance.cost_usd, total.cost_usd))
    )
    out = [
        agent for agent, spent in agents.items() if _agent_left(allowance, spent) <= 0
    ]
    return BudgetView(
        state=_state(left, allowance.warn_at),
        spent=total,
        resets=resets(allowance.period, now),
        remaining=left,
        agents=tuple(sorted(out)),
    )


def has_limits(allowance: Allowance) -> bool:
    """Whether anything is counted at all."""
    return has_agent_limits(allowance) or (
        allowance.tokens is not None or allowance.cost_usd is not None
    )


def has_agent_limits(allowance: Allowance) -> bool:
    """Whether each agent is counted by itself."""
    return allowance.agent_tokens is not None or allowance.agent_cost_usd is not None


def _agent_left(allowance: Allowance, spent: Spent) -> float:
    return remaining(
        (
            (allowance.agent_tokens, spent.tokens),
            (allowance.agent_cost_usd, spent.cost_usd),
        )
    )


def _state(left: float, warn_at: float) -> SpendState:
    if left <= 0:
        return "spent"
    return "low" if 1.0 - left >= warn_at else "ok"
