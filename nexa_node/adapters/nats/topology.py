"""Which streams and buckets there are, under which names, and how each is kept."""

import msgspec

from nexa_node.adapters.nats import wire
from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import is_slug
from nexa_node.core.alerting.notifying.tracks import FORGET_AFTER
from nexa_node.core.lifetimes import objects_age_s, stream_age_s
from nexa_node.core.policies import RetentionPolicy
from nexa_node.core.topics import check_pattern

TASKS, AGENTS, SESSIONS, TOKENS = "nx_tasks", "nx_agents", "nx_sessions", "nx_tokens"
ROLES = "nx_roles"
QUOTAS = "nx_quotas"
"""What namespaces may use, and what nodes counted of it."""
PROBES = "nx_probe"
NODES, LEASES, CLUSTER = "nx_nodes", "nx_leases", "nx_cluster"
NOTIFY = "nx_notify"
"""What each receiver was told; forgotten by age, see `core.alerting.notifying.tracks`."""
ALERTS = "nx_alerts"
"""The board, silences and evidence, under names of their own."""
SHARED, CONFLICTS = "nx_shared", "nx_conflicts"
"""What users share; and what became of it when two wrote at once."""
CONFLICTS_S = 30 * 24 * 3600
AUDIT = "nx_audit"
"""Checkpoints of the nodes' audits, one a day and chain; see `core.audit`."""
BUCKETS = (
    TASKS,
    AGENTS,
    SESSIONS,
    TOKENS,
    ROLES,
    QUOTAS,
    CLUSTER,
    ALERTS,
    AUDIT,
    SHARED,
)
EXPIRING = (NODES,)
"""Of entries with a time to live of their own, whose end watchers hear of by a marker.

Not leases: nats-server (2.15) puts the marker of an entry that is over behind whatever
took its place meanwhile, so one that was renewed at the last moment would be wiped out,
and somebody else could have it.
"""

TASKQ, INBOX, EVENTS, PROBE = "NX_TASKQ", "NX_INBOX", "NX_EVENTS", "NX_PROBE"
OBJECTS = "NX_OBJECTS"
ALERT_LOG = "NX_ALERT_LOG"
NOTIFIED = "NX_NOTIFIED"
TASKQ_PREFIX = "nx.task.q"
INBOX_PREFIX = "nx.inbox"
TOPIC_PREFIX = "nx.topic"
"""In the inboxes' stream, so that one position tells how far an agent has read."""
FAST_PREFIX = "nx.fast"
FAST_TOPIC_PREFIX = "nx.fast-topic"
REPLY_PREFIX = "nx.reply"
PARTIAL_PREFIX = "nx.partial"
PIECE_PREFIX, META_PREFIX = "nx.object.piece", "nx.object.meta"
EVENTS_SUBJECT = "nx.events"
ALERT_LOG_PREFIX = "nx.alert.log"
NOTIFIED_SUBJECT = "nx.notified"
PROBE_SUBJECT = "nx.probe"

EPOCH = "nexa.epoch"
"""In a stream's metadata: drawn when it was made, so a lost and remade one differs."""
SET_BY = "nexa.version"
"""In a stream's metadata: which nexa gave it its settings."""
CLUSTER_ID = "nexa.cluster"
"""In a stream's metadata: whose it is. A cluster that is being formed has none yet."""
PROBE_S = 60
MARKER_S = 60
"""How long it can be seen that an entry's time was over."""
_HOUR_S = 3600


def subject(*tokens: str) -> str:
    """Join tokens; the first may have dots, what comes from outside may not.

    Raises:
        Invalid: One of them is not a slug, so it could mean another subject.
    """
    for token in tokens[1:]:
        if not is_slug(token):
            raise Invalid(
                f"{token[:80]!r} can't be part of a name in the store",
                remedy="use a-z, 0-9, _ and -, at most 63 of them",
            )
    return ".".join(tokens)


