"""Groups of alerts that are told together, and when each is looked at next.

As Alertmanager's dispatcher: a new group waits `group_wait`, unless its alert is older
than that; then it is looked at every `group_interval` for as long as it has alerts. What
of it is worth telling is decided elsewhere (`tracks`).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from nexa_node.contract.alerts import Alert
from nexa_node.core.alerting.life import ACK_TIMEOUT
from nexa_node.core.alerting.notifying.notices import Notice, notice_of, ordered
from nexa_node.core.alerting.notifying.routes import Route, group_key, routed

RESOLVE_S = 300.0
"""An alert that nobody speaks of any more is over after that: `resolve_timeout`."""
AGAIN_S = 1.0
"""When what was due is looked at again, if it could not be stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flush:
    """A group that is due: what it holds, and who is to hear of it."""

    key: str
    route: Route
    labels: dict[str, str]
    notices: tuple[Notice, ...]
    acks_only: bool = False
    """It is not its turn; only that it was acknowledged is told."""


@dataclass(slots=True)
class _Member:
    notice: Notice
    muted: bool
    seen: float


@dataclass(slots=True)
class _Group:
    key: str
    route: Route
    labels: dict[str, str]
    due: float
    members: dict[str, _Member] = field(default_factory=dict[str, _Member])
    hasty: bool = False


class Groups:
    """All groups there are. Times are monotonic seconds."""

    def __init__(self, routes: Sequence[Route], *, runbooks: str = "") -> None:
        """Begin without alerts.

        Args:
            routes: In their order.
            runbooks: What `nexa://runbook/` becomes in notifications.
        """
        self._routes = tuple(routes)
        self._runbooks = runbooks
        self._groups: dict[str, _Group] = {}
        self._ways: dict[str, list[Route]] = {}
        """The routes of an alert by its fingerprint, which is its labels."""

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self._groups)

    def told(self, alerts: Iterable[Alert], *, now: datetime, tick: float) -> None:
        """Take in all alerts there are, whatever was told before."""
        there: set[str] = set()
        for alert in alerts:
            there.add(alert.fingerprint)
            ways = self._routes_of(alert)
            if alert.state == "pending":
                self._touch(alert.fingerprint, ways, tick)
                continue
            notice = notice_of(alert, runbooks=self._runbooks)
            muted = bool(alert.silenced_by or alert.inhibited_by)
            for route in ways:
                self._put(route, notice, muted=muted, now=now, tick=tick)
                for level in route.escalates:
                    if self._escalates(alert, level, notice, now):
                        self._put(level, notice, muted=muted, now=now, tick=tick)
        self._miss(there, now, tick)
        for gone in self._ways.keys() - there:
            del self._ways[gone]

    def adopt(
        self, key: str, notices: Iterable[Notice], *, now: datetime, tick: float
    ) -> None:
        """Know of a group that was told before.

        What fired then fires until it is known better. Of a route that is no more nothing is known any more.
        """
        ways = [way for route in self._routes for way in (route, *route.escalates)]
        for notice in notices:
            for way in ways if notice.status == "firing" else ():
                if group_key(way, way.group_of(notice.labels)) == key:
                    self._put(way, notice, muted=False, now=now, tick=tick)

    def due(self, tick: float) -> list[Flush]:
        """The groups whose time has come; each stays due until `done` or `again`."""
        found: list[Flush] = []
        for group in self._groups.values():
            if group.due > tick and not group.hasty:
                continue
            notices = ordered(
                one.notice
                for one in group.members.values()
                if not one.muted or one.notice.status == "resolved"
            )
            found.append(
                Flush(
                    key=group.key,
                    route=group.route,
                    labels=group.labels,
                    notices=tuple(notices),
                    acks_only=group.due > tick,
                )
            )
        return found

    def done(self, flush: Flush, tick: float) -> None:
        """What was due is decided: forget what is over, look again in its time."""
        group = self._groups.get(flush.key)
        if group is None:
            return
        group.hasty = False
        if flush.acks_only:
            return
        group.due = tick + group.route.interval_s
        for notice in flush.notices:
            member = group.members.get(notice.fingerprint)
            if notice.status == "resolved" and member and member.notice == notice:
                del group.members[notice.fingerprint]
        if not group.members:
            del self._groups[flush.key]

    def again(self, flush: Flush, tick: float) -> None:
        """It could not be decided: look again soon."""
        group = self._groups.get(flush.key)
        if group is not None and group.due <= tick:
            group.due = tick + AGAIN_S

    def _routes_of(self, alert: Alert) -> list[Route]:
        found = self._ways.get(alert.fingerprint)
        if found is None:
            found = routed(alert.labels, self._routes, silent=_is_silent(alert))
            self._ways[alert.fingerprint] = found
        return found

    def _put(
        self, route: Route, notice: Notice, *, muted: bool, now: datetime, tick: float
    ) -> None:
        labels = route.group_of(notice.labels)
        key = group_key(route, labels)
        group = self._groups.get(key)
        before = None if group is None else group.members.get(notice.fingerprint)
        if notice.status == "resolved" and before is None:
            return
        if group is None:
            age = (now - notice.starts).total_seconds()
            due = tick if age >= route.wait_s else tick + route.wait_s
            group = self._groups[key] = _Group(key, route, labels, due)
        if before is not None and notice.acked and not before.notice.acked:
            group.hasty = True
        group.members[notice.fingerprint] = _Member(notice, muted, tick)

    def _escalates(
        self, alert: Alert, level: Route, notice: Notice, now: datetime
    ) -> bool:
        group = self._groups.get(group_key(level, level.group_of(notice.labels)))
        if group is not None and notice.fingerprint in group.members:
            return True
        return (
            alert.state == "firing"
            and not _is_silent(alert)
            and alert.ack is None
            and not (alert.silenced_by or alert.inhibited_by)
            and (now - notice.starts).total_seconds() >= _patience_s(alert, level)
        )

    def _touch(self, fingerprint: str, ways: Iterable[Route], tick: float) -> None:
        """One that fired and is pending again is not gone."""
        for group in self._groups.values() if ways else ():
            member = group.members.get(fingerprint)
            if member is not None:
                member.seen = tick

    def _miss(self, there: set[str], now: datetime, tick: float) -> None:
        for group in self._groups.values():
            for fingerprint, member in group.members.items():
                gone = fingerprint not in there and tick - member.seen >= RESOLVE_S
                if gone and (member.notice.ends is None or member.notice.flapping):
                    member.notice = msgspec.structs.replace(
                        member.notice, ends=now, flapping=False
                    )


def _is_silent(alert: Alert) -> bool:
    """Whether nobody is to mind it: a watchdog. One without any severity is none."""
    return alert.labels.get("severity", "").lower() == "none"


def _patience_s(alert: Alert, level: Route) -> float:
    """How long an alert may fire unacknowledged before this level is told.

    What its own rule says goes before what the route says for all of them.
    """
    own = alert.annotations.get(ACK_TIMEOUT, "")
    if not own:
        return level.after_s
    from nexa_node.core.promql.durations import duration_s

    try:
        span_s = 0.0 if own == "off" else duration_s(own)
    except ValueError:  # a slip of the pen, told when the rule was loaded
        return level.after_s
    return level.level * span_s if span_s else math.inf
