"""One alert in full, for a person: condition, evidence, history, runbook."""

import argparse
from datetime import UTC, datetime

from nexa_node.contract.alerts import Alert, AlertDetail, Evidence, EvidenceSeries
from nexa_tui.client.rest import Rest
from nexa_tui.commands.output import Call, age, clean

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 48
LINES, CHANGES = 12, 10


def tell_detail(
    node: Rest, fingerprint: str, options: argparse.Namespace, call: Call
) -> int:
    """Ask for an alert, and tell it."""
    told = node.get(f"/v1/alerts/{fingerprint}", AlertDetail)
    if options.json:
        call.json(told)
        return 0
    _head(told.alert, told.expression, call)
    if told.evidence is not None:
        _evidence(told.evidence, call)
    if told.history:
        call.line()
        call.line("History", "bold")
        for change in told.history[:CHANGES]:
            who = f" by {change.by}" if change.by else ""
            text = f": {change.text}" if change.text else ""
            said = f"{change.time:%Y-%m-%d %H:%M:%S}Z {change.change}{who}{text}"
            call.line(f"  {clean(said)}")
    if told.runbook:
        call.line()
        for line in told.runbook.splitlines():
            call.line(clean(line, 500))
    return 0


def _head(alert: Alert, expression: str, call: Call) -> None:
    now = datetime.now(UTC)
    call.line(clean(f"{alert.name}: {alert.severity}, {alert.state}"), "bold")
    for name in ("summary", "description"):
        if text := alert.annotations.get(name):
            call.line(clean(text, 1000))
    rows = [
        ("fingerprint", alert.fingerprint),
        ("labels", ", ".join(f'{n}="{v}"' for n, v in sorted(alert.labels.items()))),
        ("expression", expression),
        ("value", "-" if alert.value is None else f"{alert.value:g}"),
        ("since", f"{alert.since:%Y-%m-%d %H:%M:%S}Z, {age(alert.since, now)} ago"),
        ("whose", _whose(alert)),
        ("fired", f"{alert.times} times, {alert.changes} changes in half an hour"),
    ]
    if alert.silenced_by:
        rows.append(("silenced by", ", ".join(alert.silenced_by)))
    if alert.inhibited_by:
        rows.append(("inhibited by", ", ".join(alert.inhibited_by)))
    for title, text in rows:
        call.line(f"  {title:<13} {clean(text, 1000)}")
    for note in alert.notes:
        call.line(f"  {clean(f'{note.at:%H:%M} {note.by}: {note.text}', 2200)}")


def _whose(alert: Alert) -> str:
    ack = alert.ack
    if ack is None:
        return "nobody's" + (", escalated" if alert.escalated is not None else "")
    until = "" if ack.until is None else f" until {ack.until:%Y-%m-%d %H:%M}Z"
    return f"{ack.by}'s{until}" + (f": {ack.note}" if ack.note else "")


def _evidence(evidence: Evidence, call: Call) -> None:
    call.line()
    more = "" if evidence.complete else ", what came after follows"
    call.line(f"Evidence of {evidence.at:%Y-%m-%d %H:%M:%S}Z{more}", "bold")
    for series in evidence.series:
        call.line(f"  {_line(series)}")
    for line in evidence.lines[-LINES:]:
        said = f"{line.time:%H:%M:%S} {line.severity} {line.node} {line.text}"
        call.line(f"  {clean(said)}")
    if evidence.tasks:
        call.line(f"  tasks: {clean(', '.join(evidence.tasks), 500)}")
    for place in evidence.profile:
        call.line(f"  {clean(place)}")


def _line(series: EvidenceSeries) -> str:
    labels = dict(series.labels)
    name = labels.pop("__name__", "")
    inside = ", ".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    known = [value for value in series.values if value is not None]
    if not known:
        return clean(f"{name}{{{inside}}}: no values", 300)
    span = f"{min(known):g} to {max(known):g}"
    return f"{_bars(series.values)} {clean(f'{name}{{{inside}}} {span}', 300)}"


def _bars(values: tuple[float | None, ...]) -> str:
    step = max(1, -(-len(values) // _WIDTH))
    some = [values[at : at + step] for at in range(0, len(values), step)]
    peaks = [max((v for v in part if v is not None), default=None) for part in some]
    known = [peak for peak in peaks if peak is not None]
    low, high = min(known), max(known)
    width = (high - low) or 1.0
    return "".join(
        " " if peak is None else _BARS[int((peak - low) / width * (len(_BARS) - 1))]
        for peak in peaks
    )
