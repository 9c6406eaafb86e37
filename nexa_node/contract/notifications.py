"""Notifications as operators see them: who was told of what, and whether it arrived."""

from datetime import datetime
from typing import Literal

import msgspec

ReceiverKind = Literal["webhook", "email", "slack", "pagerduty"]
RECEIVER_KINDS: tuple[ReceiverKind, ...] = ("webhook", "email", "slack", "pagerduty")
DeliveryState = Literal["waiting", "retrying", "delivered", "failed", "superseded"]
"""superseded: the group changed before it arrived; the next one tells that, too."""
Reason = Literal[
    "firing", "resolved", "repeat", "acknowledged", "flapping", "escalated", "test"
]
"""Why somebody is told."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One notification, as far as it has come."""

    id: str
    """The same at every attempt, whichever node makes it: receivers can tell doubles."""
    receiver: str
    kind: ReceiverKind
    reason: Reason
    state: DeliveryState
    at: datetime
    """Of this state."""
    created: datetime
    group: str
    """Alertmanager's group key."""
    alerts: tuple[str, ...] = ()
    """Names of the alerts in it, each once."""
    firing: int = 0
    resolved: int = 0
    attempts: int = 0
    detail: str = ""
    """What was answered, or why it failed."""
    next_attempt: datetime | None = None
    node: str = ""
    """Who told it."""


class ReceiverTest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/notifications/test."""

    receiver: str = ""
    """Empty tests all there are."""


class ReceiverTested(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test."""

    receiver: str
    kind: str
    delivered: bool
    detail: str
    took_ms: float


class ReceiversTested(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the test of each receiver."""

    items: tuple[ReceiverTested, ...]


class WatchdogSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a watchdog that called."""

    name: str
    at: datetime
