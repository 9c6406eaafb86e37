"""The board: what becomes of an alert on it, by its rule and by people.

Its condition comes from `life`; that somebody minds it, and that it flaps, is decided
here. Nothing that fired leaves the board unseen.
"""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from nexa_node.contract.alerts import (
    SEVERITIES,
    Ack,
    Alert,
    AlertSeverity,
    Note,
    urgency,
)
from nexa_node.contract.errors import Conflict, Invalid
from nexa_node.core.alerting.life import (
    NAME_LABEL,
    REOPEN_ABOVE,
    REOPEN_BELOW,
    Active,
)

FLAP_WINDOW_S = 1800.0
FLAP_START, FLAP_END = 5, 2
"""Changes within the window that begin it, and to how many they must sink to end it."""
NOTE_MAX, NOTES_MAX = 2000, 50
_WORDS: dict[str, AlertSeverity] = {
    "critical": "critical",
    "page": "critical",
    "emergency": "critical",
    "error": "error",
    "high": "error",
    "major": "error",
    "warning": "warning",
    "warn": "warning",
    "minor": "warning",
    "info": "info",
    "informational": "info",
    "none": "none",
}


def severity_of(label: str) -> AlertSeverity:
    """Read a `severity` label; what is not known is a warning, and no label none."""
    return _WORDS.get(label.lower(), "warning") if label else "none"


def shown(active: Active, before: Alert | None, *, group: str, now: datetime) -> Alert:
    """Put what its rule says on the board.

    Args:
        active: As the evaluation gave it.
        before: The alert as it was on the board.
        group: Of its rule.
        now: The moment.
    """
    severity = severity_of(active.labels.get("severity", ""))
    alert = before or Alert(
        fingerprint=active.fingerprint,
        name=active.labels.get(NAME_LABEL, ""),
        state="pending",
        severity=severity,
        labels=dict(active.labels),
        annotations={},
        since=_when(active.since),
    )
    again = before is None or before.state == "resolved"
    fires = active.is_on and (again or alert.state == "pending")
    ack = None if again else alert.ack
    worse = ack is not None and _is_worse(ack, severity, active)
    if ack is not None and (worse or _is_over(ack, now)):
        ack = None
    over = active.condition == "resolved"
    return msgspec.structs.replace(
        alert,
        state=active.condition,
        severity=severity,
        annotations=dict(active.annotations),
        value=active.value,
        since=_when(active.since),
        fired=None if active.fired is None else _when(active.fired),
        resolved=None if active.resolved is None else _when(active.resolved),
        times=alert.times + fires,
        ack=ack,
        unseen=over and ack is None and active.fired is not None,
        worse=(0 if again else alert.worse) + worse,
        group=group,
    )


def acknowledged(alert: Alert, ack: Ack) -> Alert:
    """Have somebody mind an alert.

    Raises:
        Conflict: It is over.
        Invalid: The end is before its beginning, or the note too long.
    """
    if alert.state == "resolved" and not alert.unseen:
        raise Conflict(f"{alert.name} is over: there is nothing to mind")
    _check_text(ack.note)
    if ack.until is not None and ack.until <= ack.at:
        raise Invalid("an acknowledgement ends after it began")
    taken = msgspec.structs.replace(ack, severity=alert.severity, value=alert.value)
    return msgspec.structs.replace(alert, ack=taken, escalated=None, unseen=False)


def reopened(alert: Alert) -> Alert:
    """Take an acknowledgement back."""
    return msgspec.structs.replace(alert, ack=None)


def noted(alert: Alert, note: Note) -> Alert:
    """Write something down; the oldest notes go when there are too many.

    Raises:
        Invalid: It is empty or too long.
    """
    if not note.text.strip():
        raise Invalid("a note says something")
    _check_text(note.text)
    return msgspec.structs.replace(alert, notes=(*alert.notes, note)[-NOTES_MAX:])


def looked_at(alert: Alert, now: datetime) -> Alert:
    """Take time in: an acknowledgement may have ended."""
    if alert.ack is not None and _is_over(alert.ack, now):
        return reopened(alert)
    return alert


def escalates(alert: Alert, *, after: timedelta, now: datetime) -> bool:
    """Say whether nobody has minded a firing alert for too long."""
    return (
        alert.state == "firing"
        and alert.ack is None
        and alert.escalated is None
        and not alert.silenced_by
        and not alert.inhibited_by
        and alert.fired is not None
        and now - alert.fired >= after
    )


def triage(alerts: Iterable[Alert]) -> list[Alert]:
    """Put what needs somebody first, first: open, worst, escalated, oldest."""
    return sorted(alerts, key=urgency)


class Flapping:
    """Whether an alert goes on and off so often that its changes say nothing."""

    def __init__(self) -> None:
        """It was quiet so far."""
        self.on = False
        self._times: deque[float] = deque()

    @property
    def changes(self) -> int:
        """In the window."""
        return len(self._times)

    def changed(self, now: float) -> None:
        """It went on, or off."""
        self._times.append(now)

    def tick(self, now: float) -> bool:
        """Look anew; True if flapping began or ended just now."""
        while self._times and now - self._times[0] > FLAP_WINDOW_S:
            self._times.popleft()
        before = self.on
        if len(self._times) >= FLAP_START:
            self.on = True
        elif len(self._times) <= FLAP_END:
            self.on = False
        return self.on != before


def _is_over(ack: Ack, now: datetime) -> bool:
    return ack.until is not None and now >= ack.until


def _is_worse(ack: Ack, severity: AlertSeverity, active: Active) -> bool:
    """Whether an alert is worse than when it was taken.

    Its severity seldom tells: it is one of its labels, so a worse one is another alert.
    """
    if SEVERITIES.index(severity) < SEVERITIES.index(ack.severity):
        return True
    return _passed(
        active.annotations.get(REOPEN_ABOVE), ack, active.value, 1
    ) or _passed(active.annotations.get(REOPEN_BELOW), ack, active.value, -1)


def _passed(limit: str | None, ack: Ack, value: float, way: int) -> bool:
    """Whether a value is beyond a limit, and was not when the alert was taken."""
    try:
        edge = float(limit or "nan") * way
    except ValueError:  # told when the rule was loaded
        return False
    then = ack.value
    return value * way >= edge and not (then is not None and then * way >= edge)


def _check_text(text: str) -> None:
    if len(text) > NOTE_MAX:
        raise Invalid(f"a note has at most {NOTE_MAX} characters")


def _when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
