"""The body of a Slack incoming webhook, in which nobody but us can call a channel.

Slack reads `<!channel>`, `<@U…>` and `<https://…|text>` in its texts: everywhere `&`, `<`
and `>` are escaped, and `verbatim` keeps it from making links and mentions by itself.
Limits are Slack's: 3,000 characters of a text, 50 blocks.
"""

import msgspec

from nexa_node.core.alerting.notifying.notices import Notice, Notification
from nexa_node.core.alerting.notifying.texts import (
    cut,
    described,
    details,
    headline,
    line,
    lines,
)

TEXT_MAX, HEADLINE_MAX, FOOTER_MAX, ALERTS_MAX = 3000, 300, 500, 20
_COLORS = {"critical": "#d93025", "error": "#d93025", "warning": "#e8a317"}
_OVER, _OTHER = "#2eb886", "#4a90d9"


class Text(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A text object."""

    type: str
    text: str
    verbatim: bool = False


class Block(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of the message."""

    type: str
    text: Text | None = None
    elements: tuple[Text, ...] = ()


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks beside a coloured bar."""

    color: str
    fallback: str
    blocks: tuple[Block, ...]


class SlackBody(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    text: str
    """What a notification on a phone shows."""
    attachments: tuple[Attachment, ...]
    link_names: bool = False
    unfurl_links: bool = False


def slack_body(notification: Notification) -> bytes:
    """Write the message."""
    shown = notification.notices[:ALERTS_MAX]
    left = len(notification.notices) - len(shown) + notification.truncated
    head = headline(notification, HEADLINE_MAX)
    blocks = [Block(type="section", text=_said(head)), *(_of(one) for one in shown)]
    footer = [f"{left} more alerts"] if left else []
    if notification.external_url:
        footer.append(notification.external_url)
    footer.append(notification.group)
    said = _said(line(" · ".join(footer), FOOTER_MAX))
    blocks.append(Block(type="context", elements=(said,)))
    return msgspec.json.encode(
        SlackBody(
            text=escaped(head),
            attachments=(
                Attachment(
                    color=_OVER
                    if notification.status == "resolved"
                    else _COLORS.get(notification.severity, _OTHER),
                    fallback=escaped(head),
                    blocks=tuple(blocks),
                ),
            ),
        )
    )


def escaped(text: str) -> str:
    """Write text so that Slack reads no command in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _of(notice: Notice) -> Block:
    rows = [f"{notice.status.upper()}: {lines(described(notice), 500)}"]
    rows += [f"{name}: {lines(text, 500)}" for name, text in details(notice)]
    return Block(type="section", text=_said("\n".join(rows)))


def _said(text: str) -> Text:
    """A text that fits. Cut before it is escaped: no escape is ever cut through."""
    safe = escaped(cut(text, TEXT_MAX))
    if len(safe) > TEXT_MAX:  # an escape is up to five times as long
        safe = escaped(cut(text, TEXT_MAX // 5))
    return Text(type="mrkdwn", text=safe, verbatim=True)
