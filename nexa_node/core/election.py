"""Who holds the controller's lease, when it is renewed, and when it is given up.

The lease is the store's: it ends there, counted by the store's clock. A holder counts for
itself, by the monotonic clock and from before it asked, and stops before the store does:
renewals may fail for 4–7 s while the store elects a leader. What it does is fenced by
the lease's token all the same, since clocks may be set.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from nexa_node.core.policies import ClusterPolicy

MARGIN = 0.2
"""Of the lease: how much earlier than the store its holder stops."""
RETRY_S = 0.2
"""Between two tries of a renewal, and between two looks at a lease whose holder is not
heard."""
STEP_S = 0.4
"""How long the next best node leaves a free lease to a better one."""
REST_S = 2.0
"""How long a node that handed over leaves it to all others."""
UNFIT_S = 3.0
"""How long a holder may be unwell before it hands over: a store that is away for a
moment is none of that."""
SETTLED_S = 10.0
"""How long a holder keeps the lease before it hands it over for comfort alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A lease's times, in seconds."""

    ttl_s: int
    """What the store is asked for; it counts in whole seconds."""
    valid_s: float
    """How long its holder believes in it, from before it asked."""
    renew_s: float

    @classmethod
    def of(cls, policy: ClusterPolicy) -> "Terms":
        """Derive them from `[cluster] lease_ms`."""
        lease_s = policy.lease_ms / 1000
        ttl_s = max(1, math.ceil(lease_s))
        return cls(ttl_s=ttl_s, valid_s=lease_s * (1 - MARGIN), renew_s=lease_s / 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A node that could hold the lease."""

    name: str
    fit: bool = True
    """It is in service, well and heard."""
    leaving: bool = False
    """It is on its way out."""
    near_store: bool = False
    """Its store leads the lease's own stream: if it dies, the next one has to wait for
    the store's election, too."""
    started: float = 0.0
    """Seconds since 1970."""


def order(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    """Name who should hold the lease, the best first.

    The fit before the others, those apart from the lease's stream before its leader, the
    long-running before the new. All nodes that know the same say the same.
    """
    able = [each for each in candidates if not each.leaving]
    able.sort(key=lambda one: (not one.fit, one.near_store, one.started, one.name))
    return tuple(each.name for each in able)


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the store who has the lease."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Try to take it."""


@dataclass(frozen=True, slots=True)
class Renew:
    """Renew it; after `within_s` the try is over."""

    within_s: float


@dataclass(frozen=True, slots=True)
class HandOver:
    """Stop, then give it back."""

    why: str


@dataclass(frozen=True, slots=True)
class Fence:
    """Stop: it may be somebody else's now."""


Step = Wait | Look | Stand | Renew | HandOver | Fence


class Election:
    """One node's part in it."""

    def __init__(self, name: str, terms: Terms) -> None:
        """Hold nothing and know nothing."""
        self._name = name
        self._terms = terms
        self._since: float | None = None
        self._until = 0.0
        self._renew_at = 0.0
        self._look_at = 0.0
        self._free_since: float | None = None
        self._rest_until = 0.0
        self._unfit_since: float | None = None
        self._holder: str | None = None

    @property
    def holder(self) -> str | None:
        """Who was seen with the lease last."""
        return self._holder

    @property
    def holds(self) -> bool:
        """Whether it was gained and not lost, valid or not."""
        return self._since is not None

    def is_valid(self, now: float) -> bool:
        """Whether this node may act as the holder now."""
        return self._since is not None and now < self._until

    # -- what the store said ---------------------------------------------------

    def gained(self, asked: float) -> None:
        """It is ours; counted from before it was asked for."""
        self._since, self._holder = asked, self._name
        self._free_since = self._unfit_since = None
        self._extend(asked)

    def renewed(self, asked: float) -> None:
        """It is ours for longer."""
        self._extend(asked)

    def failed(self, now: float) -> None:
        """The store did not answer: try again soon, before it is too late."""
        self._renew_at = self._look_at = now + RETRY_S
        self._free_since = None

    def lost(self, now: float) -> None:
        """It is not ours any more, or not surely."""
        self._since, self._until, self._look_at = None, 0.0, now
        if self._holder == self._name:
            self._holder = None

    def handed_over(self, now: float) -> None:
        """It was given back in order."""
        self.lost(now)
        self._free_since, self._look_at = None, now + RETRY_S
        self._rest_until = now + REST_S

    def seen(self, holder: str | None, now: float, *, heard: bool) -> None:
        """Know who has it; `heard`: whether that node gives signs of life."""
        self._holder = holder
        if holder is None:
            self._free_since = now if self._free_since is None else self._free_since
            self._look_at = now + RETRY_S
        else:
            self._free_since = None
            self._look_at = now + (self._terms.renew_s if heard else RETRY_S)

    def _extend(self, asked: float) -> None:
        self._until = asked + self._terms.valid_s
        self._renew_at = asked + self._terms.renew_s

    # -- what to do ------------------------------------------------------------

    def next(self, now: float, candidates: Iterable[Candidate]) -> Step:
        """Say what to do now."""
        known = {each.name: each for each in candidates}
        if self._since is not None:
            return self._keep(now, self._since, known)
        if self._free_since is not None:
            step = self._compete(now, self._free_since, known)
            if step is not None:
                return step
        return Look() if now >= self._look_at else Wait(self._look_at - now)

    def _keep(self, now: float, since: float, known: dict[str, Candidate]) -> Step:
        if now >= self._until:
            return Fence()
        why = self._why_hand_over(now, now - since, known)
        if why is not None:
            return HandOver(why)
        if now >= self._renew_at:
            return Renew(min(self._terms.renew_s, self._until - now))
        return Wait(min(self._renew_at, self._until) - now)

    def _why_hand_over(
        self, now: float, held_s: float, known: dict[str, Candidate]
    ) -> str | None:
        me = known.get(self._name)
        if me is None:
            return None
        if me.leaving:
            return "it is on its way out"
        others = [each for each in known.values() if each.name != self._name]
        better = [each for each in others if each.fit and not each.leaving]
        if better and self._is_unfit(me, now):
            return f"it has been out of service or unwell for {UNFIT_S:.0f} s"
        apart = any(not each.near_store for each in better)
        if me.near_store and apart and held_s >= SETTLED_S:
            return "its store leads the lease's stream: one death should not cost both"
        return None

    def _is_unfit(self, me: Candidate, now: float) -> bool:
        if me.fit:
            self._unfit_since = None
            return False
        if self._unfit_since is None:
            self._unfit_since = now
        return now - self._unfit_since >= UNFIT_S

    def _compete(
        self, now: float, free_since: float, known: dict[str, Candidate]
    ) -> Step | None:
        """Stand when all better ones had their chance; None: there is nothing to do."""
        ranks = order(known.values())
        if self._name not in ranks:
            return None
        due = free_since + STEP_S * ranks.index(self._name)
        due = max(due, self._rest_until if len(ranks) > 1 else due)
        if now >= due:
            return Stand()
        return Wait(due - now) if due < self._look_at else None
