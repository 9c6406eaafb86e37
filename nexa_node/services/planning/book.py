"""Making plans, and refusing those that what happened meanwhile has made stale."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from nexa_node.contract.errors import Conflict, Invalid
from nexa_node.contract.plans import Plan
from nexa_node.core import plans
from nexa_node.core.access import API_ACTIONS
from nexa_node.core.plans import Deed, Outlook
from nexa_node.ports import Clock

REMEMBERED = 64
"""Plans whose facts are kept, so that it can be said what changed."""


class PlanBook:
    """The plans that were made here lately. Any node can check any node's plan."""

    def __init__(self, *, clock: Clock) -> None:
        """Know of no plan."""
        self._clock = clock
        self._facts: OrderedDict[str, Mapping[str, Any]] = OrderedDict()

    def make(self, deed: Deed, outlook: Outlook) -> Plan:
        """Give a name to what would be done now."""
        ends = int(self._clock.now().timestamp()) + plans.LIFE_S
        name = plans.plan_id(deed, outlook.facts, ends)
        self._facts[name] = outlook.facts
        while len(self._facts) > REMEMBERED:
            self._facts.popitem(last=False)
        return Plan(
            id=name,
            action=API_ACTIONS[deed.action],
            target=deed.target,
            what=outlook.what,
            effects=outlook.effects,
            counts=dict(outlook.counts),
            expires=datetime.fromtimestamp(ends, UTC),
        )

    def check(self, deed: Deed, outlook: Outlook, agreed: str) -> None:
        """Let pass what is still as it was when `agreed` was made.

        Raises:
            Invalid: It is no plan's id.
            Conflict: It is over, was made for something else, or something changed:
                `details` has what did, and the plan as it would be now.
        """
        known = plans.read_id(agreed)
        if known is None:
            raise Invalid(
                f"{agreed[:80]!r} is no plan",
                remedy="give the id that dry_run=true told",
                details={"field": "plan"},
            )
        if known.ends <= self._clock.now().timestamp():
            raise self._stale(deed, outlook, "the plan is over", ())
        if plans.holds(known, deed, outlook.facts):
            return
        before = self._facts.get(agreed)
        changed = () if before is None else plans.differences(before, outlook.facts)
        why = "the plan was made for something else, or something changed since"
        if changed:
            why = f"the plan is stale: {'; '.join(changed[:3])}"
        raise self._stale(deed, outlook, why, changed)

    def _stale(
        self, deed: Deed, outlook: Outlook, why: str, changed: tuple[str, ...]
    ) -> Conflict:
        return Conflict(
            f"{why}; nothing was done",
            remedy="look at it again with --dry-run (dry_run=true)",
            details={"changed": list(changed), "now": self.make(deed, outlook)},
        )
