"""An Alertmanager that notifies for us: it is told of alerts, and of who minds them.

Alerts that fire are pushed at once and then every minute, each time with an end four
minutes ahead: when we fall silent, they are over there by themselves. Alerts that are
over are pushed for five minutes more, since one push may be lost.

An acknowledgement has no counterpart there. It becomes a silence of this one alert,
because nothing else makes an Alertmanager stop repeating: short, extended for as long as
it holds, ended when it is taken back. So does maintenance of the node an alert is about. Its comment begins as karma's and kthxbye's do
(`ACK!`), and ends with a mark by which we know it again.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from nexa_node.contract.alerts import (
    Alert,
    LabelMatcher,
    NewSilence,
    Silence,
    resting,
)
from nexa_node.contract.errors import NexaError
from nexa_node.core.alerting.notifying.texts import line
from nexa_node.ports import AlertmanagerServer
from nexa_node.services.alerting.delivering import Around, Counts

LOOK_S = 0.25
PUSH_S = 60.0
AHEAD = timedelta(minutes=4)
RESOLVED_FOR = timedelta(minutes=5)
ACKS_S = 15.0
"""How often acknowledgements are compared."""
ACK_FOR, ACK_LEFT = timedelta(minutes=15), timedelta(minutes=10)
"""How long a silence for one lasts, and how short of its end it is extended."""
READ_S = 10.0
NOTE_MAX = 500

_MARK = re.compile(r"nexa:v1 scope=(\S+) fp=([0-9a-f]{16})\s*$")


class Mirror:
    """Keeps an Alertmanager in step with the alerts of one scope."""

    def __init__(
        self,
        server: AlertmanagerServer,
        around: Around,
        counts: Counts,
        *,
        scope: str,
        is_ours: Callable[[], bool],
        pushes: bool = True,
    ) -> None:
        """Do nothing before `run`.

        Args:
            server: The Alertmanager.
            around: Clock and journal.
            counts: Of pushes.
            scope: A word: whose alerts these are. Others' silences are let be.
            is_ours: Whether this node does it, asked often.
            pushes: Tell alerts, too; if not, somebody else does.
        """
        self._server = server
        self._clock, self._journal = around.clock, around.journal
        self._counts = counts
        self._scope = scope
        self._is_ours = is_ours
        self._pushes = pushes
        self._alerts: dict[str, Alert] = {}
        self._told = False
        self._changed = False
        self._push_at = self._acks_at = 0.0
        self._failing = False

    async def told(self, alerts: Sequence[Alert]) -> None:
        """Take in all alerts there are; what has changed is pushed soon."""
        now = self._clock.now()
        kept = {one.fingerprint: one for one in alerts if _is_worth_telling(one, now)}
        self._changed = self._changed or _states(kept) != _states(self._alerts)
        self._alerts, self._told = kept, True

    async def run(self) -> None:
        """Keep it in step, for ever. A service's loop."""
        while True:
            if self._is_ours() and self._told:
                await self._try()
            elif not self._is_ours():
                self._alerts, self._told = {}, False
            await self._clock.sleep(LOOK_S)

    async def _try(self) -> None:
        try:
            await self._look()
        except Exception as error:  # noqa: BLE001 - noted; the next look tries again
            self._journal.record(
                "node.fault",
                subject="service/alertmanager",
                message=f"alerts could not be pushed: {type(error).__name__}",
                severity="critical",
            )

    async def _look(self) -> None:
        tick = self._clock.monotonic()
        if self._pushes and (self._changed or tick >= self._push_at):
            self._changed, self._push_at = False, tick + PUSH_S
            if not await self._push():
                self._push_at = tick + PUSH_S / 12
        if tick >= self._acks_at:
            self._acks_at = tick + ACKS_S
            await self._mirror_acks()

    async def _push(self) -> bool:
        alerts = list(self._alerts.values())
        if not alerts:
            return True
        now = self._clock.now()
        try:
            failures = await self._server.push(alerts, ends=now + AHEAD)
        except NexaError as error:
            self._counts.add("alertmanager", success=False)
            self._note_failure(error.message)
            return False
        self._counts.add("alertmanager", success=not failures)
        if failures:
            self._note_failure(failures[0])
        else:
            self._failing = False
        return True

    def _note_failure(self, why: str) -> None:
        if not self._failing:
            self._failing = True
            self._journal.record(
                "alertmanager.unreachable",
                subject="service/alertmanager",
                message=f"it was not told of alerts: {why[:300]}",
                severity="critical",
            )

    async def _mirror_acks(self) -> None:
        try:
            there = await self._server.silences()
            await self._compare(there)
        except NexaError as error:
            self._note_failure(error.message)

    async def _compare(self, there: Sequence[Silence]) -> None:
        now = self._clock.now()
        wanted = {
            fingerprint: alert
            for fingerprint, alert in self._alerts.items()
            if alert.state != "resolved"
            and (alert.ack is not None or resting(alert.silenced_by))
        }
        found: dict[str, Silence] = {}
        for silence in there:
            mark = _MARK.search(silence.comment)
            if mark is None or mark[1] != self._scope:
                continue
            if mark[2] not in wanted or mark[2] in found:
                await self._server.expire(silence.id)
            else:
                found[mark[2]] = silence
        for fingerprint, alert in wanted.items():
            await self._keep(alert, found.get(fingerprint), now)

    async def _keep(self, alert: Alert, there: Silence | None, now: datetime) -> None:
        until = None if alert.ack is None else alert.ack.until
        ends = min(until or now + ACK_FOR, now + ACK_FOR)
        if ends <= now:
            return
        if there is None:
            await self._server.put_silence(self._silence(alert, now, ends))
        elif there.ends - now < ACK_LEFT and ends > there.ends:
            # The same matchers and start keep its id: it is extended, not made anew.
            await self._server.put_silence(msgspec.structs.replace(there, ends=ends))

    def _silence(self, alert: Alert, now: datetime, ends: datetime) -> Silence:
        ack = alert.ack
        if ack is None:
            by, note = "nexa", f"maintenance of {resting(alert.silenced_by)}"
        else:
            by, note = ack.by, ack.note or "acknowledged in nexa"
        return Silence(
            id="",
            matchers=tuple(
                LabelMatcher(name=name, kind="=", value=text)
                for name, text in sorted(alert.labels.items())
                if text
            ),
            starts=now,
            ends=ends,
            by=by,
            comment=f"ACK! {line(note, NOTE_MAX)} nexa:v1 scope={self._scope} fp={alert.fingerprint}",
            created=now,
        )


