"""The node's figures at the moment of a scrape, and the metrics they become.

`Readings` holds plain numbers of the node itself; `families` gives them the names under
which they are scraped. What is counted as it happens is in `meters`, what is read of the
machine, the cluster and the queues in `gauges`. No agent, task or user id is a label, and
every label child is there from the start: a rule is blind to a counter that does not
exist yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from nexa_node.contract.checks import SelfTest
from nexa_node.contract.nodes import Health, HostSample, TaskCounts
from nexa_node.core.exposition import (
    Buckets,
    Counter,
    Family,
    Gauge,
    Histogram,
    Sample,
)
from nexa_node.core.series import Buckets as Observed
from nexa_node.ports import StoreHealth

HEALTHS: tuple[str, ...] = get_args(Health)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Everything `/metrics` tells, before it has names."""

    version: str
    node: str
    cluster: str
    started: float
    """When the node started, seconds since 1970."""
    health: Health
    store: StoreHealth
    counts: TaskCounts
    lags: Observed
    """Of the event loop, seconds."""
    auth_failures: Mapping[str, int]
    auth_limited: int
    over_quota: Mapping[str, int]
    """Calls over a limit of their namespace, by limit."""
    denied: Mapping[str, int]
    """By action."""
    paced: int
    """Messages refused since their sender was too fast."""
    events_dropped: int
    events_thinned: int
    canaries: Mapping[str, int]
    """By outcome: passed, lost."""
    canary_s: float | None
    """How long the newest one took."""
    refused: Mapping[str, int]
    """Connections that were refused, by the setting that says so."""
    crashes: int
    host: HostSample | None
    selftest: SelfTest | None


def families(readings: Readings) -> tuple[Family, ...]:
    """Name all figures, as `core.exposition.render` takes them."""
    return (
        *_of_node(readings),
        *_of_work(readings),
        *_of_access(readings),
        *_of_host(readings.host),
        *_of_selftest(readings.selftest),
    )


def _of_node(it: Readings) -> tuple[Family, ...]:
    health = tuple(Sample(int(it.health == one), {"state": one}) for one in HEALTHS)
    return (
        _gauge("nexa_node_up", "1 while the node answers.", 1),
        _gauge(
            "nexa_node_start_timestamp_seconds", "When the node started.", it.started
        ),
        Gauge("nexa_node_health", "1 for the node's health, else 0.", health),
        _gauge("nexa_store_up", "1 while the store is connected.", it.store.connected),
        _counter(
            "nexa_store_restarts_total", "Restarts of nats-server.", it.store.restarts
        ),
        _histogram(
            "nexa_event_loop_lag_seconds", "How late the loop woke up.", it.lags
        ),
        _counter("nexa_service_crashes_total", "Crashes of services.", it.crashes),
        _counter(
            "nexa_events_dropped_total", "Events never stored.", it.events_dropped
        ),
        _counter(
            "nexa_events_thinned_total",
            "Routine events too many to be kept.",
            it.events_thinned,
        ),
    )


def _of_work(it: Readings) -> tuple[Family, ...]:
    statuses = TaskCounts.__struct_fields__
    counts = {status: int(getattr(it.counts, status)) for status in statuses}
    return (
        Counter(
            "nexa_canaries_total",
            "Canaries sent through this node's queues, by outcome.",
            _labelled("outcome", it.canaries),
        ),
        _gauge(
            "nexa_canary_duration_seconds",
            "How long the newest canary took; 0 before the first.",
            it.canary_s or 0.0,
        ),
        Counter(
            "nexa_connections_refused_total",
            "Connections refused, by the limit that was reached.",
            _labelled("limit", it.refused),
        ),
        Gauge("nexa_tasks", "Tasks in the store.", _labelled("status", counts)),
    )


def _of_access(it: Readings) -> tuple[Family, ...]:
    failures = (
        Sample(count, {"transport": "http", "reason": reason})
        for reason, count in it.auth_failures.items()
    )
    limited = (
        Sample(it.auth_limited, {"limit": "login", "scope": "address"}),
        *(
            Sample(count, {"limit": limit, "scope": "connections"})
            for limit, count in it.refused.items()
        ),
        Sample(it.paced, {"limit": "messages_per_s", "scope": "sender"}),
        *(
            Sample(count, {"limit": limit, "scope": "namespace"})
            for limit, count in it.over_quota.items()
        ),
    )
    return (
        Counter("nexa_auth_failures_total", "Refused logins.", tuple(failures)),
        Counter("nexa_rate_limit_rejections_total", "Over a limit.", limited),
        Counter(
            "nexa_authz_denied_total",
            "Calls that were not allowed.",
            _labelled("action", it.denied),
        ),
    )


def _of_host(host: HostSample | None) -> tuple[Family, ...]:
    if host is None:
        return ()
    state = {"mountpoint": "state"}
    return (
        _gauge("nexa_node_cpu_ratio", "Of the whole machine, busy.", host.cpu),
        _gauge(
            "nexa_node_memory_resident_bytes",
            "Of the node and its nats-server.",
            host.rss_bytes,
        ),
        Gauge(
            "nexa_node_filesystem_used_ratio",
            "Used where the state folder is.",
            (Sample(host.disk, state),),
        ),
    )


def _of_selftest(selftest: SelfTest | None) -> tuple[Family, ...]:
    if selftest is None:
        return ()
    told = tuple(
        Sample(int(check.status != "fail"), {"check": check.id})
        for check in selftest.checks
        if check.status in ("pass", "warn", "fail")
    )
    return (
        Gauge("nexa_selftest_success", "1 unless the check failed.", told),
        _gauge(
            "nexa_selftest_last_run_timestamp_seconds",
            "When the latest run began.",
            selftest.started.timestamp(),
        ),
    )


def _labelled(label: str, values: Mapping[str, int]) -> tuple[Sample, ...]:
    return tuple(Sample(value, {label: name}) for name, value in values.items())


def _gauge(name: str, text: str, value: float) -> Gauge:
    return Gauge(name, text, (Sample(float(value)),))


def _counter(name: str, text: str, value: float) -> Counter:
    return Counter(name, text, (Sample(float(value)),))


def _histogram(name: str, text: str, seen: Observed) -> Histogram:
    return Histogram(name, text, (Buckets(seen.bounds, seen.counts, seen.total),))
