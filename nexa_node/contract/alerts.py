"""Alerts as operators see them: what is wrong, since when, and who minds it."""

from datetime import datetime
from typing import Literal

import msgspec

AlertState = Literal["pending", "firing", "recovering", "resolved"]
"""Its condition. Who minds it is another matter: `ack`, `silenced_by`, `inhibited_by`."""
AlertSeverity = Literal["critical", "error", "warning", "info", "none"]
SEVERITIES: tuple[AlertSeverity, ...] = ("critical", "error", "warning", "info", "none")
"""The worst first."""


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody minds an alert."""

    by: str
    at: datetime
    until: datetime | None = None
    """After that it is open again; None: until it is over."""
    note: str = ""
    severity: AlertSeverity = "none"
    """Of the alert when it was taken: worse than that opens it again."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody wrote down about an alert."""

    by: str
    at: datetime
    text: str


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert: a rule's name and labels that tell it from others."""

    fingerprint: str
    """As Prometheus and Alertmanager have it; 16 hexadecimal digits."""
    name: str
    state: AlertState
    severity: AlertSeverity
    labels: dict[str, str]
    annotations: dict[str, str]
    since: datetime
    """Of the condition: when it was seen first."""
    value: float | None = None
    fired: datetime | None = None
    resolved: datetime | None = None
    times: int = 0
    """How often it has fired since it is on the board."""
    ack: Ack | None = None
    notes: tuple[Note, ...] = ()
    silenced_by: tuple[str, ...] = ()
    """Ids of silences."""
    inhibited_by: tuple[str, ...] = ()
    """Fingerprints of alerts that explain it."""
    flapping: bool = False
    changes: int = 0
    """In the last half hour: how often it went on or off."""
    escalated: datetime | None = None
    unseen: bool = False
    """It fired and cleared while nobody took it; stays until it is dismissed."""
    group: str = ""
    """The group of rules it is of."""


MatcherKind = Literal["=", "!=", "=~", "!~"]


class LabelMatcher(msgspec.Struct, frozen=True, kw_only=True):
    """A condition on one label; a regular expression must match all of it."""

    name: str
    kind: MatcherKind
    value: str


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that nobody is to be told of for a while."""

    id: str
    matchers: tuple[LabelMatcher, ...]
    starts: datetime
    ends: datetime
    by: str
    comment: str
    created: datetime


class NewSilence(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/silences."""

    matchers: tuple[LabelMatcher, ...]
    comment: str
    duration_s: int
    """From its start."""
    starts: datetime | None = None
    """Now, if it is not given."""


class SilencePreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a silence would do, and would have done."""

    now: tuple[str, ...]
    """Fingerprints of alerts that are on and would be silenced."""
    last_day: int
    """Alerts that fired in the last 24 h and would have been silenced."""
    names: tuple[str, ...]
    """Of all these alerts."""
