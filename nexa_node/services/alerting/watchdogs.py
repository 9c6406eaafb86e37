"""Watching the watchers, both ways.

The alert `NexaWatchdog` always fires: while it does, a dead man's switch outside is
called, and minds when the calls stop. And somebody outside may call us; how long ago
that was is a metric, and a rule minds when it is long.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from nexa_node.contract.alerts import Alert
from nexa_node.contract.errors import NotFound
from nexa_node.contract.notifications import WatchdogSeen
from nexa_node.ports import Clock, Heart
from nexa_node.services.alerting.delivering import Around, Counts

WATCHDOG = "NexaWatchdog"
FRESH_S = 120.0
"""An evaluation that is older proves nothing."""


class Heartbeat:
    """Calls a dead man's switch for as long as the whole way from rule to here works."""

    def __init__(
        self,
        heart: Heart,
        around: Around,
        counts: Counts,
        *,
        every_s: float,
        is_ours: Callable[[], bool],
    ) -> None:
        """Do nothing before `run`."""
        self._heart = heart
        self._clock, self._journal = around.clock, around.journal
        self._counts = counts
        self._every_s = every_s
        self._is_ours = is_ours
        self._seen: float | None = None
        self._failing = False
        self.delivered: datetime | None = None
        """When it was called last with success."""

    async def told(self, alerts: Sequence[Alert]) -> None:
        """Take in all alerts there are."""
        fires = any(
            one.name == WATCHDOG and one.state in ("firing", "recovering")
            for one in alerts
        )
        self._seen = self._clock.monotonic() if fires else None

    async def run(self) -> None:
        """Beat, for ever. A service's loop."""
        while True:
            waited = 1.0
            if self._is_ours() and self._is_alive():
                await self._beat()
                waited = self._every_s
            await self._clock.sleep(waited)

    def _is_alive(self) -> bool:
        fresh_s = max(FRESH_S, 2 * self._every_s)
        return self._seen is not None and self._clock.monotonic() - self._seen < fresh_s

    async def _beat(self) -> None:
        sent = await self._heart.beat()
        self._counts.add("heartbeat", success=sent.delivered)
        if sent.delivered:
            self.delivered, self._failing = self._clock.now(), False
        elif not self._failing:
            self._failing = True
            self._journal.record(
                "heartbeat.failed",
                subject="service/heartbeat",
                message=f"the dead man's switch was not called: {sent.detail[:300]}",
                severity="critical",
            )


class Watchdogs:
    """Those outside that are to call us."""

    def __init__(self, names: Sequence[str], clock: Clock) -> None:
        """Expect calls of `names`; each counts as if it had called just now."""
        self._clock = clock
        self._seen = dict.fromkeys(names, clock.now())

    def call(self, name: str) -> WatchdogSeen:
        """One calls.

        Raises:
            NotFound: Nobody expects it.
        """
        if name not in self._seen:
            raise NotFound(
                f"no watchdog {name!r} is expected",
                remedy=f'add [[watchdog]] name = "{name}" to nexa.toml',
            )
        self._seen[name] = self._clock.now()
        return WatchdogSeen(name=name, at=self._seen[name])

    def seen(self) -> dict[str, datetime]:
        """When each called last."""
        return dict(self._seen)
