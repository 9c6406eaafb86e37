"""The body of a webhook: Alertmanager's, version 4, so its receivers work unchanged."""

import msgspec

from nexa_node.core.alerting.notifying.notices import Notice, Notification
from nexa_node.core.alerting.notifying.texts import stamp

VERSION = "4"


class WebhookAlert(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One alert of it."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    ends_at: str
    """Go's zero time while it fires."""
    generator_url: str = msgspec.field(name="generatorURL")
    fingerprint: str


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All of it, in Alertmanager's order of fields."""

    receiver: str
    status: str
    alerts: tuple[WebhookAlert, ...]
    group_labels: dict[str, str]
    common_labels: dict[str, str]
    common_annotations: dict[str, str]
    external_url: str = msgspec.field(name="externalURL")
    version: str = VERSION
    group_key: str
    truncated_alerts: int = 0


def webhook_body(notification: Notification) -> bytes:
    """Write the JSON that Alertmanager would send of the same alerts."""
    return msgspec.json.encode(
        WebhookBody(
            receiver=notification.receiver,
            status=notification.status,
            alerts=tuple(_alert(one, notification) for one in notification.notices),
            group_labels=notification.labels,
            common_labels=notification.common_labels,
            common_annotations=notification.common_annotations,
            external_url=notification.external_url,
            group_key=notification.group,
            truncated_alerts=notification.truncated,
        ),
        order="deterministic",  # labels by their names, as Go writes them
    )


def generator_url(fingerprint: str) -> str:
    """Where an alert comes from: opened by the console."""
    return f"nexa://alert/{fingerprint}"


def _alert(notice: Notice, notification: Notification) -> WebhookAlert:
    return WebhookAlert(
        status=notice.status,
        labels=notice.labels,
        annotations=notice.annotations,
        starts_at=stamp(notice.starts),
        ends_at=stamp(notice.ends if notice.status == "resolved" else None),
        generator_url=generator_url(notice.fingerprint),
        fingerprint=notice.fingerprint,
    )
