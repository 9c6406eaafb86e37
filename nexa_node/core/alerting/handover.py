"""What one shift tells the next: put together from the board and the history, and written."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from nexa_node.contract.alerts import (
    Alert,
    AlertChange,
    Handover,
    Silence,
    only_resting,
    resting,
)
from nexa_node.contract.matchers import written

CHANGES_MAX = 200
NOISIEST = 10
_MARKS = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>#|"})


def handover(
    alerts: Iterable[Alert],
    changes: Sequence[AlertChange],
    silences: Iterable[Silence],
    *,
    since: datetime,
    now: datetime,
) -> Handover:
    """Put a report together.

    Args:
        alerts: All on the board, in the order of triage.
        changes: Of the time, the newest first.
        silences: All there are.
        since: When the shift began.
        now: When it ends.
    """
    board = [one for one in alerts if one.severity != "none"]
    on = [one for one in board if one.state in ("firing", "recovering")]
    counted = Counter(one.name for one in changes if one.change == "firing")
    told = Handover(
        since=since,
        until=now,
        open=tuple(one for one in on if one.ack is None),
        acknowledged=tuple(one for one in on if one.ack is not None),
        unseen=tuple(one for one in board if one.unseen),
        noisiest=tuple(counted.most_common(NOISIEST)),
        silences=tuple(
            one for one in silences if one.ends > since and one.starts <= now
        ),
        changes=tuple(changes[:CHANGES_MAX]),
        text="",
    )
    return _with_text(told, now)


def _with_text(told: Handover, now: datetime) -> Handover:
    return msgspec.structs.replace(told, text=markdown(told, now))


def markdown(told: Handover, now: datetime) -> str:
    """Write a report; every text from outside stands there as text."""
    counts = (
        f"{len(told.open)} open, {len(told.acknowledged)} acknowledged,"
        f" {len(told.unseen)} fired and cleared unseen."
    )
    span = f"{_time(told.since)} to {_time(told.until)}"
    lines = [f"# Handover, {span}", "", counts]
    lines += _section("Open", [_alert(one, now) for one in told.open])
    lines += _section("Acknowledged", [_acked(one, now) for one in told.acknowledged])
    lines += _section("Fired and cleared unseen", [_alert(o, now) for o in told.unseen])
    noisy = [f"{_plain(name)}: {count} times" for name, count in told.noisiest]
    lines += _section("Noisiest", noisy)
    lines += _section("Silences", [_silence(one, now) for one in told.silences])
    lines += _section("What happened", [_change(one) for one in told.changes])
    return "\n".join(lines) + "\n"


def _section(title: str, items: Iterable[str]) -> list[str]:
    listed = [f"- {item}" for item in items]
    return ["", f"## {title}", "", *(listed or ["nothing"])]


def _alert(alert: Alert, now: datetime) -> str:
    words = [f"**{alert.severity}** {_plain(alert.name)}"]
    if summary := alert.annotations.get("summary"):
        words.append(_plain(summary))
    words.append(f"since {_time(alert.since)} ({_age(alert.since, now)})")
    rests = resting(alert.silenced_by)
    marks = [
        mark
        for mark, there in (
            ("escalated", alert.escalated is not None),
            ("flapping", alert.flapping),
            (
                "silenced",
                bool(alert.silenced_by) and not only_resting(alert.silenced_by),
            ),
            (f"maintenance of {_plain(rests)}", bool(rests)),
            ("inhibited", bool(alert.inhibited_by)),
        )
        if there
    ]
    told = ", ".join(words) + (f" [{', '.join(marks)}]" if marks else "")
    notes = [
        f"  - {_plain(note.by)}, {_time(note.at)}: {_plain(note.text)}"
        for note in alert.notes[-3:]
    ]
    return "\n".join([told, *notes])


def _acked(alert: Alert, now: datetime) -> str:
    ack = alert.ack
    if ack is None:
        return _alert(alert, now)
    until = "until it is over" if ack.until is None else f"until {_time(ack.until)}"
    note = f": {_plain(ack.note)}" if ack.note else ""
    first, *rest = _alert(alert, now).split("\n")
    return "\n".join([f"{first}; {_plain(ack.by)} has it {until}{note}", *rest])


def _silence(silence: Silence, now: datetime) -> str:
    conditions = ", ".join(_plain(written(one)) for one in silence.matchers)
    how = "ended" if silence.ends <= now else "ends"
    return (
        f"{conditions} by {_plain(silence.by)}, {how} {_time(silence.ends)}:"
        f" {_plain(silence.comment)}"
    )


def _change(change: AlertChange) -> str:
    who = f" by {_plain(change.by)}" if change.by else ""
    text = f": {_plain(change.text)}" if change.text else ""
    return f"{_time(change.time)} {_plain(change.name)} {change.change}{who}{text}"


def _plain(text: str) -> str:
    """Let text stand for itself: on one line, no mark-up, nothing a terminal acts on."""
    flat = " ".join(text.split())[:300]
    shown = "".join(each if each.isprintable() else "?" for each in flat)
    return shown.translate(_MARKS)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _age(since: datetime, now: datetime) -> str:
    minutes = max(0, int((now - since).total_seconds() // 60))
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
