"""What became of an alert, told by its records before and after: history and events."""

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import Alert

Told = tuple[str, str]
"""One of `AlertChange.change`, and a sentence."""


def told(before: AlertRecord | None, after: AlertRecord | None) -> list[Told]:
    """Say what happened between two records of one alert, in order."""
    old = None if before is None else before.alert
    if after is None:
        return [] if old is None or not old.unseen else [("dismissed", "")]
    new = after.alert
    found: list[Told] = []
    if old is None or old.state != new.state:
        found.append((new.state, _why(new)))
    if old is not None:
        found += _handled(old, new)
    if new.escalated is not None and (old is None or old.escalated != new.escalated):
        found.append(("escalated", "nobody has acknowledged it"))
    if new.flapping != (old is not None and old.flapping):
        text = f"{new.changes} changes in half an hour"
        found.append(("flapping" if new.flapping else "steady", text))
    covered, was = bool(new.silenced_by), old is not None and bool(old.silenced_by)
    if covered != was:
        text = "by " + ", ".join(new.silenced_by) if covered else ""
        found.append(("silenced" if covered else "unsilenced", text))
    return found


def _handled(old: Alert, new: Alert) -> list[Told]:
    found: list[Told] = []
    if old.ack != new.ack and new.ack is not None:
        found.append(("acknowledged", new.ack.note))
    elif old.ack is not None and new.ack is None and old.state != "resolved":
        # What fires again once it was over is a new occurrence: nobody reopened it.
        found.append(("reopened", "it got worse" if new.worse > old.worse else ""))
    known = set(old.notes)
    found += [("noted", note.text) for note in new.notes if note not in known]
    if old.unseen and not new.unseen and new.ack == old.ack and new.state == old.state:
        found.append(("dismissed", ""))
    return found


def _why(alert: Alert) -> str:
    return alert.annotations.get("summary", "")[:500]
