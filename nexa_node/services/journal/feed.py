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
from nexa_node.contract.nodes import TaskCounts

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
    ) -> None:
        """Begin with nobody.

        Args:
            snapshot: Makes a subscriber's first frame, from memory.
            counts: Of tasks, now. Sent along with changes: those that were counted when
                a change was queued may be older than what was sent since.
        """
        self._snapshot = snapshot
        self._counts = counts
        self._subscribers: set[Subscriber] = set()

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
            if subscriber.identity.id == identity_id:
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
        try:
            yield msgspec.structs.replace(self._snapshot(identity), seq=0)
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
                seq += 1
                yield self._stamped(change, seq)
        finally:
            self._subscribers.discard(subscriber)

    def _stamped(self, change: Change, seq: int) -> Change:
        if isinstance(change, TaskChanged | Sampled):
            return msgspec.structs.replace(change, seq=seq, counts=self._counts())
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
        case AgentGone(id=key):
            topic = "agent", f"gone.{key}"
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
