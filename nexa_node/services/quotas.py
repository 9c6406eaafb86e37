"""What namespaces may use, kept in the store and read from memory; and what they used.

Limits are asked at the door, budgets before a task is given to an agent. A node counts
what an attempt used when it stores its end, and writes its own share of it soon after:
at most what it counted in the last moments before a kill is forgotten.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

import msgspec

from nexa_node.contract.access import Identity
from nexa_node.contract.errors import (
    Invalid,
    NexaError,
    NotFound,
    RateLimited,
)
from nexa_node.contract.ids import AgentId, Namespace, is_slug
from nexa_node.contract.quotas import BudgetView, Quota, Spent
from nexa_node.contract.tasks import Task, Usage
from nexa_node.core import budgets
from nexa_node.core.budgets import Share
from nexa_node.core.flow import Bucket
from nexa_node.ports import Caught, Clock, QuotaRecords, Removed
from nexa_node.services.api import Journal

WRITE_S = 0.5
"""How soon what was counted is stored."""
LOOK_AGAIN_S = 15.0
"""A task that a spent budget holds back is looked at again after so long."""
NOT_READ_S = 0.2
"""So long a task waits on a node that has just started and does not know the budgets."""
LIMITS: tuple[str, ...] = (
    "namespace_waiting",
    "namespace_tasks",
    "namespace_messages",
    "namespace_agents",
)
REMEDY = "nexa namespace show {0}; an admin raises it by nexa namespace set {0}"


class Quotas:
    """The book of quotas and budgets. `allows_…` and `held_s` ask no store."""

    def __init__(
        self, *, records: QuotaRecords, clock: Clock, journal: Journal, node: str
    ) -> None:
        """Know nothing yet; `watch` reads, `keep` writes what was spent here."""
        self._records = records
        self._clock = clock
        self._journal = journal
        self._node = node
        self._quotas: dict[str, Quota] = {}
        self._shares: dict[tuple[str, str], Share] = {}
        self._unwritten: dict[str, Share] = {}
        self._paces: dict[tuple[str, str], tuple[float, Bucket]] = {}
        self._views: dict[str, tuple[datetime, BudgetView]] = {}
        self._is_read = False
        self._early: list[tuple[Namespace, AgentId, Usage]] = []
        self.waiting: Callable[[str], int] = lambda _: 0
        """How many tasks of a namespace wait."""
        self.connected: Callable[[str], int] = lambda _: 0
        """How many agents of a namespace are connected."""
        self.rejections = dict.fromkeys(LIMITS, 0)
        """Calls over a limit, by limit."""

    # -- the records -----------------------------------------------------------

    async def watch(self) -> None:
        """Keep the records in memory, for ever. A service's loop."""
        seen: set[str] = set()
        async for told in self._records.watch():
            if isinstance(told, Caught):
                for gone in self._quotas.keys() - seen:
                    self._take(gone, None)
                self._count_early()
            elif isinstance(told, Removed):
                self._take(told.key, None)  # a quota: shares stay
            elif isinstance(told.value, Quota):
                seen.add(told.value.name)
                self._take(told.value.name, told.value)
            elif not self._is_own(told.value):
                self._learn(told.value)

    async def keep(self) -> None:
        """Write what was spent here, soon after, for ever. A service's loop."""
        while True:
            await self._clock.sleep(WRITE_S)
            for name, share in list(self._unwritten.items()):
                try:
                    await self._records.put_share(share)
                except NexaError:
                    break  # the store is away: it is still to be written
                if self._unwritten.get(name) is share:
                    del self._unwritten[name]

    async def put(self, wanted: Quota, *, by: Identity) -> Quota:
        """Set what a namespace may use; it holds here as soon as this returns.

        Raises:
            Invalid: The name is none, or a limit makes no sense.
            Unavailable: The store did not take it.
        """
        _check(wanted)
        await self._records.put(wanted)
        self._take(wanted.name, wanted)
        self._note(
            "namespace.changed",
            wanted.name,
            f"{by.id} set what the namespace {wanted.name} may use",
            "info",
        )
        return wanted

    async def delete(self, name: str, *, by: Identity) -> None:
        """Forget what a namespace may use: it is without limits.

        Raises:
            NotFound: Nothing was set for it.
            Unavailable: The store did not take it.
        """
        if name not in self._quotas:
            raise NotFound(
                f"nothing is set for the namespace {name[:80]!r}",
                remedy="nexa namespace list",
            )
        await self._records.delete(name)
        self._take(name, None)
        self._note(
            "namespace.changed", name, f"{by.id} ended its limits: {name}", "warning"
        )

    def all(self) -> Mapping[str, Quota]:
        """Every quota, by namespace."""
        return self._quotas

    def budget(self, namespace: str) -> BudgetView | None:
        """How a budget stands; None if the namespace has none."""
        quota = self._quotas.get(namespace)
        if quota is None or not budgets.has_limits(quota.budget):
            return None
        now = self._clock.now()
        known = self._views.get(namespace)
        if known is not None and now < known[1].resets:
            return known[1]
        shares = [one for key, one in self._shares.items() if key[1] == namespace]
        made = budgets.view(quota.budget, shares, now)
        self._views[namespace] = (now, made)
        return made

    def views(self) -> Iterator[tuple[str, BudgetView]]:
        """All budgets there are."""
        for name in sorted(self._quotas):
            view = self.budget(name)
            if view is not None:
                yield name, view

    # -- what is asked at the door ---------------------------------------------

    def check_submit(self, namespace: str) -> None:
        """Count one submission.

        Raises:
            RateLimited: There are too many, or too many wait.
        """
        quota = self._quotas.get(namespace)
        if quota is None:
            return
        limits = quota.limits
        if limits.waiting is not None and self.waiting(namespace) >= limits.waiting:
            raise self._refused(
                "namespace_waiting", namespace, f"{limits.waiting:,} tasks wait", 1000
            )
        self._check_pace("namespace_tasks", namespace, limits.tasks_per_s)

    def check_send(self, namespace: str) -> None:
        """Count one message; RateLimited if there are too many."""
        quota = self._quotas.get(namespace)
        if quota is not None:
            self._check_pace(
                "namespace_messages", namespace, quota.limits.messages_per_s
            )

    def check_join(self, namespace: str) -> None:
        """See whether one more agent may connect; RateLimited if not."""
        quota = self._quotas.get(namespace)
        if quota is None or quota.limits.agents is None:
            return
        if self.connected(namespace) >= quota.limits.agents:
            told = f"{quota.limits.agents:,} agents are connected"
            raise self._refused("namespace_agents", namespace, told, 5000)

    # -- what is asked before a task is given away -----------------------------

    def held_s(self, task: Task) -> float:
        """For how long a task is not to be given to anybody, in seconds; 0: it may."""
        if not self._is_read:
            return NOT_READ_S
        view = self.budget(task.namespace)
        if view is None or view.state != "spent":
            return 0.0
        left = (view.resets - self._clock.now()).total_seconds()
        return min(max(left, 0.1), LOOK_AGAIN_S)

    def out(self, namespace: str) -> tuple[str, ...]:
        """Agents that have spent what each may: they get nothing before it resets."""
        view = self.budget(namespace)
        return () if view is None else view.agents

    def why_held(self, namespace: str) -> str | None:
        """Say why tasks of a namespace wait, if its budget is spent."""
        view = self.budget(namespace)
        if view is None or view.state != "spent":
            return None
        spent = f"{view.spent.tokens:,} tokens, {view.spent.cost_usd:,.2f} USD"
        return (
            f"held: the budget of the namespace {namespace} is spent ({spent});"
            f" it resets at {view.resets:%Y-%m-%d %H:%M} UTC"
        )

    def task_spent(self, task: Task, agent: AgentId, usage: Usage) -> None:
        """Count what an attempt at `task` used; the ledger's `on_spent`."""
        self.spent(task.namespace, agent, usage)

    def spent(self, namespace: Namespace, agent: AgentId, usage: Usage) -> None:
        """Count what an attempt used, once its end is stored here.

        Before the records are read it is kept in mind: this node's own count is to go on
        from what it had counted before it started.
        """
        if not self._is_read:
            self._early.append((namespace, agent, usage))
            return
        quota = self._quotas.get(namespace)
        if quota is None or not budgets.has_limits(quota.budget):
            return
        used = Spent(
            tokens=usage.input_tokens + usage.output_tokens, cost_usd=usage.cost_usd
        )
        now = self._clock.now()
        share = self._shares.get((self._node, namespace))
        if share is None or not budgets.is_of(share, quota.budget, now):
            share = Share(
                node=self._node,
                namespace=namespace,
                period=quota.budget.period,
                begins=budgets.begins(quota.budget.period, now),
            )
        by = agent if budgets.has_agent_limits(quota.budget) else None
        before = self.budget(namespace)
        self._unwritten[namespace] = share = share.plus(by, used)
        self._learn(share)
        after = self.budget(namespace)
        if before is not None and after is not None:
            self._tell(namespace, before, after)

    # -- inside ----------------------------------------------------------------

    def _is_own(self, share: Share) -> bool:
        """Whether it is this node's echo: what it has in memory is the newest."""
        return self._is_read and share.node == self._node

    def _count_early(self) -> None:
        self._is_read = True
        early, self._early = self._early, []
        for each in early:
            self.spent(*each)

    def _tell(self, name: str, before: BudgetView, after: BudgetView) -> None:
        """Note what this use did to the budget."""
        if after.state != before.state and after.state != "ok":
            left = (
                f"{after.remaining:.0%} is left until {after.resets:%Y-%m-%d %H:%M} UTC"
            )
            what = "is spent: its tasks wait" if after.state == "spent" else "runs low"
            self._note(
                f"budget.{after.state}",
                name,
                f"the budget of the namespace {name} {what}; {left}",
                "error" if after.state == "spent" else "warning",
            )
        for agent in sorted(set(after.agents) - set(before.agents)):
            self._note(
                "budget.agent_spent",
                name,
                f"agent {agent} of {name} has spent what each may, and gets nothing"
                f" before {after.resets:%Y-%m-%d %H:%M} UTC",
                "warning",
            )

    def _check_pace(self, limit: str, namespace: str, rate: float | None) -> None:
        if rate is None:
            return
        now = self._clock.monotonic()
        known = self._paces.get((limit, namespace))
        if known is None or known[0] != rate:
            burst = max(1.0, rate)
            known = (rate, Bucket(rate=rate, burst=burst, level=burst, filled=now))
            self._paces[limit, namespace] = known
        wait_s = known[1].spend(now)
        if wait_s > 0:
            word = "submissions" if limit == "namespace_tasks" else "messages"
            told = f"more than {rate:g} {word} a second"
            raise self._refused(limit, namespace, told, math.ceil(1000 * wait_s))

    def _refused(self, limit: str, name: str, told: str, retry_ms: int) -> RateLimited:
        self.rejections[limit] += 1
        return RateLimited(
            f"{told}: the limit of the namespace {name}",
            remedy=REMEDY.format(name),
            retry_after_ms=retry_ms,
            details={"reason": limit},
        )

    def _take(self, name: str, quota: Quota | None) -> None:
        self._views.pop(name, None)
        if quota is None:
            self._quotas.pop(name, None)
        else:
            self._quotas[name] = quota

    def _learn(self, share: Share) -> None:
        self._shares[share.node, share.namespace] = share
        self._views.pop(share.namespace, None)

    def _note(self, kind: str, name: str, message: str, severity: str) -> None:
        self._journal.record(
            kind,
            subject=f"namespace/{name}",
            message=message,
            severity=severity,
            data={"namespace": name},
        )


def _check(wanted: Quota) -> None:
    if not is_slug(wanted.name):
        raise Invalid(
            f"{wanted.name[:80]!r} is no name of a namespace",
            remedy="lower-case letters, digits, - and _, at most 63",
            details={"field": "name"},
        )
    for part in (wanted.limits, wanted.budget):
        for field in msgspec.structs.fields(part):
            value = getattr(part, field.name)
            if isinstance(value, int | float) and not 0 <= value < 1e15:
                raise Invalid(
                    f"{field.name} can't be {value}",
                    remedy="0 or more; leave it out for no limit",
                    details={"field": field.name},
                )
    for name in ("tasks_per_s", "messages_per_s"):
        if getattr(wanted.limits, name) == 0:
            raise Invalid(
                f"{name} can't be 0", remedy="0.1 or more", details={"field": name}
            )
    if not 0 < wanted.budget.warn_at <= 1:
        raise Invalid(
            "warn_at is a share, above 0 and at most 1", details={"field": "warn_at"}
        )
