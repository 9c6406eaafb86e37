"""Notifying: who is told of which alerts, now, and by which node.

    await notifier.told(alerts)   # after every evaluation, with all alerts there are

One notifier is the cluster's: it works on the node that evaluates the cluster's rules,
and what it told is in the cluster's store, so that the next one goes on where it
stopped. Another one is the node's own: it works always and needs nobody else.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from nexa_node.contract.alerts import Alert
from nexa_node.contract.errors import Conflict, NexaError
from nexa_node.core.alerting.notifying.groups import Flush, Groups
from nexa_node.core.alerting.notifying.routes import Route
from nexa_node.core.alerting.notifying.tracks import Track, decide, track_key
from nexa_node.services.alerting.delivering import Around, Outbox, Receiver

LOOK_S = 0.25
"""How long it takes at most to notice that a group is due, or that control changed."""

Escalated = Callable[[str, datetime], None]


class Told(Protocol):
    """Whoever is to hear of alerts."""

    async def told(self, alerts: Sequence[Alert]) -> None:
        """Take in all alerts there are. Idempotent; raises nothing."""
        ...


class Notifier:
    """Tells receivers of alerts, by routes."""

    def __init__(
        self,
        routes: Sequence[Route],
        outbox: Outbox,
        receivers: Sequence[Receiver],
        *,
        around: Around,
        is_ours: Callable[[], bool],
        runbooks: str = "",
    ) -> None:
        """Do nothing before `run`.

        Args:
            routes: Which alerts go to whom.
            outbox: Delivers.
            receivers: All there are.
            around: Clock and journal.
            is_ours: Whether this node is the one to notify, asked often.
            runbooks: What `nexa://runbook/` becomes in notifications.
        """
        self._routes = tuple(routes)
        self._outbox = outbox
        self._hearers = {one.name: one.hearer for one in receivers}
        self._clock, self._journal = around.clock, around.journal
        self._is_ours = is_ours
        self._runbooks = runbooks
        self._groups = Groups(self._routes, runbooks=runbooks)
        self._latest: Sequence[Alert] | None = None
        self._ready = False
        self._turn = asyncio.Lock()
        self._escalated: list[Escalated] = []

    def on_escalated(self, tell: Escalated) -> None:
        """Have `tell` called with the fingerprint of an alert that was escalated."""
        self._escalated.append(tell)

    async def told(self, alerts: Sequence[Alert]) -> None:
        """Take in all alerts there are; tells at once what is to be told at once."""
        self._latest = alerts
        if self._ready and self._is_ours():
            async with self._turn:
                self._take_in()
                await self._flush()

    async def run(self) -> None:
        """Notify whenever it is this node's to do, for ever. A service's loop."""
        while True:
            if self._is_ours():
                await self._notify()
            await self._clock.sleep(LOOK_S)

    async def _notify(self) -> None:
        try:
            tracks = await self._outbox.load()
        except NexaError:
            return  # the store does not answer: soon again
        self._adopt(tracks)
        try:
            async with asyncio.TaskGroup() as group:
                delivering = group.create_task(self._outbox.run())
                self._ready = True
                while self._is_ours():
                    async with self._turn:
                        self._take_in()
                        await self._flush()
                    await self._outbox.look()
                    await self._clock.sleep(LOOK_S)
                self._ready = False
                delivering.cancel()
        finally:
            self._ready, self._latest = False, None

    def _adopt(self, tracks: Sequence[Track]) -> None:
        """Know what was told before: what fired then fires until it is known better."""
        self._groups = Groups(self._routes, runbooks=self._runbooks)
        now, tick = self._clock.now(), self._clock.monotonic()
        for track in tracks:
            if track.receiver in self._hearers and track.firing:
                self._groups.adopt(track.group, track.notices, now=now, tick=tick)

    def _take_in(self) -> None:
        if self._latest is None:
            return
        latest, self._latest = self._latest, None
        self._groups.told(latest, now=self._clock.now(), tick=self._clock.monotonic())

    async def _flush(self) -> None:
        tick = self._clock.monotonic()
        for flush in self._groups.due(tick):
            try:
                await self._decide(flush)
            except Conflict:
                self._groups.again(flush, tick)
                await self._reload()
            except NexaError:
                self._groups.again(flush, tick)
            except Exception as error:  # noqa: BLE001 - noted; other groups go on
                self._note_fault(flush, error)
                self._groups.done(flush, tick)
            else:
                self._groups.done(flush, tick)

    async def _decide(self, flush: Flush) -> None:
        now = self._clock.now()
        for name in flush.route.receivers:
            hearer = self._hearers.get(name)
            if hearer is None:
                continue
            before = self._outbox.get(track_key(name, flush.key))
            track = decide(before, flush, hearer, now=now)
            if track is not None:
                await self._outbox.commit(track)
                self._note_escalation(track, now)

    async def _reload(self) -> None:
        """Another node decided: know what it knows."""
        try:
            await self._outbox.load()
        except NexaError:
            return  # the flush is tried again soon, and refused again until it is read

    def _note_fault(self, flush: Flush, error: Exception) -> None:
        self._journal.record(
            "node.fault",
            subject="service/notifications",
            message=f"nobody could be told of {flush.key[:200]}:"
            f" {type(error).__name__}",
            severity="critical",
        )

    def _note_escalation(self, track: Track, now: datetime) -> None:
        if track.job is None or track.job.reason != "escalated":
            return
        names = ", ".join(sorted({one.name for one in track.notices}))
        self._journal.record(
            "alert.escalated",
            subject=f"receiver/{track.receiver}",
            message=f"nobody acknowledged {names[:200]}: {track.receiver} is told",
            severity="warning",
        )
        for notice in track.notices:
            for tell in self._escalated:
                tell(notice.fingerprint, now)
