"""The node's settings: sections of policies, and where each value came from."""

import msgspec

from nexa_node.core.policies import (
    AlertingPolicy,
    CanaryPolicy,
    CheckSpec,
    ClusterPolicy,
    HttpPolicy,
    InhibitPolicy,
    LeasePolicy,
    LogPolicy,
    NodePolicy,
    OidcPolicy,
    OidcRolePolicy,
    Policy,
    QueuePolicy,
    ReceiverPolicy,
    RetentionPolicy,
    RoutePolicy,
    SamplePolicy,
    SelfTestPolicy,
    SessionPolicy,
    StorePolicy,
    TlsPolicy,
    WatchdogPolicy,
)


class Settings(Policy, frozen=True, kw_only=True):
    """All of `nexa.toml`."""

    node: NodePolicy = NodePolicy()
    http: HttpPolicy = HttpPolicy()
    tls: TlsPolicy = TlsPolicy()
    oidc: OidcPolicy = OidcPolicy()
    store: StorePolicy = StorePolicy()
    cluster: ClusterPolicy = ClusterPolicy()
    sessions: SessionPolicy = SessionPolicy()
    leases: LeasePolicy = LeasePolicy()
    canary: CanaryPolicy = CanaryPolicy()
    retention: RetentionPolicy = RetentionPolicy()
    sampling: SamplePolicy = SamplePolicy()
    selftest: SelfTestPolicy = SelfTestPolicy()
    log: LogPolicy = LogPolicy()
    alerting: AlertingPolicy = AlertingPolicy()
    queues: tuple[QueuePolicy, ...] = msgspec.field(default=(), name="queue")
    oidc_roles: tuple[OidcRolePolicy, ...] = msgspec.field(default=(), name="oidc_role")
    checks: tuple[CheckSpec, ...] = msgspec.field(default=(), name="check")
    receivers: tuple[ReceiverPolicy, ...] = msgspec.field(default=(), name="receiver")
    routes: tuple[RoutePolicy, ...] = msgspec.field(default=(), name="route")
    inhibits: tuple[InhibitPolicy, ...] = msgspec.field(default=(), name="inhibit")
    watchdogs: tuple[WatchdogPolicy, ...] = msgspec.field(default=(), name="watchdog")
