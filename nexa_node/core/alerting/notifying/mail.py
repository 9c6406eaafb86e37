"""An e-mail: subject, text and headers; plain text, so nothing in it can run."""

from dataclasses import dataclass

from nexa_node.core.alerting.notifying.notices import Notification
from nexa_node.core.alerting.notifying.texts import (
    cut,
    described,
    details,
    headline,
    line,
    lines,
)
from nexa_node.core.alerting.notifying.tracks import track_key

SUBJECT_MAX, TEXT_MAX, ALERTS_MAX = 200, 256 * 1024, 100
_DOMAIN = "nexa.invalid"
"""Of message ids: a name that nobody can ever own (RFC 2606)."""


@dataclass(frozen=True, slots=True)
class Mail:
    """What to send; no line of a header has a break in it."""

    subject: str
    text: str
    headers: tuple[tuple[str, str], ...]


def mail_of(notification: Notification) -> Mail:
    """Write the mail. Its Message-ID is that of the delivery: doubles can be told."""
    thread = f"<{track_key(notification.receiver, notification.group)}@{_DOMAIN}>"
    headers = (
        ("Message-ID", f"<{line(notification.id, 80)}@{_DOMAIN}>"),
        ("References", thread),
        ("In-Reply-To", thread),
        ("Auto-Submitted", "auto-generated"),  # RFC 3834: no out-of-office answers it
        ("X-Auto-Response-Suppress", "All"),
        ("X-Nexa-Status", notification.status),
        ("X-Nexa-Severity", notification.severity),
    )
    return Mail(headline(notification, SUBJECT_MAX), _text(notification), headers)


def _text(notification: Notification) -> str:
    parts = [headline(notification, SUBJECT_MAX), ""]
    for notice in notification.notices[:ALERTS_MAX]:
        parts.append(f"{notice.status.upper()}  {lines(described(notice), 1000)}")
        parts += [
            f"    {name}: {lines(text, 2000).replace(chr(10), chr(10) + '        ')}"
            for name, text in details(notice)
        ]
        parts.append("")
    left = len(notification.notices[ALERTS_MAX:]) + notification.truncated
    if left:
        parts.append(f"and {left} more alerts\n")
    if notification.external_url:
        parts.append(line(notification.external_url, 500))
    parts.append(f"group {line(notification.group, 1000)}")
    return cut("\n".join(parts), TEXT_MAX) + "\n"
