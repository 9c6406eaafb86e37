"""An alert as it stands in a notification, and the notification it stands in."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cmp_to_key
from typing import Literal

import msgspec

from nexa_node.contract.alerts import SEVERITIES, Alert, AlertSeverity
from nexa_node.contract.notifications import Reason

RUNBOOK = "nexa://runbook/"
_ORDER = ("job", "instance")
FLAPPING = "~"
"""Behind a fingerprint: it flaps, and that was told."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One alert, as it is told."""

    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str]
    severity: AlertSeverity
    starts: datetime
    ends: datetime | None = None
    """When it was over; None while it fires."""
    flapping: bool = False
    """It goes on and off: told once, and again when that is over."""
    acked: str = ""
    """Who minds it."""
    worse: int = 0
    """How often it got worse than it was acknowledged: each time is told anew."""

    @property
    def status(self) -> Literal["firing", "resolved"]:
        """As Alertmanager calls it. One that flaps fires until that is over."""
        return "resolved" if self.ends is not None and not self.flapping else "firing"

    @property
    def mark(self) -> str:
        """What tells this state of it from the others that are worth telling."""
        worse = f"^{self.worse}" if self.worse else ""
        return self.fingerprint + worse + (FLAPPING if self.flapping else "")

    @property
    def name(self) -> str:
        """Of the alert."""
        return self.labels.get("alertname", "")


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What one receiver is to be told of one group."""

    id: str
    receiver: str
    reason: Reason
    group: str
    """Alertmanager's group key."""
    labels: dict[str, str]
    """Those that all alerts of the group share by `group_by`."""
    notices: tuple[Notice, ...]
    """In Alertmanager's order."""
    truncated: int = 0
    """Alerts left out, since they were too many."""
    acked: bool = False
    """Every alert that fires is acknowledged."""
    external_url: str = ""
    created: datetime

    @property
    def status(self) -> Literal["firing", "resolved"]:
        """Firing while any of its alerts is."""
        return "firing" if any(self.firing) else "resolved"

    @property
    def firing(self) -> tuple[Notice, ...]:
        """Those that fire."""
        return tuple(one for one in self.notices if one.status == "firing")

    @property
    def resolved(self) -> tuple[Notice, ...]:
        """Those that are over."""
        return tuple(one for one in self.notices if one.status == "resolved")

    @property
    def severity(self) -> AlertSeverity:
        """The worst of those that fire, or of all when none does."""
        return worst(self.firing or self.notices)

    @property
    def common_labels(self) -> dict[str, str]:
        """Labels that are the same on all its alerts."""
        return common(one.labels for one in self.notices)

    @property
    def common_annotations(self) -> dict[str, str]:
        """Annotations that are the same on all its alerts."""
        return common(one.annotations for one in self.notices)


def notice_of(alert: Alert, *, runbooks: str = "") -> Notice:
    """Say an alert as it is told.

    Args:
        alert: That fired once.
        runbooks: What `nexa://runbook/` becomes.
    """
    annotations = alert.annotations
    if runbooks:
        annotations = {
            name: runbooks + text.removeprefix(RUNBOOK)
            if text.startswith(RUNBOOK)
            else text
            for name, text in annotations.items()
        }
    return Notice(
        fingerprint=alert.fingerprint,
        labels=alert.labels,
        annotations=annotations,
        severity=alert.severity,
        starts=alert.fired or alert.since,
        ends=alert.resolved if alert.state == "resolved" else None,
        flapping=alert.flapping,
        acked="" if alert.ack is None else alert.ack.by,
        worse=alert.worse,
    )


def worst(notices: Iterable[Notice]) -> AlertSeverity:
    """The worst severity there is; none of nothing."""
    places = [SEVERITIES.index(one.severity) for one in notices]
    return SEVERITIES[min(places)] if places else "none"


def common(maps: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """What is the same in all of them."""
    found: dict[str, str] | None = None
    for each in maps:
        if found is None:
            found = dict(each)
        else:
            found = {key: text for key, text in found.items() if each.get(key) == text}
    return found or {}


def ordered(notices: Iterable[Notice]) -> list[Notice]:
    """Order as Alertmanager does: by job, instance, number of labels, then labels."""
    return sorted(notices, key=cmp_to_key(_compare))


def _compare(one: Notice, other: Notice) -> int:
    for name in _ORDER:
        here, there = one.labels.get(name), other.labels.get(name)
        if here == there:
            continue
        if here is None:
            return 1
        return -1 if there is None or here < there else 1
    return _before(one.labels, other.labels)


def _before(one: Mapping[str, str], other: Mapping[str, str]) -> int:
    if len(one) != len(other):
        return -1 if len(one) < len(other) else 1
    for name in sorted({*one, *other}):
        here, there = one.get(name), other.get(name)
        if here == there:
            continue
        if here is None:
            return -1
        return 1 if there is None or here > there else -1
    return 0