def topic_subject(prefix: str, namespace: str, topic: str) -> str:
    """Join a namespace and a topic, or a pattern of topics.

    Raises:
        Invalid: The namespace or a token of the topic could mean something else.
    """
    start = subject(prefix, namespace)
    check_pattern("topic", topic)
    return f"{start}.{topic}"


def bucket_stream(bucket: str) -> str:
    """Name the stream of a KV bucket."""
    return f"KV_{bucket}"


def bucket_prefix(bucket: str) -> str:
    """What stands before a key in its subject."""
    return f"$KV.{bucket}."


class NotReady(Exception):
    """The cluster has no leader yet, or its founder has not made everything."""


def plan(
    retention: RetentionPolicy, replicas: int = 1
) -> tuple[wire.StreamConfig, ...]:
    """Say how every stream should be kept, and in how many copies it is made."""
    planned = _plan(retention)
    return tuple(msgspec.structs.replace(one, num_replicas=replicas) for one in planned)


def _plan(retention: RetentionPolicy) -> tuple[wire.StreamConfig, ...]:
    return (
        *(_bucket(name) for name in BUCKETS),
        *(_bucket(name, marker_s=MARKER_S) for name in EXPIRING),
        _bucket(LEASES),
        _bucket(PROBES, max_age_s=PROBE_S),
        _bucket(CONFLICTS, max_age_s=CONFLICTS_S),
        _bucket(NOTIFY, max_age_s=int(FORGET_AFTER.total_seconds())),
        wire.StreamConfig(
            name=TASKQ,
            subjects=(f"{TASKQ_PREFIX}.>",),
            retention="workqueue",
            discard="new",
            allow_atomic=True,
        ),
        _aging(INBOX, INBOX_PREFIX, TOPIC_PREFIX, age_s=stream_age_s(retention)),
        _aging(OBJECTS, PIECE_PREFIX, META_PREFIX, age_s=objects_age_s(retention)),
        wire.StreamConfig(
            name=EVENTS,
            subjects=(EVENTS_SUBJECT,),
            max_age=int(retention.events_hours * _HOUR_S) * wire.SECOND,
            allow_direct=True,
            allow_atomic=True,
        ),
        wire.StreamConfig(
            name=NOTIFIED,
            subjects=(NOTIFIED_SUBJECT,),
            max_age=int(retention.notifications_hours * _HOUR_S) * wire.SECOND,
            allow_direct=True,
            allow_atomic=True,
        ),
        _aging(
            ALERT_LOG, ALERT_LOG_PREFIX, age_s=int(retention.alerts_hours * _HOUR_S)
        ),
        wire.StreamConfig(
            name=PROBE,
            subjects=(PROBE_SUBJECT,),
            max_age=PROBE_S * wire.SECOND,
            duplicate_window=PROBE_S * wire.SECOND,
        ),
    )


def _aging(name: str, *prefixes: str, age_s: int) -> wire.StreamConfig:
    return wire.StreamConfig(
        name=name,
        subjects=tuple(f"{prefix}.>" for prefix in prefixes),
        max_age=age_s * wire.SECOND,
        duplicate_window=min(120, age_s) * wire.SECOND,
        allow_direct=True,
        allow_msg_ttl=True,
        allow_atomic=True,
    )


def _bucket(name: str, *, max_age_s: int = 0, marker_s: int = 0) -> wire.StreamConfig:
    window = min(120, max_age_s or 120)
    return wire.StreamConfig(
        name=bucket_stream(name),
        subjects=(f"{bucket_prefix(name)}>",),
        max_msgs_per_subject=1,
        discard="new",
        max_age=max_age_s * wire.SECOND,
        duplicate_window=window * wire.SECOND,
        allow_rollup_hdrs=True,
        allow_direct=True,
        allow_msg_ttl=True,
        allow_atomic=True,
        deny_delete=True,
        subject_delete_marker_ttl=marker_s * wire.SECOND,
    )
