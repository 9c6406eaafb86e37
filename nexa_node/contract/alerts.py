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
    value: float | None = None
    """What its expression gave then; by it is known whether a limit was passed since."""


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
    """Ids of silences; and `maintenance:<node>` while its node is in maintenance."""
    inhibited_by: tuple[str, ...] = ()
    """Fingerprints of alerts that explain it."""
    flapping: bool = False
    changes: int = 0
    """In the last half hour: how often it went on or off."""
    escalated: datetime | None = None
    unseen: bool = False
    """It fired and cleared while nobody took it; stays until it is dismissed."""
    worse: int = 0
    """How often it got worse than it was acknowledged, since it fired."""
    group: str = ""
    """The group of rules it is of."""


def urgency(alert: Alert) -> tuple[int, int, int, datetime]:
    """The order of triage, the lowest first: open, worst, escalated, oldest.

    What nobody has taken comes before what somebody minds; what is silenced or explained
    by another alert comes after all that is on, and so does what asks for nothing: a
    watchdog, which always fires.
    """
    if alert.severity == "none":
        rank = 6
    elif alert.silenced_by or alert.inhibited_by:
        rank = 5
    elif alert.state == "firing":
        rank = 0 if alert.ack is None else 2
    elif alert.unseen:
        rank = 1
    else:
        rank = {"recovering": 3, "pending": 4}.get(alert.state, 6)
    escalated = 0 if alert.escalated is not None else 1
    return rank, SEVERITIES.index(alert.severity), escalated, alert.since


MatcherKind = Literal["=", "!=", "=~", "!~"]


MAINTENANCE = "maintenance:"
"""Before a node's name in `Alert.silenced_by`: nobody is told while it is worked on."""


def resting(silenced_by: tuple[str, ...]) -> str:
    """The nodes in maintenance among what silences an alert; empty if there are none."""
    nodes = [one.removeprefix(MAINTENANCE) for one in silenced_by if _rests(one)]
    return ", ".join(nodes)


def only_resting(silenced_by: tuple[str, ...]) -> bool:
    """Whether it is maintenance alone that silences an alert."""
    return bool(silenced_by) and all(_rests(one) for one in silenced_by)


def _rests(one: str) -> bool:
    return one.startswith(MAINTENANCE)


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


class NewAck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of POST /v1/alerts/{fingerprint}/ack."""

    note: str = ""
    duration_s: int | None = None
    """For so long; None: until it is over, or gets worse."""


class NewNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of POST /v1/alerts/{fingerprint}/note."""

    text: str


class EvidenceSeries(msgspec.Struct, frozen=True, kw_only=True):
    """What one series of an alert's expression did around the moment it fired."""

    labels: dict[str, str]
    times: tuple[float, ...]
    """Unix seconds, growing."""
    values: tuple[float | None, ...]
    """One for each time; None: no value there."""


class EvidenceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a log, or one event, near the moment."""

    time: datetime
    severity: str
    node: str
    text: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What was the case when an alert fired; frozen then, and completed once.

    The series reach 15 minutes to both sides, the lines 30 seconds.
    """

    at: datetime
    expression: str
    series: tuple[EvidenceSeries, ...] = ()
    lines: tuple[EvidenceLine, ...] = ()
    tasks: tuple[str, ...] = ()
    """Ids of tasks that failed or waited longest then."""
    profile: tuple[str, ...] = ()
    """The functions that took most time on the node then, the first first."""
    complete: bool = False
    """Whether the time after the moment is in it, too."""


class AlertChange(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an alert's history."""

    id: str
    time: datetime
    fingerprint: str
    name: str
    severity: AlertSeverity
    change: Literal[
        "pending",
        "firing",
        "recovering",
        "resolved",
        "acknowledged",
        "unacknowledged",
        "reopened",
        "noted",
        "dismissed",
        "escalated",
        "flapping",
        "steady",
        "silenced",
        "unsilenced",
    ]
    by: str = ""
    """Who did it; empty: its rule."""
    text: str = ""
    labels: dict[str, str] = {}
    """Of the alert, when it fired; else empty."""


class AlertDetail(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/alerts/{fingerprint}: all that helps with one alert."""

    alert: Alert
    expression: str
    """Of its rule."""
    evidence: Evidence | None
    history: tuple[AlertChange, ...]
    """Newest first."""
    runbook: str
    """Markdown; empty if its rule has none."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule as it stands, and what its last evaluation said."""

    name: str
    kind: Literal["alerting", "recording"]
    expression: str
    group: str
    file: str
    for_s: float
    keep_firing_for_s: float
    interval_s: float
    labels: dict[str, str]
    annotations: dict[str, str]
    health: Literal["ok", "err", "unknown"]
    error: str = ""
    evaluated: datetime | None = None
    duration_ms: float = 0.0
    alerts: int = 0
    """Of it that are on."""
    local: bool = False
    """It is evaluated by every node for itself, without the cluster."""


class RulesLoaded(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/rules/reload: what is in force now."""

    groups: int
    rules: int
    files: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    """Such as a selector that matches nothing."""


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/alerts/handover: what one shift tells the next."""

    since: datetime
    until: datetime
    open: tuple[Alert, ...]
    """On now, in the order of triage."""
    acknowledged: tuple[Alert, ...]
    unseen: tuple[Alert, ...]
    """Fired and cleared while nobody looked."""
    noisiest: tuple[tuple[str, int], ...]
    """Names, and how often they fired."""
    silences: tuple[Silence, ...]
    """In force, or ended in the time."""
    changes: tuple[AlertChange, ...]
    """Newest first, at most 200."""
    text: str
    """All of this as Markdown, to be pasted."""
