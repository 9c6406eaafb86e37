"""The board: every alert there is, on every node, in the store when it can be.

Each node follows the store's records, so it can show them without asking. What a node's
own rules say is kept here while nothing can be stored, shown on this node all the same,
and joined with the store's once it is back (`keeping.merged`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import Alert
from nexa_node.contract.errors import Conflict, NexaError, NotFound, Unavailable
from nexa_node.contract.events import AlertChanged, AlertGone, Change
from nexa_node.core.alerting.board import triage
from nexa_node.core.alerting.keeping import merged
from nexa_node.ports import AlertRecords, Caught, Clock, Removed, Versioned

TRIES = 8
AHEAD_S = 30.0
"""For so long what this node wrote itself goes before what the store tells of it."""

Turn = Callable[[AlertRecord | None], AlertRecord | None]
"""What is to become of a record, None being none; pure, since it may be asked again."""
OnWrite = Callable[[AlertRecord | None, AlertRecord | None, str], object]
"""Told by the node whose write it was: before, after, and who did it, empty: a rule."""


@dataclass(frozen=True, slots=True)
class _Ahead:
    revision: int
    gone: bool
    until: float


class Board:
    """The alerts of the cluster, as this node knows them."""

    def __init__(
        self,
        records: AlertRecords,
        *,
        clock: Clock,
        tell: Callable[[Change], object],
        writable: Callable[[], bool],
    ) -> None:
        """Know nothing yet; `watch` fills it.

        Args:
            records: Where they are kept.
            clock: Stamps changes.
            tell: Told of each change: the console's feed.
            writable: Whether a write could be stored now, from memory.
        """
        self._records = records
        self._clock = clock
        self._tell = tell
        self._writable = writable
        self._stored: dict[str, Versioned[AlertRecord]] = {}
        self._unsaved: dict[str, AlertRecord | None] = {}
        self._fresh: dict[str, Alert] = {}
        self._ahead: dict[str, _Ahead] = {}
        self._told: dict[str, Alert] = {}
        self._on_write: list[OnWrite] = []
        self._on_change: list[Callable[[], object]] = []
        self.caught_up = False
        """Whether all that was in the store at the start is seen."""

    # -- what it knows ---------------------------------------------------------

    def records(self) -> list[AlertRecord]:
        """All of them, in no order."""
        known = {key: seen.value for key, seen in self._stored.items()}
        for key, record in self._unsaved.items():
            if record is None:
                known.pop(key, None)
            else:
                known[key] = record
        return list(known.values())

    def record(self, fingerprint: str) -> AlertRecord | None:
        """One of them."""
        if fingerprint in self._unsaved:
            return self._unsaved[fingerprint]
        seen = self._stored.get(fingerprint)
        return None if seen is None else seen.value

    def alerts(self) -> list[Alert]:
        """What is on the board, in the order of triage, with the newest values."""
        return triage(self._shown(record) for record in self.records())

    def alert(self, fingerprint: str) -> Alert:
        """One alert.

        Raises:
            NotFound: It is not on the board.
        """
        record = self.record(fingerprint)
        if record is None:
            raise NotFound(
                f"no alert {fingerprint[:32]!r} is on the board",
                remedy="nexa alerts list; what is over: nexa alerts history",
            )
        return self._shown(record)

    def on_change(self, listener: Callable[[], object]) -> None:
        """Have `listener` called when anything here changed, whoever did it."""
        self._on_change.append(listener)

    def on_write(self, listener: OnWrite) -> None:
        """Have `listener` told of each change that this node made."""
        self._on_write.append(listener)

    # -- changing it -----------------------------------------------------------

    async def change(
        self, fingerprint: str, turn: Turn, *, by: str = "", may_wait: bool = False
    ) -> AlertRecord | None:
        """Change one record; the loser of a race decides anew by what the winner wrote.

        Args:
            fingerprint: Which.
            turn: What is to become of it; what it raises goes through.
            by: Who does it; empty: its rule.
            may_wait: Keep it here, and store it later, if it can't be stored now.

        Raises:
            Unavailable: It could not be stored, and may not wait.
        """
        if fingerprint in self._unsaved or (may_wait and not self._writable()):
            return self._note(fingerprint, turn, by, may_wait=may_wait)
        try:
            return await self._swap(fingerprint, turn, by)
        except Unavailable:
            if not may_wait:
                raise
        return self._note(fingerprint, turn, by, may_wait=True)

    def show(self, record: AlertRecord) -> None:
        """Show a newer value here, without a write."""
        key = record.alert.fingerprint
        self._fresh[key] = record.alert
        self._look(key)

    async def save(self) -> None:
        """Store what waits for it; what can't be stored goes on waiting."""
        for key in list(self._unsaved):
            if not self._writable():
                return
            mine = self._unsaved.get(key)
            try:
                await self._swap(key, lambda there, mine=mine: _join(mine, there), None)
            except NexaError:
                return
            if self._unsaved.get(key) == mine:
                self._unsaved.pop(key, None)
            self._look(key)

    def forget_unsaved(self, which: Callable[[AlertRecord], bool]) -> None:
        """Drop what waits for the store, of these records: others know better by now."""
        for key, record in list(self._unsaved.items()):
            seen = self._stored.get(key)
            known = record or (None if seen is None else seen.value)
            if known is not None and which(known):
                del self._unsaved[key]
                self._look(key)

    @property
    def unsaved(self) -> int:
        """How many wait for the store."""
        return len(self._unsaved)

    # -- following the store ---------------------------------------------------

    async def watch(self) -> None:
        """Follow the store, for ever. A service's loop."""
        async for told in self._records.watch():
            match told:
                case Versioned(value, revision):
                    key = value.alert.fingerprint
                    if self._is_news(key, revision):
                        self._stored[key] = told
                        self._look(key)
                case Removed(key):
                    if self._is_news(key, None):
                        self._stored.pop(key, None)
                        self._look(key)
                case Caught():
                    self.caught_up = True

    async def reread(self) -> list[AlertRecord]:
        """What the store has at this moment, whatever was followed so far.

        Raises:
            Unavailable: It does not answer.
        """
        found: dict[str, AlertRecord] = {}
        async for told in self._records.watch():
            match told:
                case Versioned(value, _):
                    found[value.alert.fingerprint] = value
                case Removed(key):
                    found.pop(key, None)
                case Caught():
                    break
        unsaved = self._unsaved.items()
        found.update({key: mine for key, mine in unsaved if mine is not None})
        return list(found.values())

    def _is_news(self, key: str, revision: int | None) -> bool:
        """Whether what the store tells is newer than what this node wrote itself."""
        ahead = self._ahead.get(key)
        if ahead is None:
            return True
        if revision is not None and revision >= ahead.revision:
            del self._ahead[key]
            return revision > ahead.revision or not ahead.gone
        if self._clock.monotonic() > ahead.until:
            del self._ahead[key]
            return True
        if revision is None and ahead.gone:
            del self._ahead[key]
            return True
        return False

    # -- writing ---------------------------------------------------------------

    async def _swap(self, key: str, turn: Turn, by: str | None) -> AlertRecord | None:
        """Write by compare-and-set; `by` None: it was told of before."""
        seen = self._stored.get(key)
        for _ in range(TRIES):
            before = None if seen is None else seen.value
            after = turn(before)
            if after == before:
                return after
            try:
                revision = await self._write(key, after, seen)
            except Conflict:
                seen = await self._records.get(key)
                self._took(key, seen)
                continue
            self._took(key, None if after is None else Versioned(after, revision))
            gone = after is None
            until = self._clock.monotonic() + AHEAD_S
            self._ahead[key] = _Ahead(revision, gone, until)
            if by is not None:
                self._announce(before, after, by)
            return after
        raise Unavailable(
            f"alert {key} changes too fast to be written", retry_after_ms=500
        )

    async def _write(
        self, key: str, after: AlertRecord | None, seen: Versioned[AlertRecord] | None
    ) -> int:
        if after is None:
            revision = 0 if seen is None else seen.revision
            await self._records.delete(key, revision=revision)
            return revision
        if seen is not None:
            return await self._records.update(after, revision=seen.revision)
        created = await self._records.create(after)
        if created is None:
            raise Conflict(f"alert {key} is there already")
        return created

    def _took(self, key: str, seen: Versioned[AlertRecord] | None) -> None:
        self._fresh.pop(key, None)
        if seen is None:
            self._stored.pop(key, None)
        else:
            self._stored[key] = seen
        self._look(key)

    def _note(
        self, key: str, turn: Turn, by: str, *, may_wait: bool
    ) -> AlertRecord | None:
        """Keep a change here until it can be stored; only of what is kept here anyway."""
        before = self.record(key)
        if not may_wait and not (before is not None and before.node):
            raise Unavailable("the store does not take writes now", retry_after_ms=1000)
        after = turn(before)
        if after != before:
            self._unsaved[key] = after
            self._fresh.pop(key, None)
            self._announce(before, after, by)
            self._look(key)
        return after

    # -- telling ---------------------------------------------------------------

    def _announce(
        self, before: AlertRecord | None, after: AlertRecord | None, by: str
    ) -> None:
        for listener in self._on_write:
            listener(before, after, by)

    def _shown(self, record: AlertRecord) -> Alert:
        return self._fresh.get(record.alert.fingerprint, record.alert)

    def _look(self, key: str) -> None:
        """Tell the feed if what is shown is another than before."""
        record = self.record(key)
        now = self._clock.now()
        if record is None:
            self._fresh.pop(key, None)
            if self._told.pop(key, None) is not None:
                self._tell(AlertGone(seq=0, time=now, fingerprint=key))
                self._stir()
            return
        alert = self._shown(record)
        if self._told.get(key) != alert:
            self._told[key] = alert
            self._tell(AlertChanged(seq=0, time=now, alert=alert))
            self._stir()

    def _stir(self) -> None:
        for listener in self._on_change:
            listener()


def _join(mine: AlertRecord | None, there: AlertRecord | None) -> AlertRecord | None:
    if mine is None:
        over = there is None or there.alert.state in ("resolved", "pending")
        return None if over else there
    return merged(mine, there)


def of_node(records: Iterable[AlertRecord], node: str) -> list[AlertRecord]:
    """Those that a node's own rules keep."""
    return [record for record in records if record.node == node]