class MirroredSilences:
    """The silences of an Alertmanager that owns them all."""

    def __init__(self, server: AlertmanagerServer, around: Around) -> None:
        """Know of none before `run`."""
        self._server = server
        self._clock = around.clock
        self._silences: tuple[Silence, ...] = ()
        self.trouble = ""
        """Why they could not be read last."""

    def current(self) -> tuple[Silence, ...]:
        """Those in force or to come, as they were read last; no acknowledgements."""
        return self._silences

    async def run(self) -> None:
        """Read them, again and again. A service's loop."""
        while True:
            await self.read()
            await self._clock.sleep(READ_S)

    async def read(self) -> None:
        """Read them now."""
        try:
            found = await self._server.silences()
        except NexaError as error:
            self.trouble = error.message
            return
        self.trouble = ""
        self._silences = tuple(one for one in found if not is_ack(one))

    async def create(self, wanted: NewSilence, *, by: str) -> Silence:
        """Make one there.

        Raises:
            Invalid: It would silence everything, has no reason, or no sensible time.
            Unavailable: The Alertmanager does not answer.
        """
        from nexa_node.core.alerting.silences import check_silence  # brings numpy

        now = self._clock.now()
        starts, ends = check_silence(wanted, now=now)
        silence = Silence(
            id="",
            matchers=wanted.matchers,
            starts=starts,
            ends=ends,
            by=by,
            comment=wanted.comment,
            created=now,
        )
        made = await self._server.put_silence(silence)
        await self.read()
        return msgspec.structs.replace(silence, id=made)

    async def expire(self, silence_id: str) -> None:
        """End one there."""
        await self._server.expire(silence_id)
        await self.read()


def is_ack(silence: Silence) -> bool:
    """Say whether a silence is an acknowledgement that we mirrored."""
    return _MARK.search(silence.comment) is not None


def _is_worth_telling(alert: Alert, now: datetime) -> bool:
    if alert.state == "resolved":
        return alert.resolved is not None and now - alert.resolved < RESOLVED_FOR
    return alert.state in ("firing", "recovering")


def _states(alerts: dict[str, Alert]) -> dict[str, bool]:
    return {key: one.state == "resolved" for key, one in alerts.items()}
