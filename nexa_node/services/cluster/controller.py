"""The controller: the one node that does the cluster's duties, by a lease of the store.

`is_controller` is true only until a deadline of this node's own, before the store's end
of the lease. Whoever writes as the controller says the fence `token` where it matters,
and writes by compare-and-set everywhere else. A node without a cluster is its own.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from nexa_node.contract.errors import Conflict, NexaError
from nexa_node.core.election import (
    Candidate,
    Election,
    Fence,
    HandOver,
    Look,
    Renew,
    Stand,
    Terms,
    Wait,
)
from nexa_node.core.policies import ClusterPolicy
from nexa_node.ports import Clock, Lease, LeaseTable
from nexa_node.services.api import Journal
from nexa_node.services.cluster.within import within

LEASE = "controller"
ALONE_S = 0.5
"""How often a node without a cluster looks whether it is in one."""
ANSWER_S = 1.0
"""For the store to say who has the lease, or to take or give it back."""

OnGain = Callable[[int], object]
"""Told the fence token; 0 without a cluster."""
OnLose = Callable[[str], object]
"""Told why."""


class Field(Protocol):
    """Who could be it; `Members`."""

    def candidates(self) -> Sequence[Candidate]:
        """All nodes that are heard, this one included."""
        ...

    def is_heard(self, name: str) -> bool:
        """Whether a node gives signs of life, beyond suspicion."""
        ...


class Controller:
    """This node's part in the election, and what it may do by it."""

    def __init__(
        self,
        *,
        leases: LeaseTable,
        field: Field,
        clustered: Callable[[], bool],
        clock: Clock,
        journal: Journal,
        node: str,
        policy: ClusterPolicy,
    ) -> None:
        """Hold nothing before `run`.

        Args:
            leases: Where the lease is.
            field: Knows the other nodes.
            clustered: Whether this node belongs to a cluster, by its own files: a store
                that is away must not make it say no.
            clock: Counts the lease.
            journal: Told of changes by the node that gained control.
            node: This node's name.
            policy: How long the lease is.
        """
        self._leases = leases
        self._field = field
        self._clustered = clustered
        self._clock = clock
        self._journal = journal
        self._node = node
        self._terms = Terms.of(policy)
        self._election = Election(node, self._terms)
        self._lease: Lease | None = None
        self._alone = False
        self._stopping = False
        self._before: str | None = None
        self._gainers: list[OnGain] = []
        self._losers: list[OnLose] = []
        self.changes = 0
        """How often this node gained control, since the start."""

    # -- what others ask -------------------------------------------------------

    def is_controller(self) -> bool:
        """Whether this node may do the cluster's duties at this moment."""
        if self._stopping:
            return False
        if self._alone:
            return not self._clustered()
        return self._election.is_valid(self._clock.monotonic())

    @property
    def token(self) -> int | None:
        """The fence of this tenure, larger than all before; None while not in control.

        0 for a node without a cluster.
        """
        if not self.is_controller():
            return None
        return 0 if self._alone or self._lease is None else self._lease.token

    @property
    def holder(self) -> str | None:
        """Who is the controller, as seen last; at most a third of a lease ago."""
        return self._node if self.is_controller() else self._election.holder

    def on_gain(self, listener: OnGain) -> None:
        """Have `listener` called whenever this node becomes the controller."""
        self._gainers.append(listener)

    def on_lose(self, listener: OnLose) -> None:
        """Have `listener` called whenever it is not the controller any more."""
        self._losers.append(listener)

    # -- the loop --------------------------------------------------------------

    async def run(self) -> None:
        """Take part in the election, for ever. A service's loop."""
        while not self._stopping:
            if self._clustered():
                if self._alone:
                    self._alone = False
                    self._tell_loss("this node is in a cluster now")
                await self._step()
            else:
                self._be_alone()
                await self._clock.sleep(ALONE_S)

    async def stop(self) -> None:
        """Stop being it, and give the lease back, so that others need not wait."""
        lease, was_it = self._lease, self.is_controller()
        self._stopping = True
        if was_it:
            self._tell_loss("the node stops")
        if lease is not None:
            self._lease = None
            await self._release(lease)

    def _be_alone(self) -> None:
        if not self._alone:
            if self._lease is not None:
                self._lose("this node is in no cluster any more")
            self._alone = True
            self._tell_gain(0)

    async def _step(self) -> None:
        now = self._clock.monotonic()
        match self._election.next(now, self._field.candidates()):
            case Wait(seconds):
                await self._clock.sleep(seconds)
            case Look():
                await self._look()
            case Stand():
                await self._stand()
            case Renew(within_s):
                await self._renew(within_s)
            case HandOver(why):
                await self._hand_over(why)
            case Fence():
                self._lose("the lease could not be renewed in time")

    async def _look(self) -> None:
        try:
            seen = await self._ask_holder()
        except NexaError:
            self._election.failed(self._clock.monotonic())
            return
        holder = None if seen is None else seen.holder
        if holder is not None:
            self._before = holder
        if holder == self._node:
            await self._stand(again=True)
            return
        heard = holder is not None and self._field.is_heard(holder)
        self._election.seen(holder, self._clock.monotonic(), heard=heard)

    async def _ask_holder(self) -> Lease | None:
        return await within(self._clock, ANSWER_S, self._leases.holder(LEASE))

    async def _stand(self, *, again: bool = False) -> None:
        """Try to take it; `again`: it is on record as ours.

        Then it is one that we got without hearing of it, and is taken anew, or one of an
        earlier run of this node, which ends by itself.
        """
        asked = self._clock.monotonic()
        wanted = self._leases.acquire(LEASE, self._node, ttl_s=self._terms.ttl_s)
        try:
            lease = await within(self._clock, ANSWER_S, wanted)
        except NexaError:
            self._election.failed(self._clock.monotonic())
            return
        if self._stopping:
            if lease is not None:
                await self._release(lease)
            return
        if lease is None:
            if again:
                now = self._clock.monotonic()
                self._election.seen(self._node, now, heard=False)
            else:
                await self._look()
            return
        self._lease = lease
        self._election.gained(asked)
        self._note_gain(lease)
        self._tell_gain(lease.token)

    async def _renew(self, within_s: float) -> None:
        lease = self._lease
        if lease is None:
            self._election.lost(self._clock.monotonic())
            return
        asked = self._clock.monotonic()
        wanted = self._leases.renew(lease, ttl_s=self._terms.ttl_s)
        try:
            renewed = await within(self._clock, within_s, wanted)
        except Conflict as error:
            self._lose(error.message)
        except NexaError:
            self._election.failed(self._clock.monotonic())
        else:
            if self._lease is lease:
                self._lease = renewed
                self._election.renewed(asked)

    async def _hand_over(self, why: str) -> None:
        lease, self._lease = self._lease, None
        self._election.handed_over(self._clock.monotonic())
        self._note_loss(f"it hands over, since {why}", "info")
        self._tell_loss(why)
        if lease is not None:
            await self._release(lease)

    async def _release(self, lease: Lease) -> None:
        try:
            await within(self._clock, ANSWER_S, self._leases.release(lease))
        except NexaError:
            return  # it ends by itself

    # -- telling ---------------------------------------------------------------

    def _lose(self, why: str) -> None:
        self._lease = None
        self._election.lost(self._clock.monotonic())
        self._note_loss(why, "warning")
        self._tell_loss(why)

    def _note_loss(self, why: str, severity: str) -> None:
        self._journal.record(
            "controller.lost",
            subject=f"node/{self._node}",
            message=f"{self._node} is not the controller any more: {why}",
            severity=severity,
        )

    def _note_gain(self, lease: Lease) -> None:
        before = self._before if self._before != self._node else None
        told = f" after {before}" if before else ""
        self._journal.record(
            "controller.changed",
            subject=f"node/{self._node}",
            message=f"{self._node} is the controller{told} (fence {lease.token})",
            data={"before": before, "token": lease.token},
        )
        self._before = self._node

    def _tell_gain(self, token: int) -> None:
        self.changes += 1
        for listener in self._gainers:
            listener(token)

    def _tell_loss(self, why: str) -> None:
        for listener in self._losers:
            listener(why)
