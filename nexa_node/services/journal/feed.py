"""The console's feed: one snapshot, then what changed, to each that watches.

A change costs each subscriber one entry in a dictionary. What a slow console has not
read yet is replaced by what is newer about the same thing; one that still falls 1,000
things behind is ended, comes back, and takes a new snapshot.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Literal, assert_never

import msgspec

from nexa_node.contract.access import Identity
from nexa_node.contract.errors import NexaError, Unauthorized
from nexa_node.contract.events import (
    AgentChanged,
    AgentGone,
    AlertChanged,
    AlertGone,
    Change,
    ClusterChanged,
    FeedFrame,
    Happened,
    Sampled,
    SelfTested,
    Snapshot,
    TaskChanged,
    TaskGone,
)
from nexa_node.contract.nodes import Cluster, TaskCounts
from nexa_node.core.authorization import authorize
from nexa_node.services.access.view import View

QUEUE_MAX = 1000

_Kind = Literal["agent", "task", "event", "alert", "cluster", "sample", "selftest"]
Topic = tuple[_Kind, str]
"""What a change is about: of two about the same, the newer is enough."""


class Subscriber:
    """What one console has not read yet."""

    def __init__(self, identity: Identity) -> None:
        """Begin with nothing."""
        self.identity = identity
        self.waiting: dict[Topic, Change] = {}
        self.news = asyncio.Event()
        self.overflowed = False
        self.ended: NexaError | None = None
        self.shown: set[str] | None = None
        """Ids of the tasks it was told of; None of one from whom nothing is hidden."""
        self.cluster: Cluster | None = None
        """As it was told last, if something is hidden from it."""

    def tell(self, topic: Topic, change: Change) -> None:
        """Queue a change, in place of an older one about the same.

        It goes to the end: what was queued meanwhile may be about its namesake.
        """
        self.waiting.pop(topic, None)
        if len(self.waiting) >= QUEUE_MAX:
            self.overflowed = True
            self.waiting.clear()
        if not self.overflowed:
            self.waiting[topic] = change
        self.news.set()

    def end(self, why: NexaError | None) -> None:
        """Let the stream end: with an error, or as one that fell behind."""
        self.ended, self.overflowed = why, True
        self.news.set()


class Feed:
    """Everybody who watches."""

    def __init__(
        self,
        *,
        snapshot: Callable[[Identity], Snapshot],
        counts: Callable[[], TaskCounts],
        view: Callable[[Identity], View] | None = None,
    ) -> None:
        """Begin with nobody.

        Args:
            snapshot: Makes a subscriber's first frame, from memory.
            counts: Of tasks, now. Sent along with changes: those that were counted when
                a change was queued may be older than what was sent since.
            view: What somebody may see, asked again for every frame; without it, all.
        """
        self._snapshot = snapshot
        self._counts = counts
        self._view = view
        self._subscribers: set[Subscriber] = set()
        self._opened: list[Callable[[], object]] = []
        self._closed: list[Callable[[str], object]] = []

    def on_opened(self, listener: Callable[[], object]) -> None:
        """Have `listener` told of everybody who begins to watch."""
        self._opened.append(listener)

    def on_closed(self, listener: Callable[[str], object]) -> None:
        """Have `listener` told why somebody watches no more: normal, slow, ended."""
        self._closed.append(listener)

    @property
    def subscribers(self) -> int:
        """How many watch."""
        return len(self._subscribers)

    def tell(self, change: Change) -> None:
        """Pass a change on to everybody; its `seq` does not matter."""
        topic = _topic(change)
        for subscriber in self._subscribers:
            subscriber.tell(topic, change)

    def end(self, identity_id: str, why: str) -> None:
        """End what watches with a token that is over."""
        for subscriber in self._subscribers:
            who = subscriber.identity
            if identity_id in (who.id, who.session):
                subscriber.end(Unauthorized(why, remedy="log in again: nexa login"))

    def changed(self, identity: Identity) -> None:
        """Go by what somebody may from now on."""
        for subscriber in self._subscribers:
            known = subscriber.identity
            if known.id == identity.id:
                subscriber.identity = msgspec.structs.replace(
                    identity,
                    generation=known.generation,
                    session=known.session,
                    expires=known.expires,
                )

    def retired(self, identity_id: str, generation: int, why: str) -> None:
        """End what watches with a secret older than that generation of its token."""
        for subscriber in self._subscribers:
            who = subscriber.identity
            if who.id == identity_id and who.generation < generation:
                subscriber.end(Unauthorized(why, remedy="log in again: nexa login"))

    def end_all(self, error: NexaError) -> None:
        """End everybody: the node goes."""
        for subscriber in self._subscribers:
            subscriber.end(error)

    async def stream(self, identity: Identity) -> AsyncIterator[FeedFrame]:
        """One `Snapshot` with seq 0, then changes; ends when the caller is too slow.

        Raises:
            Unauthorized: The caller's token was revoked or expired meanwhile.
            Draining: The node goes.
        """
        subscriber = Subscriber(identity)
        self._subscribers.add(subscriber)
        for opened in self._opened:
            opened()
        try:
            yield self._first(subscriber)
            seq = 0
            while True:
                await subscriber.news.wait()
                if subscriber.overflowed:
                    if subscriber.ended is not None:
                        raise subscriber.ended
                    return
                change = _next(subscriber)
                if change is None:
                    continue
                seen = self._seen(subscriber, change)
                if seen is None:
                    continue
                seq += 1
                yield self._stamped(subscriber, seen, seq)
        finally:
            self._subscribers.discard(subscriber)
            reason = "ended" if subscriber.ended is not None else "normal"
            if subscriber.overflowed and subscriber.ended is None:
                reason = "slow"
            for closed in self._closed:
                closed(reason)

    def _first(self, subscriber: Subscriber) -> Snapshot:
        snapshot = msgspec.structs.replace(self._snapshot(subscriber.identity), seq=0)
        view = self._narrow(subscriber)
        if view is None:
            return snapshot
        told = view.snapshot(snapshot)
        subscriber.shown = {task.id for task in told.tasks}
        subscriber.cluster = told.cluster
        return told

    def _seen(self, subscriber: Subscriber, change: Change) -> Change | None:
        """What a subscriber is told of a change, as far as it may see now."""
        view = self._narrow(subscriber)
        if view is None:
            return change
        if not authorize(subscriber.identity, "feed").allowed:
            return None
        shown = subscriber.shown = subscriber.shown or set()
        if isinstance(change, TaskGone):
            if change.id not in shown:
                return None
            shown.discard(change.id)
        told = view.change(change)
        if isinstance(told, TaskChanged):
            shown.add(told.task.id)
        if isinstance(told, ClusterChanged):
            if told.cluster == subscriber.cluster:
                return None  # what changed is hidden: that it did is no news, either
            subscriber.cluster = told.cluster
        return told

    def _narrow(self, subscriber: Subscriber) -> View | None:
        """The view of somebody from whom something is hidden; None of the others."""
        if self._view is None:
            return None
        view = self._view(subscriber.identity)
        return None if view.whole else view

    def _stamped(self, subscriber: Subscriber, change: Change, seq: int) -> Change:
        if isinstance(change, TaskChanged | Sampled):
            view = self._narrow(subscriber)
            counts = self._counts() if view is None else view.counts()
            return msgspec.structs.replace(change, seq=seq, counts=counts)
        return msgspec.structs.replace(change, seq=seq)


def _next(subscriber: Subscriber) -> Change | None:
    if not subscriber.waiting:
        subscriber.news.clear()
        return None
    topic = next(iter(subscriber.waiting))
    return subscriber.waiting.pop(topic)


def _topic(change: Change) -> Topic:
    """Of two changes of one topic the newer says it all."""
    match change:
        case AgentChanged(agent=agent):
            topic = "agent", f"{agent.namespace}.{agent.id}"
        case AgentGone(id=key, namespace=namespace):
            topic = "agent", f"gone.{namespace}.{key}"
        case TaskChanged(task=task):
            topic = "task", task.id
        case TaskGone(id=key):
            topic = "task", key
        case Happened(event=event):
            topic = "event", event.id
        case AlertChanged() | AlertGone():
            topic = "alert", _fingerprint(change)
        case ClusterChanged() | Sampled() | SelfTested():
            topic = _ONLY_ONE[type(change)], ""
        case _:
            assert_never(change)
    return topic


_ONLY_ONE: dict[type, _Kind] = {
    ClusterChanged: "cluster",
    Sampled: "sample",
    SelfTested: "selftest",
}


def _fingerprint(change: AlertChanged | AlertGone) -> str:
    if isinstance(change, AlertGone):
        return change.fingerprint
    return change.alert.fingerprint
