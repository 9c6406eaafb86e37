"""Keeping the board: what evaluations say is put on it, and time and people are taken in.

Every change is a pure function of the record as it is, written by compare-and-set: the
loser of a race decides anew. What differs from the store by a value alone is shown here
at once and stored each minute.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime

import msgspec
import structlog

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.errors import NexaError
from nexa_node.core.alerting.keeping import (
    REFRESH_S,
    Covers,
    Origin,
    differs,
    dropped,
    ended,
    settled,
    taken,
    vanished,
)
from nexa_node.core.alerting.life import Active
from nexa_node.ports import Clock
from nexa_node.services.alerting.board import Board, Turn
from nexa_node.services.alerting.minding import Minding

AT_ONCE = 16
"""Writes under way."""
UNSEEN_MAX = 500
"""Alerts that are over and unseen; more of them, and the oldest leave the board."""

log = structlog.get_logger("nexa_node.alerting")

OriginOf = Callable[[str, Active], Origin]
"""By the rule's name, and the alert."""
ByRule = Mapping[str, Mapping[str, Active]]


class Keeper:
    """Writes the board."""

    def __init__(self, board: Board, minding: Minding, *, clock: Clock) -> None:
        """Keep `board`."""
        self._board = board
        self._minding = minding
        self._clock = clock
        self._stored_at: dict[str, float] = {}
        self._marks: dict[str, datetime] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    def mark_escalated(self, fingerprint: str, at: datetime) -> None:
        """Somebody else was told, since nobody acknowledged it."""
        self._marks[fingerprint] = at

    async def apply(
        self,
        before: ByRule,
        active: ByRule,
        over: Mapping[str, Iterable[Active]],
        origin: OriginOf,
    ) -> None:
        """Put what an evaluation gave on the board.

        Args:
            before: What was on before it, by the rule's name and fingerprint.
            active: What is on now.
            over: What is over since this evaluation.
            origin: Where alerts come from.
        """
        works: list[Awaitable[None]] = []
        for rule, alerts in active.items():
            works += [self._put(each, origin(rule, each)) for each in alerts.values()]
        for rule, ends in over.items():
            works += [self._put(each, origin(rule, each)) for each in ends]
        for rule, alerts in before.items():
            still = active.get(rule, {})
            works += [
                self._write(each.fingerprint, _vanish)
                for each in alerts.values()
                if each.condition == "pending" and each.fingerprint not in still
            ]
        if works:
            await asyncio.gather(*works)

    async def end(self, record: AlertRecord) -> None:
        """End what no rule speaks of any more."""

        def turn(before: AlertRecord | None) -> AlertRecord | None:
            if before is None or before.alert.state == "resolved":
                return before
            if before.alert.state == "pending":
                return vanished(before)
            return ended(before, self._clock.now())

        await self._write(record.alert.fingerprint, turn)

    async def settle(self, is_mine: Callable[[AlertRecord], bool]) -> None:
        """Take time, silences and inhibition in, of the records that are this node's."""
        records = self._board.records()
        mine = [record for record in records if is_mine(record)]
        if not mine:
            self._marks.clear()
            return
        covers = self._minding.covers(records)
        too_many = {one.alert.fingerprint for one in dropped(mine, UNSEEN_MAX)}
        marks, self._marks = self._marks, {}
        works: list[Awaitable[None]] = []
        for record in mine:
            key = record.alert.fingerprint
            turn = self._settling(covers[key], marks.get(key), key in too_many)
            if turn(record) != record:
                works.append(self._write(key, turn))
        if works:
            await asyncio.gather(*works)
        known = {record.alert.fingerprint for record in records}
        for gone in self._stored_at.keys() - known:
            del self._stored_at[gone]

    def _settling(self, covers: Covers, mark: datetime | None, drop: bool) -> Turn:
        now = self._clock.now()

        def turn(before: AlertRecord | None) -> AlertRecord | None:
            if before is None or (drop and before.alert.unseen):
                return None
            after = settled(before, covers, now)
            if after is None or mark is None or after.alert.ack is not None:
                return after
            if after.alert.escalated is None and after.alert.state == "firing":
                alert = msgspec.structs.replace(after.alert, escalated=mark)
                return msgspec.structs.replace(after, alert=alert)
            return after

        return turn

    async def _put(self, active: Active, origin: Origin) -> None:
        key, now = active.fingerprint, self._clock.now()

        def turn(before: AlertRecord | None) -> AlertRecord:
            after = taken(before, active, origin, now)
            if before is None:
                silenced = self._minding.silenced(after.alert)
                alert = msgspec.structs.replace(after.alert, silenced_by=silenced)
                after = msgspec.structs.replace(
                    after,
                    alert=alert,
                    silenced_while=bool(silenced) and active.is_on,
                )
            return after

        known = self._board.record(key)
        after = turn(known)
        young = self._clock.monotonic() - self._stored_at.get(key, 0.0) < REFRESH_S
        if differs(known, after, fresh=young):
            await self._write(key, turn)
        else:
            self._board.show(after)

    async def _write(self, key: str, turn: Turn) -> None:
        async with self._slots:
            try:
                await self._board.change(key, turn, may_wait=True)
            except NexaError as error:
                log.warning("an alert was not written", alert=key, cause=error.message)
                return
        self._stored_at[key] = self._clock.monotonic()


def _vanish(before: AlertRecord | None) -> AlertRecord | None:
    if before is None or before.alert.state != "pending":
        return before
    return vanished(before)
