"""Alerts as rows, in the order of triage: what needs somebody first, first."""

from collections import Counter
from collections.abc import Mapping

from nexa_node.contract.alerts import SEVERITIES, Alert, only_resting, urgency
from nexa_tui.state.formats import age
from nexa_tui.state.listing import Cell, Column, Listing, Look, Order, how_old, since
from nexa_tui.state.severity import StyleKey, mark
from nexa_tui.state.store import ClusterState
from nexa_tui.state.text import clean

_HIDDEN = frozenset(("alertname", "severity", "job"))
"""Labels that say nothing a row does not say already."""


def is_problem(alert: Alert) -> bool:
    """Say whether it waits for somebody."""
    if alert.silenced_by or alert.inhibited_by or alert.severity == "none":
        return False
    return alert.unseen or (alert.state == "firing" and alert.ack is None)


def firing(state: ClusterState) -> tuple[tuple[str, int], ...]:
    """What fires and is not silenced, by severity, the worst first."""
    counts = Counter(
        alert.severity
        for alert in state.alerts.values()
        if alert.state == "firing" and not (alert.silenced_by or alert.inhibited_by)
    )
    return tuple((name, counts[name]) for name in SEVERITIES[:-1] if counts[name])


def subject(labels: Mapping[str, str]) -> str:
    """Which one it is: the labels that tell it from others of its name, `key=value`."""
    told = [f"{key}={labels[key]}" for key in sorted(labels) if key not in _HIDDEN]
    return clean(" ".join(told), 300)


def handling(alert: Alert, look: Look) -> tuple[str, StyleKey]:
    """Who minds it, or why nobody has to; the word `open` if somebody should."""
    dots = "..." if look.ascii_only else "…"
    if alert.silenced_by:
        return quiet_word(alert), "muted"
    if alert.inhibited_by:
        return "explained", "muted"
    if alert.severity == "none":
        return "-", "muted"
    if alert.ack is not None:
        left = since(look.now, alert.ack.until)
        until = "" if left is None else f" {age(left).strip()}"
        return f"{clean(alert.ack.by, 20)}{until}", "ok"
    if alert.unseen:
        return "unseen", "warn"
    if alert.state != "firing":
        return "-", "muted"
    if alert.escalated is not None:
        return "escalated", "crit"
    return ("flapping" + dots if alert.flapping else "open"), "warn"


def quiet_word(alert: Alert) -> str:
    """Why nobody is told of a silenced one: `maintenance` of its node, or `silenced`."""
    return "maintenance" if only_resting(alert.silenced_by) else "silenced"


def says(alert: Alert) -> str:
    """What it says of itself."""
    text = alert.annotations.get("summary") or alert.annotations.get("description", "")
    return clean(text or subject(alert.labels), 300)


def _state(alert: Alert, look: Look) -> Cell:
    shown = mark("condition", clean(alert.state, 20), ascii_only=look.ascii_only)
    style = shown.style
    if alert.state == "firing":
        style = mark("alert", alert.severity).style
    if alert.severity == "none":
        shown = mark("condition", "resolved", ascii_only=look.ascii_only)
        return Cell(f"{shown.glyph} {alert.state}", "muted")
    return Cell(shown.text, style)


def _severity(alert: Alert, look: Look) -> Cell:
    shown = mark("alert", alert.severity, ascii_only=look.ascii_only)
    return Cell(shown.text, shown.style if alert.state == "firing" else "muted")


def _handling(alert: Alert, look: Look) -> Cell:
    return Cell(*handling(alert, look))


ALERTS: Listing[Alert] = Listing(
    title="Alerts",
    columns=(
        Column("state", "state", 12, _state, urgency, narrow=11),
        Column("severity", "severity", 10, _severity,
               lambda a: SEVERITIES.index(a.severity), rank=2),
        Column("name", "alert", 18, lambda a, _: Cell(clean(a.name, 80), "strong"),
               lambda a: a.name, grows=1, narrow=14),
        Column("says", "says", 14, lambda a, _: Cell(says(a)), says, grows=3, rank=2),
        Column("since", "since", 6,
               lambda a, look: Cell(age(since(a.fired or a.since, look.now)), "muted"),
               lambda a: how_old(a.fired or a.since), right=True),
        Column("who", "handling", 12, _handling,
               lambda a: (a.ack is not None, a.ack.by if a.ack else ""), narrow=10),
        Column("times", "times", 6,
               lambda a, _: Cell(str(a.times), "warn" if a.flapping else "muted"),
               lambda a: a.times, right=True, rank=4, descending=True),
        Column("on", "on", 14, lambda a, _: Cell(subject(a.labels), "muted"),
               lambda a: subject(a.labels), grows=2, rank=3),
        Column("id", "id", 9, lambda a, _: Cell(clean(a.fingerprint[:8]), "muted"),
               lambda a: a.fingerprint, rank=5),
    ),
    key=lambda alert: alert.fingerprint,
    problem=is_problem,
    address=lambda alert: f"nexa://alerts/{alert.fingerprint}",
    first=Order("state"),
    empty=(
        "No alert is on, and none was missed. The rules that watch:",
        "nexa rules list",
    ),
)  # fmt: skip
"""The board: what nobody has taken comes first, the worst and the oldest of that first."""
