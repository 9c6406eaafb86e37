"""Silences: made and ended by people on any node, in force on all of them.

The store has them; every node follows it. In the mode `alertmanager` they are the
Alertmanager's (`Elsewhere`), and the same calls go there.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

from nexa_node.contract.alerts import NewSilence, Silence
from nexa_node.contract.errors import NotFound
from nexa_node.contract.ids import time_ordered_id
from nexa_node.ports import Caught, Clock, Removed, SilenceRecords, Versioned
from nexa_node.services.api import Journal

if TYPE_CHECKING:  # loaded once there is a silence
    from nexa_node.core.promql.samples import Matcher

KEPT = timedelta(days=5)
"""How long one that is over can still be seen."""


class Elsewhere(Protocol):
    """Silences that somebody else owns: the Alertmanager's."""

    def current(self) -> tuple[Silence, ...]:
        """All there are, from memory."""
        ...

    async def create(self, wanted: NewSilence, *, by: str) -> Silence:
        """Make one."""
        ...

    async def expire(self, silence_id: str) -> None:
        """End one."""
        ...


class Silences:
    """All silences, as this node knows them."""

    def __init__(
        self,
        records: SilenceRecords,
        *,
        clock: Clock,
        journal: Journal,
        entropy: Callable[[int], bytes],
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Know of none yet; `watch` finds them."""
        self._records = records
        self._clock = clock
        self._journal = journal
        self._entropy = entropy
        self._elsewhere = elsewhere
        self._known: dict[str, Silence] = {}
        self._compiled: dict[str, tuple[Silence, tuple[Matcher, ...]]] = {}
        self._listeners: list[Callable[[], object]] = []

    def on_change(self, listener: Callable[[], object]) -> None:
        """Have `listener` called when a silence came, changed or went."""
        self._listeners.append(listener)

    def all(self) -> list[Silence]:
        """All of them: in force, to come, over; what ends first, first."""
        if self._elsewhere is not None:
            found = list(self._elsewhere.current())
        else:
            found = list(self._known.values())
        now = self._clock.now()
        return sorted(found, key=lambda one: (one.ends <= now, one.ends, one.id))

    def get(self, silence_id: str) -> Silence:
        """One of them.

        Raises:
            NotFound: There is none.
        """
        for silence in self.all():
            if silence.id == silence_id:
                return silence
        raise NotFound(f"no silence {silence_id[:64]!r}", remedy="nexa silences list")

    def of(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Ids of the silences that are in force for an alert of these labels."""
        now = self._clock.now()
        return tuple(
            sorted(
                silence.id
                for silence in self._current()
                if silence.starts <= now < silence.ends
                and all(
                    one.matches(labels.get(one.label, ""))
                    for one in self._matchers(silence)
                )
            )
        )

    async def create(self, wanted: NewSilence, *, by: str) -> Silence:
        """Make a silence.

        Raises:
            Invalid: It would silence everything, has no reason, or no sensible time.
        """
        from nexa_node.core.alerting.silences import check_silence, compiled

        now = self._clock.now()
        starts, ends = check_silence(wanted, now=now)
        compiled(wanted.matchers)
        if self._elsewhere is not None:
            made = await self._elsewhere.create(wanted, by=by)
        else:
            stamp = int(now.timestamp() * 1000)
            made = Silence(
                id=time_ordered_id(stamp, self._entropy(10)),
                matchers=wanted.matchers,
                starts=starts,
                ends=ends,
                by=by,
                comment=wanted.comment,
                created=now,
            )
            await self._records.put(made)
            self._known[made.id] = made
        self._note("silence.created", made, by, f"until {ends:%Y-%m-%d %H:%M} UTC")
        self._changed()
        return made

    async def expire(self, silence_id: str, *, by: str) -> Silence:
        """End a silence now; one that is over stays as it is.

        Raises:
            NotFound: There is none.
        """
        silence = self.get(silence_id)
        now = self._clock.now()
        if silence.ends <= now:
            return silence
        starts = min(silence.starts, now)
        ended = msgspec.structs.replace(silence, starts=starts, ends=now)
        if self._elsewhere is not None:
            await self._elsewhere.expire(silence_id)
        else:
            await self._records.put(ended)
            self._known[silence_id] = ended
        self._note("silence.expired", ended, by, "before its time")
        self._changed()
        return ended

    async def sweep(self) -> None:
        """Forget what is over for long; the controller's duty."""
        now = self._clock.now()
        for silence in list(self._known.values()):
            if now - silence.ends > KEPT:
                await self._records.delete(silence.id)

    async def watch(self) -> None:
        """Follow the store, for ever. A service's loop."""
        async for told in self._records.watch():
            match told:
                case Versioned(silence, _):
                    if self._known.get(silence.id) == silence:
                        continue
                    self._known[silence.id] = silence
                case Removed(key):
                    self._known.pop(key, None)
                    self._compiled.pop(key, None)
                case Caught():
                    pass
            self._changed()

    def _current(self) -> list[Silence]:
        if self._elsewhere is not None:
            return list(self._elsewhere.current())
        return list(self._known.values())

    def _matchers(self, silence: Silence) -> "tuple[Matcher, ...]":
        known = self._compiled.get(silence.id)
        if known is None or known[0].matchers != silence.matchers:
            from nexa_node.core.alerting.silences import compiled

            if len(self._compiled) > 2 * len(self._known) + 100:
                self._compiled.clear()
            known = self._compiled[silence.id] = silence, compiled(silence.matchers)
        return known[1]

    def _note(self, kind: str, silence: Silence, by: str, how: str) -> None:
        from nexa_node.contract.matchers import written

        conditions = ", ".join(written(one) for one in silence.matchers)
        verb = "silenced" if kind == "silence.created" else "ended the silence of"
        self._journal.record(
            kind,
            subject=f"silence/{silence.id}",
            message=f"{by} {verb} {conditions} {how}: {silence.comment}",
            data={"by": by, "ends": silence.ends.isoformat()},
        )

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()
