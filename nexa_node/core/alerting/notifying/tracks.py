"""What a receiver knows of a group, and whether there is news for it.

One record for each receiver and group holds both: what was told last, and the job of
telling it. It is written by compare-and-set before anything is sent, so a notification
is decided once, whichever node decides it, and it survives the node that did.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from nexa_node.contract.notifications import Reason, ReceiverKind
from nexa_node.core.alerting.notifying.groups import Flush
from nexa_node.core.alerting.notifying.notices import (
    FLAPPING,
    Notice,
    Notification,
    worst,
)

NOTICES_MAX, NOTICES_BYTES = 500, 256 * 1024
"""What one notification holds at most; the rest is counted (`truncated`)."""
FORGET_AFTER = timedelta(days=5)
"""What was told of a group is forgotten after that, as Alertmanager does (120 h)."""
_ACKS: tuple[ReceiverKind, ...] = ("pagerduty",)
"""Receivers that hear of acknowledgements."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that is to be delivered."""

    id: str
    reason: Reason
    created: datetime
    next_at: datetime
    attempts: int = 0
    detail: str = ""
    """Why the last attempt failed."""


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver and one group."""

    key: str
    receiver: str
    group: str
    labels: dict[str, str]
    told: datetime
    """When it was decided last that there is news."""
    number: int
    """Of that decision."""
    firing: tuple[str, ...] = ()
    """Marks of those that were told to fire."""
    resolved: tuple[str, ...] = ()
    acked: bool = False
    failed: bool = False
    """The last one never arrived."""
    notices: tuple[Notice, ...] = ()
    truncated: int = 0
    job: Job | None = None

    def notification(self, *, external_url: str = "") -> Notification:
        """What its job is to deliver."""
        assert self.job is not None
        return Notification(
            id=self.job.id,
            receiver=self.receiver,
            reason=self.job.reason,
            group=self.group,
            labels=self.labels,
            notices=self.notices,
            truncated=self.truncated,
            acked=self.acked,
            external_url=external_url,
            created=self.job.created,
        )

    @property
    def urgency(self) -> tuple[int, datetime]:
        """The smaller, the sooner: by severity, then by age."""
        order = ("critical", "error", "warning", "info", "none")
        assert self.job is not None
        return order.index(worst(self.notices)), self.job.created


class Hearer(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver, as far as it matters whether it is told."""

    name: str
    kind: ReceiverKind
    send_resolved: bool = True


def track_key(receiver: str, group: str) -> str:
    """Name the record of a receiver and a group."""
    return hashlib.sha256(f"{receiver}\0{group}".encode()).hexdigest()[:32]


def decide(
    track: Track | None, flush: Flush, hearer: Hearer, *, now: datetime
) -> Track | None:
    """Say whether a receiver is told of a group that is due.

    The rules are those of Alertmanager's notification log: an alert that is new or fires
    again, one that is over, all that are over, or the repeat interval. Beyond those:
    what is acknowledged is not repeated, and one that could not be delivered is told anew.

    Returns:
        The record as it is to be stored, with a job unless there is nobody to tell;
        None if nothing changes.
    """
    if not flush.notices:
        return None  # all of it is silenced or inhibited: nothing is known to be over
    firing = {one.mark for one in flush.notices if one.status == "firing"}
    resolved = {one.mark for one in flush.notices if one.status == "resolved"}
    acked = bool(firing) and all(
        one.acked for one in flush.notices if one.status == "firing"
    )
    if flush.acks_only:
        reason = _acknowledged(track, hearer, firing, acked=acked)
    else:
        reason = _news(track, flush, hearer, firing, resolved, acked=acked, now=now)
    if reason is None:
        return None
    told = flush.notices if hearer.send_resolved else _only_firing(flush.notices)
    notices, truncated = fitting(told)
    key = track_key(hearer.name, flush.key)
    number = 1 if track is None else track.number + 1
    return Track(
        key=key,
        receiver=hearer.name,
        group=flush.key,
        labels=flush.labels,
        told=now,
        number=number,
        firing=tuple(sorted(firing)),
        resolved=tuple(sorted(resolved)),
        acked=acked,
        notices=notices,
        truncated=truncated,
        job=Job(id=f"{key[:16]}-{number}", reason=reason, created=now, next_at=now)
        if told
        else None,
    )


def fitting(notices: Sequence[Notice]) -> tuple[tuple[Notice, ...], int]:
    """As many as one notification holds, and how many were left out."""
    kept: list[Notice] = []
    room = NOTICES_BYTES
    for notice in notices[:NOTICES_MAX]:
        room -= _size(notice)
        if room < 0 and kept:
            break
        kept.append(notice)
    return tuple(kept), len(notices) - len(kept)


def is_old(track: Track, now: datetime) -> bool:
    """Say whether a record can be forgotten: nothing to deliver, nothing told lately."""
    return track.job is None and now - track.told >= FORGET_AFTER


def _news(
    track: Track | None,
    flush: Flush,
    hearer: Hearer,
    firing: set[str],
    resolved: set[str],
    *,
    acked: bool,
    now: datetime,
) -> Reason | None:
    told: set[str] = set() if track is None else set(track.firing)
    if new := firing - told:
        return _why(new, flush)
    if track is None:
        return None
    if not firing:
        return "resolved" if told else None
    if hearer.send_resolved and resolved - set(track.resolved):
        return "resolved"
    if track.failed and track.job is None:
        return "firing"
    if (
        acked
        and not track.acked
        and (reason := _acknowledged(track, hearer, firing, acked=acked))
    ):
        return reason
    repeat = timedelta(seconds=flush.route.repeat_s)
    return "repeat" if not acked and now - track.told >= repeat else None


def _why(new: set[str], flush: Flush) -> Reason:
    if all(mark.endswith(FLAPPING) for mark in new):
        return "flapping"
    return "escalated" if flush.route.after_s else "firing"


def _acknowledged(
    track: Track | None, hearer: Hearer, firing: set[str], *, acked: bool
) -> Reason | None:
    if hearer.kind not in _ACKS or track is None or track.acked or not acked:
        return None
    if not firing <= set(track.firing):
        return None
    return "acknowledged" if track.job is None else track.job.reason


def _only_firing(notices: Sequence[Notice]) -> tuple[Notice, ...]:
    return tuple(one for one in notices if one.status == "firing")


def _size(notice: Notice) -> int:
    texts = (*notice.labels.items(), *notice.annotations.items())
    return 200 + sum(len(f"{name}{text}".encode()) for name, text in texts)
