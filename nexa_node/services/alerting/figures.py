"""The metrics of notifications: what was tried, what waits, when watchdogs were heard."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from nexa_node.core.exposition import Counter, Family, Gauge, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFigures:
    """What is scraped."""

    attempts: Mapping[tuple[str, str], int]
    """By integration and outcome."""
    waiting: int
    """Notifications that have not arrived yet."""
    oldest_s: float
    """How long the oldest of them waits."""
    heartbeat: datetime | None
    """When the dead man's switch was called last; None: never, or there is none."""
    watchdogs: Mapping[str, datetime]
    """When each of those outside called last."""


def families(figures: NotificationFigures) -> Iterator[Family]:
    """Give them their names."""
    yield Counter(
        "nexa_notifications_total",
        "Attempts to notify, by integration and outcome.",
        tuple(
            Sample(count, {"integration": integration, "outcome": outcome})
            for (integration, outcome), count in sorted(figures.attempts.items())
        ),
    )
    yield Gauge(
        "nexa_notifications_waiting",
        "Notifications that have not arrived yet.",
        (Sample(figures.waiting),),
    )
    yield Gauge(
        "nexa_notification_oldest_waiting_seconds",
        "How long the oldest of them waits.",
        (Sample(figures.oldest_s),),
    )
    if figures.heartbeat is not None:
        yield Gauge(
            "nexa_watchdog_last_delivered_timestamp_seconds",
            "When the dead man's switch outside was called last.",
            (Sample(figures.heartbeat.timestamp()),),
        )
    if figures.watchdogs:
        yield Gauge(
            "nexa_watchdog_last_seen_timestamp_seconds",
            "When a watchdog outside called this node last; its start before the first.",
            tuple(
                Sample(seen.timestamp(), {"watchdog": name})
                for name, seen in sorted(figures.watchdogs.items())
            ),
        )
