"""Delivering: every notification is a durable job, tried until it arrives.

A job is in the record of its receiver and group (`core.alerting.notifying.tracks`),
written before it is sent and after each attempt. Whoever takes over reads the records
and goes on; a receiver that hears of something twice hears the same id twice. When a
group changes before its notification arrived, the newer one replaces the older: a
receiver that was away for an hour hears how things are, not sixty times how they were.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from nexa_node.contract.errors import Conflict, NexaError
from nexa_node.contract.notifications import (
    RECEIVER_KINDS,
    Delivery,
    DeliveryState,
    ReceiverKind,
)
from nexa_node.core.alerting.notifying.pacing import Pace, retry_in_s
from nexa_node.core.alerting.notifying.tracks import Hearer, Track, is_old
from nexa_node.ports import Clock, Deliveries, Sender, Sent, Versioned
from nexa_node.services.api import Journal

NAMES_MAX = 20
"""Names of alerts in one entry of the log."""
DETAIL_MAX = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Somebody who is notified, and how."""

    name: str
    kind: ReceiverKind
    sender: Sender
    send_resolved: bool = True
    per_minute: int = 30
    retry_s: float = 86_400.0

    @property
    def hearer(self) -> Hearer:
        """What matters to the decision whether it is told."""
        return Hearer(name=self.name, kind=self.kind, send_resolved=self.send_resolved)


class Counts:
    """Attempts by kind of receiver and outcome; every one is there from the start."""

    def __init__(self) -> None:
        """Nothing was sent."""
        self.by: dict[tuple[str, str], int] = {
            (kind, outcome): 0
            for kind in (*RECEIVER_KINDS, "heartbeat", "alertmanager")
            for outcome in ("success", "error")
        }

    def add(self, integration: str, *, success: bool) -> None:
        """Count one attempt."""
        self.by[integration, "success" if success else "error"] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What everything that notifies needs."""

    clock: Clock
    journal: Journal
    rng: random.Random
    node: str
    """This node's name."""
    external_url: Callable[[], str]
    """Where people reach it."""


