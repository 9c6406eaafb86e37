"""PagerDuty Events v2: one incident for a group; a console's ack acknowledges it.

Limits are PagerDuty's: 255 characters of a `dedup_key`, 1,024 of a summary, 512 KB.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from nexa_node.contract.alerts import AlertSeverity
from nexa_node.core.alerting.notifying.notices import Notification
from nexa_node.core.alerting.notifying.texts import (
    described,
    details,
    headline,
    line,
    lines,
    stamp,
)

DEDUP_MAX, SUMMARY_MAX, SOURCE_MAX = 255, 1024, 255
DETAILS_MAX, DETAIL_MAX = 50, 2000
"""Alerts that are described, and characters of each: below 512 KB in any script."""
Action = Literal["trigger", "acknowledge", "resolve"]
_SEVERITIES: Mapping[AlertSeverity, str] = {
    "critical": "critical",
    "error": "error",
    "warning": "warning",
}


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What it is about."""

    summary: str
    source: str
    severity: str
    timestamp: str
    component: str
    group: str
    custom_details: dict[str, str]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call."""

    routing_key: str
    event_action: Action
    dedup_key: str
    client: str = ""
    client_url: str = ""
    payload: Payload | None = None


def pagerduty_events(notification: Notification, routing_key: str) -> tuple[Event, ...]:
    """Say what to send, in this order: it is safe to send any of it again."""
    events: list[Event] = []
    key = dedup_key(notification)
    if notification.status == "resolved":
        return (Event(routing_key=routing_key, event_action="resolve", dedup_key=key),)
    if notification.reason != "acknowledged":
        events.append(
            Event(
                routing_key=routing_key,
                event_action="trigger",
                dedup_key=key,
                client="nexa",
                client_url=line(notification.external_url, SUMMARY_MAX),
                payload=_payload(notification),
            )
        )
    if notification.acked:
        events.append(
            Event(routing_key=routing_key, event_action="acknowledge", dedup_key=key)
        )
    return tuple(events)


def dedup_key(notification: Notification) -> str:
    """Name the incident: the alert's fingerprint, or the hash of the group's key.

    The fingerprint if the group is all labels of its one alert (`group_by = ["..."]`).
    """
    first = notification.notices[0] if notification.notices else None
    if first is not None and notification.labels == first.labels:
        return first.fingerprint
    return hashlib.sha256(notification.group.encode()).hexdigest()


def _payload(notification: Notification) -> Payload:
    first = (notification.firing or notification.notices)[0]
    labels = notification.common_labels
    told: dict[str, str] = {}
    for notice in notification.firing[:DETAILS_MAX]:
        name = line(f"{notice.name} {notice.fingerprint}", 200)
        rows = [described(notice), *(f"{key}: {text}" for key, text in details(notice))]
        told[name] = lines("\n".join(rows), DETAIL_MAX)
    left = len(notification.firing) - len(told) + notification.truncated
    if left:
        told["more"] = f"{left} more alerts"
    summary = headline(notification, 300)
    if len(notification.firing) == 1:
        summary = f"{summary}: {line(described(first), SUMMARY_MAX - 310)}"
    source = labels.get("instance") or labels.get("node") or notification.external_url
    return Payload(
        summary=line(summary, SUMMARY_MAX),
        source=line(source or "nexa", SOURCE_MAX),
        severity=_SEVERITIES.get(notification.severity, "info"),
        timestamp=stamp(first.starts),
        component=line(labels.get("job", "nexa"), SOURCE_MAX),
        group=line(notification.group, SOURCE_MAX),
        custom_details=told,
    )
