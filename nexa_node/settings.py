"""The node's settings: sections of policies, and where each value came from."""

import msgspec

from nexa_node.core.policies import (
    CanaryPolicy,
    CheckSpec,
    ClusterPolicy,
    HttpPolicy,
    LeasePolicy,
    LogPolicy,
    NodePolicy,
    Policy,
    QueuePolicy,
    RetentionPolicy,
    SamplePolicy,
    SelfTestPolicy,
    SessionPolicy,
    StorePolicy,
)


class Settings(Policy, frozen=True, kw_only=True):
    """All of `nexa.toml`."""

    node: NodePolicy = NodePolicy()
    http: HttpPolicy = HttpPolicy()
    store: StorePolicy = StorePolicy()
    cluster: ClusterPolicy = ClusterPolicy()
    sessions: SessionPolicy = SessionPolicy()
    leases: LeasePolicy = LeasePolicy()
    canary: CanaryPolicy = CanaryPolicy()
    retention: RetentionPolicy = RetentionPolicy()
    sampling: SamplePolicy = SamplePolicy()
    selftest: SelfTestPolicy = SelfTestPolicy()
    log: LogPolicy = LogPolicy()
    queues: tuple[QueuePolicy, ...] = msgspec.field(default=(), name="queue")
    checks: tuple[CheckSpec, ...] = msgspec.field(default=(), name="check")
