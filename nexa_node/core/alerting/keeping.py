"""Records on the board: made of what rules say, settled as time goes by, gone on with.

Pure: an evaluation, a person or the time of day goes in with the record as it is, and
the record as it is to be comes out. Whoever writes it does so by compare-and-set, and
decides anew when somebody else was first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import Alert
from nexa_node.core.alerting.board import (
    FLAP_END,
    FLAP_START,
    FLAP_WINDOW_S,
    escalates,
    looked_at,
    shown,
)
from nexa_node.core.alerting.life import Active

SEEN_S = 300.0
"""How long one that is over, and that somebody minded, is still shown."""
REFRESH_S = 60.0
"""How often a value and texts that change with it are stored, if nothing else does."""
_WINDOW = timedelta(seconds=FLAP_WINDOW_S)
_change = msgspec.structs.replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an alert comes from."""

    rule: str
    expression: str
    group: str
    node: str = ""
    """Of a rule that every node has for itself; else empty."""
    ack_after_s: float | None = None


def taken(
    before: AlertRecord | None, active: Active, origin: Origin, now: datetime
) -> AlertRecord:
    """Put what a rule said on the board; said twice, it changes nothing the second time."""
    old = None if before is None else before.alert
    alert = shown(active, old, group=origin.group, now=now)
    flips = () if before is None else before.flips
    if _fires(alert) != (old is not None and _fires(old)):
        flips = (*flips, now)[-50:]
    covered = bool(alert.silenced_by or alert.inhibited_by)
    began = _fires(alert) and not (old is not None and _fires(old))
    while_covered = covered and (
        began or (before is not None and before.silenced_while)
    )
    if began:
        alert = _change(alert, escalated=None)
    if alert.state == "resolved" and (while_covered or alert.severity == "none"):
        alert = _change(alert, unseen=False)
    if alert.state == "pending" and old is not None and old.unseen:
        # That it may come back does not mean that somebody saw the last time.
        alert = _change(alert, unseen=True, fired=old.fired, resolved=old.resolved)
    return AlertRecord(
        alert=alert,
        rule=origin.rule,
        expression=origin.expression,
        node=origin.node,
        clear_since=_when(active.clear_since),
        seen=now if alert.state == "pending" else None,
        flips=flips,
        ack_after_s=origin.ack_after_s,
        silenced_while=while_covered,
    )


def vanished(record: AlertRecord) -> AlertRecord | None:
    """What becomes of a pending one whose expression gives it no more.

    None, unless it fired before and nobody saw: then that is what stays.
    """
    if not record.alert.unseen:
        return None
    return _change(record, alert=_change(record.alert, state="resolved"))


def gone_on(record: AlertRecord) -> Active | None:
    """What an evaluation goes on from; None for one that is over."""
    alert = record.alert
    if alert.state == "resolved":
        return None
    return Active(
        fingerprint=alert.fingerprint,
        labels=dict(alert.labels),
        annotations=dict(alert.annotations),
        value=alert.value if alert.value is not None else 0.0,
        condition=alert.state,
        since=alert.since.timestamp(),
        fired=None
        if alert.fired is None or alert.state == "pending"
        else alert.fired.timestamp(),
        clear_since=None
        if record.clear_since is None
        else record.clear_since.timestamp(),
    )


def ended(record: AlertRecord, now: datetime) -> AlertRecord:
    """End what no rule speaks of any more; it fired, so it is over like any other."""
    active = gone_on(record)
    if active is None or active.condition == "pending":
        return record
    origin = Origin(
        rule=record.rule,
        expression=record.expression,
        group=record.alert.group,
        node=record.node,
        ack_after_s=record.ack_after_s,
    )
    return taken(record, _over(active, now), origin, now)


def _over(active: Active, now: datetime) -> Active:
    return Active(
        fingerprint=active.fingerprint,
        labels=active.labels,
        annotations=active.annotations,
        value=active.value,
        condition="resolved",
        since=active.since,
        fired=active.fired,
        resolved=now.timestamp(),
    )


@dataclass(frozen=True, slots=True)
class Covers:
    """What keeps people from being told of an alert."""

    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()


def settled(record: AlertRecord, covers: Covers, now: datetime) -> AlertRecord | None:
    """Take time and silences in; None when it has left the board.

    A pending alert leaves by its rule alone.
    """
    alert = _change(
        looked_at(record.alert, now),
        silenced_by=covers.silenced_by,
        inhibited_by=covers.inhibited_by,
    )
    flips = tuple(flip for flip in record.flips if now - flip <= _WINDOW)
    flapping = len(flips) >= FLAP_START or (alert.flapping and len(flips) > FLAP_END)
    alert = _change(alert, flapping=flapping, changes=len(flips))
    after = record.ack_after_s
    if after is not None and escalates(alert, after=timedelta(seconds=after), now=now):
        alert = _change(alert, escalated=now)
    covered = bool(covers.silenced_by or covers.inhibited_by)
    record = _change(
        record,
        alert=alert,
        flips=flips,
        silenced_while=record.silenced_while and (covered or not _fires(alert)),
    )
    return None if _leaves(alert, flips, now) else record


def differs(before: AlertRecord | None, after: AlertRecord, *, fresh: bool) -> bool:
    """Say whether a record is worth a write: more than its value has changed.

    Args:
        before: As it is stored.
        after: As it is to be.
        fresh: What is stored is young: values may wait.
    """
    if before is None:
        return True
    if not fresh:
        return before != after
    return _lasting(before) != _lasting(after)


def dropped(alerts: Iterable[AlertRecord], most: int) -> list[AlertRecord]:
    """The unseen ones that must go when there are more than `most`: the oldest."""
    unseen = [one for one in alerts if one.alert.unseen]
    unseen.sort(key=lambda one: one.alert.resolved or one.alert.since)
    return unseen[: max(0, len(unseen) - most)]


def merged(mine: AlertRecord, theirs: AlertRecord | None) -> AlertRecord:
    """Join what a node noted while it could store nothing with what others stored.

    What its own rule said is the node's word; what people did is kept from both.
    """
    if theirs is None:
        return mine
    here, there = mine.alert, theirs.alert
    ack = here.ack
    if there.ack is not None and (ack is None or ack.at < there.ack.at):
        ack = there.ack
    if ack is not None and here.fired is not None and ack.at < here.fired:
        ack = None
    notes = sorted(
        {*here.notes, *there.notes}, key=lambda note: (note.at, note.text, note.by)
    )
    marks = [mark for mark in (here.escalated, there.escalated) if mark is not None]
    alert = _change(
        here,
        ack=ack,
        notes=tuple(notes),
        times=max(here.times, there.times),
        worse=max(here.worse, there.worse),
        escalated=min(marks) if marks and ack is None else None,
        unseen=here.unseen and ack is None,
    )
    flips = tuple(sorted({*mine.flips, *theirs.flips}))[-50:]
    return _change(mine, alert=alert, flips=flips)


def _lasting(record: AlertRecord) -> AlertRecord:
    alert = _change(record.alert, value=None, annotations={}, changes=0)
    return _change(record, alert=alert, flips=(), seen=None)


def _fires(alert: Alert) -> bool:
    return alert.state in ("firing", "recovering")


def _leaves(alert: Alert, flips: tuple[datetime, ...], now: datetime) -> bool:
    if alert.state != "resolved" or alert.unseen or alert.flapping:
        return False
    over = alert.resolved or alert.since
    return now - over >= timedelta(seconds=SEEN_S) and len(flips) <= FLAP_END


def _when(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)
