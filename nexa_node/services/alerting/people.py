"""What people do to alerts, from any node: mind them, write down, dismiss."""

from collections.abc import Callable
from datetime import timedelta

import msgspec

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import Ack, Alert, NewAck, NewNote, Note
from nexa_node.contract.errors import Conflict, Invalid, NotFound
from nexa_node.core.alerting import board as rules
from nexa_node.ports import Clock
from nexa_node.services.alerting.board import Board, Turn

LONGEST_S = 30 * 86_400
"""No acknowledgement with an end lasts longer."""
_change = msgspec.structs.replace
PersonTurn = Callable[[AlertRecord], AlertRecord]
"""What somebody makes of a record that is there."""


class People:
    """Acknowledgements, notes, dismissals."""

    def __init__(self, board: Board, *, clock: Clock, node: str) -> None:
        """Write them on `board`; what is this node's own alert, even without a store."""
        self._board = board
        self._clock = clock
        self._node = node

    async def ack(self, fingerprint: str, wanted: NewAck, *, by: str) -> Alert:
        """Mind an alert.

        Of two who do so at the same time the second is told whose it is, and changes
        nothing. Who finds it acknowledged and asks all the same takes it over.

        Raises:
            NotFound: It is not on the board.
            Conflict: It is over.
            Invalid: The note is too long, or the time none.
        """
        seconds = wanted.duration_s
        if seconds is not None and not 0 < seconds <= LONGEST_S:
            raise Invalid(
                "an acknowledgement lasts more than no time and at most 30 days",
                details={"field": "duration_s"},
            )
        now = self._clock.now()
        until = None if seconds is None else now + timedelta(seconds=seconds)
        ack = Ack(by=by, at=now, until=until, note=wanted.note)
        seen = self._board.alert(fingerprint).ack

        def turn(record: AlertRecord) -> AlertRecord:
            there = record.alert.ack
            if there is not None and there != seen and there.by != by:
                return record  # somebody was first, and the caller hears who
            return _change(record, alert=rules.acknowledged(record.alert, ack))

        return await self._do(fingerprint, turn, by)

    async def unack(self, fingerprint: str, *, by: str) -> Alert:
        """Take an acknowledgement back; no error if there is none."""

        def turn(record: AlertRecord) -> AlertRecord:
            return _change(record, alert=rules.reopened(record.alert))

        return await self._do(fingerprint, turn, by)

    async def note(self, fingerprint: str, wanted: NewNote, *, by: str) -> Alert:
        """Write something down.

        Raises:
            Invalid: It is empty or too long.
        """
        note = Note(by=by, at=self._clock.now(), text=wanted.text)

        def turn(record: AlertRecord) -> AlertRecord:
            if note in record.alert.notes:
                return record
            return _change(record, alert=rules.noted(record.alert, note))

        return await self._do(fingerprint, turn, by)

    async def dismiss(self, fingerprint: str, *, by: str) -> Alert:
        """Say that one that fired and cleared unseen is seen.

        Raises:
            Conflict: It is still on.
        """

        def turn(record: AlertRecord) -> AlertRecord:
            alert = record.alert
            if alert.state != "resolved":
                raise Conflict(
                    f"{alert.name} is {alert.state}: only what is over is dismissed",
                    remedy="acknowledge it: nexa alerts ack FINGERPRINT",
                )
            return _change(record, alert=_change(alert, unseen=False))

        return await self._do(fingerprint, turn, by)

    async def _do(self, fingerprint: str, turn: PersonTurn, by: str) -> Alert:
        self._board.alert(fingerprint)
        known = self._board.record(fingerprint)
        own = known is not None and known.node == self._node
        gone = False

        def checked(before: AlertRecord | None) -> AlertRecord | None:
            nonlocal gone
            gone = before is None
            return None if before is None else turn(before)

        whole: Turn = checked
        after = await self._board.change(fingerprint, whole, by=by, may_wait=own)
        if gone or after is None:
            raise NotFound(
                f"alert {fingerprint} has just left the board",
                remedy="nexa alerts history",
            )
        return after.alert
