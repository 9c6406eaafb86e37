"""One alert in full: what is wrong, what was the case when it fired, what to do."""

from collections.abc import Iterator

from nexa_node.contract.alerts import (
    MAINTENANCE,
    Alert,
    AlertChange,
    AlertDetail,
    Evidence,
)
from nexa_tui.state.alerts import handling, says, subject
from nexa_tui.state.charts import Glyphs, sparkline
from nexa_tui.state.detail import Field, Heading, Line, Words, moment
from nexa_tui.state.formats import clock
from nexa_tui.state.listing import Look
from nexa_tui.state.severity import mark
from nexa_tui.state.text import clean, clean_lines

_SPARK = 48
_SERIES_MAX, _LINES_MAX, _CHANGES_MAX = 8, 30, 20
_RUNBOOK_MAX = 400


def alert_lines(
    alert: Alert, look: Look, detail: AlertDetail | None = None
) -> tuple[Line, ...]:
    """An alert; with `detail` its evidence, its runbook and its history, too."""
    return tuple(_alert(alert, look, detail))


def _alert(alert: Alert, look: Look, detail: AlertDetail | None) -> Iterator[Line]:
    shown = mark("condition", clean(alert.state, 20), ascii_only=look.ascii_only)
    severity = mark("alert", alert.severity, ascii_only=look.ascii_only)
    firing = alert.state == "firing"
    style = severity.style if firing else shown.style
    yield Field("state", f"{shown.text}, {severity.word}", style)
    yield Field("says", says(alert), "strong")
    description = alert.annotations.get("description", "")
    if description and description != alert.annotations.get("summary"):
        for line in clean_lines(description, 1000, 10):
            yield Field("", line)
    yield Field("on", subject(alert.labels) or "the cluster")
    if alert.value is not None:
        yield Field("value", f"{alert.value:.6g}")
    yield Field("since", moment(alert.fired or alert.since, look))
    if alert.resolved is not None:
        yield Field("resolved", moment(alert.resolved, look))
    yield from _minded(alert, look)
    if detail is not None:
        yield from _proof(detail.evidence, look)
        yield from _runbook(detail)
        yield from _history(detail.history)
        yield Heading("rule")
        yield Field("group", clean(alert.group, 120), "muted")
        for line in clean_lines(detail.expression, 1000, 20):
            yield Words(line, "muted")
    yield Field("id", clean(alert.fingerprint), "muted")


def _minded(alert: Alert, look: Look) -> Iterator[Line]:
    word, style = handling(alert, look)
    yield Field("handling", word, style)
    if alert.ack is not None:
        yield Field("taken", moment(alert.ack.at, look))
        if alert.ack.note:
            yield Field("", clean(alert.ack.note, 500))
    if alert.silenced_by:
        told = [
            one.replace(MAINTENANCE, "maintenance of ", 1) for one in alert.silenced_by
        ]
        yield Field("silenced by", clean(", ".join(told), 200), "muted")
    if alert.inhibited_by:
        yield Field("explained by", clean(" ".join(alert.inhibited_by), 200), "muted")
    if alert.flapping:
        yield Field("flapping", f"{alert.changes} changes in 30 minutes", "warn")
    for note in reversed(alert.notes):
        yield Field(f"{clock(note.at)}", clean(f"{note.by}: {note.text}", 500))


def _proof(evidence: Evidence | None, look: Look) -> Iterator[Line]:
    yield Heading("evidence")
    if evidence is None:
        yield Words(
            "None was kept: it has not fired, or the node was new then.", "muted"
        )
        return
    half = "" if evidence.complete else "; the time after it is still to come"
    yield Words(f"As it was at {clock(evidence.at)} UTC{half}", "muted")
    glyphs: Glyphs = "ascii" if look.ascii_only else "braille"
    for series in evidence.series[:_SERIES_MAX]:
        values = [value for value in series.values if value is not None]
        if not values:
            continue
        drawn = sparkline(series.values, _SPARK, glyphs=glyphs).text
        yield Words(f"{drawn}  {min(values):.4g} to {max(values):.4g}", "accent")
        yield Words(subject(series.labels) or "the cluster", "muted")
    more = len(evidence.series) - _SERIES_MAX
    if more > 0:
        yield Words(f"and {more} more series: nexa alerts show", "muted")
    for one in evidence.lines[-_LINES_MAX:]:
        shown = mark("event", clean(one.severity, 20), ascii_only=look.ascii_only)
        said = clean(f"{one.node} {one.text}", 300)
        yield Field(clock(one.time), f"{shown.glyph} {said}", shown.style)
    if evidence.tasks:
        yield Field("tasks", clean(" ".join(evidence.tasks), 500))
    for place, function in enumerate(evidence.profile, 1):
        yield Field("busiest" if place == 1 else "", clean(function, 200), "muted")


def _runbook(detail: AlertDetail) -> Iterator[Line]:
    yield Heading("runbook")
    if not detail.runbook:
        yield Words("Its rule names none.", "muted")
        return
    for line in clean_lines(detail.runbook, 2000, _RUNBOOK_MAX):
        if line.startswith("#"):
            yield Words(line.lstrip("# "), "strong")
        else:
            command = line.startswith(("    ", "\t"))
            yield Words(line, "accent" if command else "text")


def _history(history: tuple[AlertChange, ...]) -> Iterator[Line]:
    yield Heading("history")
    for one in history[:_CHANGES_MAX]:
        who = f" by {one.by}" if one.by else ""
        said = f": {one.text}" if one.text else ""
        yield Field(clock(one.time), clean(f"{one.change}{who}{said}", 300))
    if not history:
        yield Words("nothing yet", "muted")
