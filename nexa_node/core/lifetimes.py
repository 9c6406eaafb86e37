"""How long a message is kept: by its inbox or topic, and by its sender's wish.

Inboxes and topics share one stream, whose age is the longest of all; whatever has to go
earlier says so itself.
"""

import math

from nexa_node.core.policies import RetentionPolicy

_HOUR_S = 3600


def stream_age_s(retention: RetentionPolicy) -> int:
    """The longest time that anything is kept; at least a second."""
    hours = (
        retention.inbox_hours,
        retention.topics_hours,
        *retention.topics_hours_of.values(),
    )
    return _seconds(max(hours))


def inbox_ttl_s(retention: RetentionPolicy, asked: int | None) -> int | None:
    """How long one message of an inbox lives; None: as long as the stream keeps any."""
    return _least(retention, retention.inbox_hours, asked)


def topic_ttl_s(
    retention: RetentionPolicy, namespace: str, asked: int | None
) -> int | None:
    """How long one message of a topic lives; None: as long as the stream keeps any."""
    own = retention.topics_hours_of.get(namespace, retention.topics_hours)
    return _least(retention, own, asked)


def objects_age_s(retention: RetentionPolicy) -> int:
    """How long large data is kept; at least a second."""
    return _seconds(retention.objects_hours)


def _least(
    retention: RetentionPolicy, own_hours: float, asked: int | None
) -> int | None:
    own, longest = _seconds(own_hours), stream_age_s(retention)
    if asked is not None:
        return max(1, min(asked, own))
    return own if own < longest else None


def _seconds(hours: float) -> int:
    return max(1, math.ceil(hours * _HOUR_S))
