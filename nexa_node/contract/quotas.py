"""What a namespace may use: limits at the door, and budgets of tokens and money."""

from datetime import datetime
from typing import Literal

import msgspec

Period = Literal["hour", "day", "month"]
"""Of the calendar, in UTC."""
SpendState = Literal["ok", "low", "spent"]


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is refused beyond; None: no limit."""

    agents: int | None = None
    """Connected at once, in the cluster."""
    waiting: int | None = None
    """Tasks that wait to be given to an agent."""
    tasks_per_s: float | None = None
    """Submissions, through each node; a second's worth may come at once."""
    messages_per_s: float | None = None
    """Messages, likewise."""


class Allowance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What may be spent in a period; None: no limit."""

    tokens: int | None = None
    """Input and output together."""
    cost_usd: float | None = None
    agent_tokens: int | None = None
    """The same, for each agent by itself."""
    agent_cost_usd: float | None = None
    period: Period = "day"
    warn_at: float = 0.8
    """The share that is told, before all is spent: the soft limit."""


class Quota(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a namespace may use; as it is kept, and the body of POST /v1/namespaces."""

    name: str
    limits: Limits = Limits()
    budget: Allowance = Allowance()


class Spent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What tasks said that they used."""

    tokens: int = 0
    cost_usd: float = 0.0

    def plus(self, other: "Spent") -> "Spent":
        """Both together."""
        return Spent(
            tokens=self.tokens + other.tokens, cost_usd=self.cost_usd + other.cost_usd
        )


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a budget is left."""

    state: SpendState
    spent: Spent
    resets: datetime
    remaining: float
    """The share that is left of what is nearest to its end; 0 to 1."""
    agents: tuple[str, ...] = ()
    """Those who have spent what each agent may."""
