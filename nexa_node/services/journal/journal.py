"""What happened, told once: stamped here, logged here, stored in the background.

Recording costs no waiting and cannot fail, so a service may say what it did from
anywhere. While the store is away up to 10,000 events wait; over that, debug events go
first, then the oldest, and how many went is told when the store is back.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, get_args

import msgspec
import structlog

from nexa_node.contract.errors import NexaError
from nexa_node.contract.events import Event, Severity
from nexa_node.contract.ids import time_ordered_id
from nexa_node.core.flow import Bucket
from nexa_node.ports import Clock, EventLog

UNSAVED_MAX = 10_000
MESSAGE_MAX = 1000
"""Characters; messages quote foreign text."""
DEBUG_PER_S = 50.0
DEBUG_BURST = 500.0
"""Routine events (a task was assigned, completed) that are kept: more of them nobody
reads, each would cost a synced write, and the tasks' own records tell the same."""
SAVED_AT_ONCE = 64
"""Appended in one go: each alone would wait for the disk."""
RETRY_S = 1.0
_LEVELS: dict[str, int] = {"debug": 10, "info": 20, "warning": 30, "critical": 50}
_SEVERITIES: tuple[Severity, ...] = get_args(Severity)

log: Any = structlog.get_logger("nexa_node.journal")


class EventJournal:
    """`api.Journal` over the store's event log."""

    def __init__(
        self,
        *,
        events: EventLog,
        clock: Clock,
        node: str,
        entropy: Callable[[int], bytes],
        debug_burst: float = DEBUG_BURST,
    ) -> None:
        """Begin with nothing unsaved; `run` saves.

        Args:
            events: Where events are stored.
            clock: Stamps them.
            node: The name of this node, which each event carries.
            entropy: That many random bytes, for ids.
            debug_burst: Routine events kept at once; further ones at `DEBUG_PER_S`.
        """
        self._events = events
        self._clock = clock
        self._node = node
        self._entropy = entropy
        self._unsaved: deque[Event] = deque()
        now = clock.monotonic()
        self._routine = Bucket(DEBUG_PER_S, debug_burst, debug_burst, now)
        self._unsaved_debug = 0
        self._untold = 0
        self._news = asyncio.Event()
        self.dropped = 0
        """Events that never reached the store, since the start."""
        self.thinned = 0
        """Routine events that were too many to be worth keeping, since the start."""

    @property
    def unsaved(self) -> int:
        """How many wait for the store."""
        return len(self._unsaved)

    def record(
        self,
        kind: str,
        *,
        subject: str,
        message: str,
        severity: str = "info",
        data: dict[str, object] | None = None,
    ) -> None:
        """Note one event. Never blocks, never raises; over 10,000 unsaved, debug goes."""
        told = _severity(severity)
        if told == "debug" and self._routine.spend(self._clock.monotonic()) > 0:
            self.thinned += 1
            return
        now = self._clock.now()
        event = Event(
            id=time_ordered_id(int(now.timestamp() * 1000), self._entropy(10)),
            time=now,
            kind=kind,
            severity=told,
            subject=subject,
            message=message[:MESSAGE_MAX],
            node=self._node,
            data=_plain(data),
        )
        log.log(_LEVELS[told], kind, subject=subject, message=event.message)
        self._keep(event)
        self._news.set()

    async def run(self) -> None:
        """Save what is recorded, for ever. A service's loop."""
        while True:
            await self._news.wait()
            if await self.save():
                self._news.clear()
                self._tell_dropped()
            else:
                await self._clock.sleep(RETRY_S)

    async def save(self) -> bool:
        """Store all that waits, oldest first; False if the store refused some of it.

        What is refused waits for the next time.
        """
        while self._unsaved:
            taken = min(SAVED_AT_ONCE, len(self._unsaved))
            batch = [self._unsaved.popleft() for _ in range(taken)]
            self._unsaved_debug -= sum(event.severity == "debug" for event in batch)
            left = batch
            try:
                left = await self._append(batch)
            finally:  # a cancelled save loses nothing either: an id is stored once
                for event in reversed(left):
                    self._unsaved.appendleft(event)
                    self._unsaved_debug += event.severity == "debug"
            if left:
                return False
        return True

    async def _append(self, batch: list[Event]) -> list[Event]:
        """Store `batch`; what the store refused."""
        outcomes = await asyncio.gather(
            *(self._events.append(event) for event in batch), return_exceptions=True
        )
        left: list[Event] = []
        for event, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, NexaError):
                left.append(event)
            elif outcome is not None:
                self.dropped += 1
                log.error("event_not_stored", kind=event.kind, exc_info=outcome)
        return left

    def _keep(self, event: Event) -> None:
        if len(self._unsaved) < UNSAVED_MAX:
            self._unsaved.append(event)
            self._unsaved_debug += event.severity == "debug"
            return
        before = len(self._unsaved)
        if event.severity == "debug":
            self._count_dropped(1)
            return
        if self._unsaved_debug:
            kept = [one for one in self._unsaved if one.severity != "debug"]
            self._unsaved = deque(kept)
            self._unsaved_debug = 0
        else:
            self._unsaved.popleft()
        self._count_dropped(before - len(self._unsaved))
        self._unsaved.append(event)

    def _count_dropped(self, number: int) -> None:
        self.dropped += number
        self._untold += number

    def _tell_dropped(self) -> None:
        if self._untold:
            told, self._untold = self._untold, 0
            self.record(
                "journal.dropped",
                subject=f"node/{self._node}",
                message=f"{told} events were lost while the store did not answer",
                severity="warning",
            )


def _severity(told: str) -> Severity:
    for severity in _SEVERITIES:
        if severity == told:
            return severity
    return "warning"


def _plain(data: dict[str, object] | None) -> dict[str, Any]:
    """What JSON can hold of `data`: what it can't is told by its type alone."""
    if not data:
        return {}
    try:
        return msgspec.to_builtins(data, str_keys=True)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return {str(key): _told(value) for key, value in data.items()}


def _told(value: object) -> Any:
    try:
        return msgspec.to_builtins(value, str_keys=True)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return f"<{type(value).__name__}>"
