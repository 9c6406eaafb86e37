"""What became of alerts: told to the journal at once, to the log as soon as it can be.

Each change is told once, by the node whose write it was. What can't be stored waits
here, in order; when there is too much of it, the oldest goes.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import get_args

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import AlertChange, AlertSeverity
from nexa_node.contract.errors import NexaError
from nexa_node.contract.ids import time_ordered_id
from nexa_node.core.alerting import chronicle
from nexa_node.ports import AlertLog, Clock
from nexa_node.services.api import Journal

WAITING_MAX = 5000
RETRY_S = 1.0
_KINDS: dict[str, str] = {
    "firing": "alert.fired",
    "resolved": "alert.resolved",
    "acknowledged": "alert.acknowledged",
    "unacknowledged": "alert.unacknowledged",
    "reopened": "alert.reopened",
    "dismissed": "alert.dismissed",
    "escalated": "alert.escalated",
    "flapping": "alert.flapping",
    "steady": "alert.steady",
}
"""What is an event besides; the rest is in the alert's history alone."""
_EVENT_SEVERITY: dict[AlertSeverity, str] = {
    "critical": "critical",
    "error": "critical",
    "warning": "warning",
    "info": "info",
    "none": "debug",
}
_CHANGES = frozenset(get_args(AlertChange.__annotations__["change"]))


class History:
    """Writes down what becomes of alerts."""

    def __init__(
        self,
        log: AlertLog,
        *,
        clock: Clock,
        journal: Journal,
        entropy: Callable[[int], bytes],
    ) -> None:
        """Begin with nothing unsaved; `run` saves."""
        self._log = log
        self._clock = clock
        self._journal = journal
        self._entropy = entropy
        self._unsaved: deque[AlertChange] = deque(maxlen=WAITING_MAX)
        self._news = asyncio.Event()

    def wrote(
        self, before: AlertRecord | None, after: AlertRecord | None, by: str
    ) -> None:
        """Take in a change of the board that this node made; `Board.on_write`."""
        of = after or before
        if of is None:
            return
        for change, text in chronicle.told(before, after):
            told = "unacknowledged" if change == "reopened" and by else change
            self._add(of, told, by, text)

    def unsaved(self, fingerprint: str | None = None) -> list[AlertChange]:
        """What is not in the log yet, the newest first."""
        return [
            one
            for one in reversed(self._unsaved)
            if fingerprint in (None, one.fingerprint)
        ]

    async def run(self) -> None:
        """Save what is told, for ever. A service's loop."""
        while True:
            await self._news.wait()
            if await self.save():
                self._news.clear()
            else:
                await self._clock.sleep(RETRY_S)

    async def save(self) -> bool:
        """Store all that waits, in order; False if the store refused."""
        while self._unsaved:
            first = self._unsaved[0]
            try:
                await self._log.append(first)
            except NexaError:
                return False
            if self._unsaved and self._unsaved[0] is first:
                self._unsaved.popleft()
        return True

    async def read(
        self,
        *,
        fingerprint: str | None,
        name: str | None,
        since: float | None,
        before: int | None,
        limit: int,
    ) -> tuple[list[AlertChange], int | None]:
        """A page of the log, the newest first, and where the next one begins.

        Raises:
            Unavailable: The store does not answer.
        """
        found: list[AlertChange] = []
        at = before
        for _ in range(SCANS_MAX):
            lines = await self._log.read(fingerprint=fingerprint, before=at, limit=SCAN)
            for position, line in lines:
                if since is not None and line.time.timestamp() < since:
                    return found, None
                at = position
                if name is None or line.name == name:
                    found.append(line)
                if len(found) == limit:
                    return found, at
            if len(lines) < SCAN:
                return found, None
        return found, at

    def _add(self, of: AlertRecord, change: str, by: str, text: str) -> None:
        alert, now = of.alert, self._clock.now()
        assert change in _CHANGES
        line = AlertChange(
            id=time_ordered_id(int(now.timestamp() * 1000), self._entropy(10)),
            time=now,
            fingerprint=alert.fingerprint,
            name=alert.name,
            severity=alert.severity,
            change=change,  # pyright: ignore[reportArgumentType]  # checked above
            by=by,
            text=text,
            labels=dict(alert.labels) if change == "firing" else {},
        )
        self._unsaved.append(line)
        self._news.set()
        kind = _KINDS.get(change)
        if kind is not None and not (alert.severity == "none" and not by):
            self._record(kind, of, line)

    def _record(self, kind: str, of: AlertRecord, line: AlertChange) -> None:
        alert = of.alert
        grave = kind in ("alert.fired", "alert.escalated", "alert.reopened")
        who = f" by {line.by}" if line.by else ""
        text = f": {line.text}" if line.text else ""
        self._journal.record(
            kind,
            subject=f"alert/{alert.fingerprint}",
            message=f"{alert.name} {line.change}{who}{text}",
            severity=_EVENT_SEVERITY[alert.severity] if grave else "info",
            data={"labels": dict(alert.labels), "by": line.by},
        )


SCAN = 500
"""Lines read at once."""
SCANS_MAX = 20
"""For one page: a filter that nothing meets reads no more than that."""