class Outbox:
    """The jobs of one node; only one of a cluster's nodes may run it."""

    def __init__(
        self,
        receivers: Mapping[str, Receiver],
        deliveries: Deliveries,
        around: Around,
        counts: Counts,
    ) -> None:
        """Know of no jobs before `load`."""
        self._receivers = receivers
        self._deliveries = deliveries
        self._around = around
        self._clock, self._journal = around.clock, around.journal
        self._counts = counts
        self._tracks: dict[str, Versioned[Track]] = {}
        self._unsaved: set[str] = set()
        self._busy: set[str] = set()
        self._wake = {name: asyncio.Event() for name in receivers}
        self._paces = {name: Pace(one.per_minute) for name, one in receivers.items()}

    async def load(self) -> list[Track]:
        """Read all records anew."""
        self._tracks = {one.value.key: one for one in await self._deliveries.tracks()}
        self._unsaved.clear()
        return [one.value for one in self._tracks.values()]

    def get(self, key: str) -> Track | None:
        """One record, as it was written last."""
        found = self._tracks.get(key)
        return None if found is None else found.value

    def waiting(self) -> tuple[int, float]:
        """How many notifications have not arrived yet, and for how long, in seconds."""
        now = self._clock.now()
        ages = [
            (now - one.value.job.created).total_seconds()
            for one in self._tracks.values()
            if one.value.job is not None
        ]
        return len(ages), max(ages, default=0.0)

    async def commit(self, track: Track) -> None:
        """Store that somebody is to be told; it is sent as soon as it can be.

        Raises:
            Conflict: Another node decided first: read the records again.
            Unavailable: It was not stored.
        """
        before = self._tracks.get(track.key)
        revision = await self._deliveries.put(
            track, revision=0 if before is None else before.revision
        )
        self._tracks[track.key] = Versioned(track, revision)
        self._unsaved.discard(track.key)
        if before is not None and before.value.job is not None:
            await self._log(before.value, "superseded", "the group changed")
        if track.job is not None:
            self._stir(track.receiver)
            await self._log(track, "waiting", "")

    async def run(self) -> None:
        """Deliver what is due, for ever; each receiver at its own pace."""
        async with asyncio.TaskGroup() as group:
            for receiver in self._receivers.values():
                group.create_task(self._work(receiver))

    async def look(self) -> None:
        """Wake who has something due, save what could not be saved, forget the old."""
        for key in list(self._unsaved):
            await self._save(key)
        now = self._clock.now()
        for key, one in list(self._tracks.items()):
            if is_old(one.value, now):
                del self._tracks[key]
            elif one.value.job is not None and one.value.job.next_at <= now:
                self._stir(one.value.receiver)

    def _stir(self, receiver: str) -> None:
        if receiver in self._wake:
            self._wake[receiver].set()

    async def _work(self, receiver: Receiver) -> None:
        wake = self._wake[receiver.name]
        while True:
            wake.clear()
            key = self._next(receiver)
            if key is None:
                await wake.wait()
            else:
                await self._attempt(receiver, key)

    def _next(self, receiver: Receiver) -> str | None:
        """The most urgent job of a receiver that may be called now."""
        if self._paces[receiver.name].wait_s(self._clock.monotonic()) > 0:
            return None
        now = self._clock.now()
        due = [
            one.value
            for one in self._tracks.values()
            if one.value.receiver == receiver.name
            and one.value.job is not None
            and one.value.job.next_at <= now
        ]
        return min(due, key=lambda one: one.urgency).key if due else None

    async def _attempt(self, receiver: Receiver, key: str) -> None:
        track = self._tracks[key].value
        assert track.job is not None
        self._paces[receiver.name].called(self._clock.monotonic())
        sent = await self._send(receiver, track)
        self._counts.add(receiver.kind, success=sent.delivered)
        now = self._clock.now()
        after = _after(track, sent, receiver, now, self._around.rng)
        there = self._tracks.get(key)
        if (
            there is None
            or there.value.job is None
            or (there.value.job.id != track.job.id)
        ):  # superseded meanwhile: what is newer stands
            if sent.delivered:
                await self._log(after, "delivered", sent.detail, of=track)
            return
        self._tracks[key] = Versioned(after, there.revision)
        await self._save(key)
        await self._tell(track, after, sent)

    async def _send(self, receiver: Receiver, track: Track) -> Sent:
        try:
            return await receiver.sender.send(
                track.notification(external_url=self._around.external_url())
            )
        except Exception as error:  # noqa: BLE001 - noted; other notifications go on
            self._journal.record(
                "node.fault",
                subject=f"receiver/{receiver.name}",
                message=f"a notification could not be made: {type(error).__name__}",
                severity="critical",
            )
            return Sent(False, f"a fault of ours: {type(error).__name__}")

    async def _save(self, key: str) -> None:
        """Store a record; if it can't be now, later: a crash then tells once more."""
        there = self._tracks.get(key)
        self._unsaved.discard(key)
        if there is None:
            return
        try:
            revision = await self._deliveries.put(there.value, revision=there.revision)
        except Conflict:
            await self._reread(key)
        except NexaError:
            self._unsaved.add(key)
        else:
            now_there = self._tracks.get(key)
            if now_there is not None and now_there.revision == there.revision:
                self._tracks[key] = Versioned(now_there.value, revision)
                if now_there.value is not there.value:
                    self._unsaved.add(key)

    async def _reread(self, key: str) -> None:
        """Another node wrote it: what it wrote stands."""
        try:
            found = await self._deliveries.tracks()
        except NexaError:
            self._unsaved.add(key)
            return
        for one in found:
            if one.value.key == key:
                self._tracks[key] = one

    async def _tell(self, track: Track, after: Track, sent: Sent) -> None:
        assert track.job is not None
        if sent.delivered:
            await self._log(after, "delivered", sent.detail, of=track)
            return
        if after.job is not None:
            await self._log(after, "retrying", sent.detail)
            if after.job.attempts > 1:
                return
        else:
            await self._log(after, "failed", sent.detail, of=track)
        ended = after.job is None
        self._journal.record(
            "notification.failed" if ended else "notification.retrying",
            subject=f"receiver/{track.receiver}",
            message=f"{track.receiver} was not notified: {sent.detail[:DETAIL_MAX]}",
            severity="critical" if ended else "warning",
            data={"delivery": track.job.id, "group": track.group[:DETAIL_MAX]},
        )

    async def _log(
        self,
        track: Track,
        state: DeliveryState,
        detail: str,
        *,
        of: Track | None = None,
    ) -> None:
        """Append to the log; what can't be is lost from the log alone."""
        job = (of or track).job
        kind = (
            self._receivers[track.receiver].kind
            if (track.receiver in self._receivers)
            else "webhook"
        )
        if job is None:
            return
        entry = Delivery(
            id=job.id,
            receiver=track.receiver,
            kind=kind,
            reason=job.reason,
            state=state,
            at=self._clock.now(),
            created=job.created,
            group=track.group[: 10 * DETAIL_MAX],
            alerts=tuple(dict.fromkeys(one.name for one in track.notices))[:NAMES_MAX],
            firing=sum(one.status == "firing" for one in track.notices),
            resolved=sum(one.status == "resolved" for one in track.notices),
            attempts=job.attempts + (of is not None),
            detail=detail[:DETAIL_MAX],
            next_attempt=job.next_at if state == "retrying" else None,
            node=self._around.node,
        )
        try:
            await self._deliveries.note(entry)
        except NexaError:
            self._journal.record(
                "notification.unlogged",
                subject=f"receiver/{track.receiver}",
                message=f"{job.id} is {state}, which could not be logged",
                severity="warning",
            )


def _after(
    track: Track, sent: Sent, receiver: Receiver, now: datetime, rng: random.Random
) -> Track:
    """The record after an attempt."""
    assert track.job is not None
    replace = msgspec.structs.replace
    if sent.delivered:
        return replace(track, job=None, failed=False)
    age_s = (now - track.job.created).total_seconds()
    if not sent.retry or age_s >= receiver.retry_s:
        return replace(track, job=None, failed=True)
    attempts = track.job.attempts + 1
    wait = timedelta(seconds=retry_in_s(attempts, sent.after_s, rng))
    job = replace(track.job, attempts=attempts, next_at=now + wait, detail=sent.detail)
    return replace(track, job=job)
