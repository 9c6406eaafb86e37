"""Every number an operator may set, grouped by the decision it governs.

Each Struct is one section of `nexa.toml`; a service gets its own policy, never the
whole settings. The string under a field is its documentation, and its reason.
"""

from typing import Literal

import msgspec

from nexa_node.contract.frames import DATA_LIMIT, FRAME_LIMIT
from nexa_node.contract.places import DEFAULT_HOST, DEFAULT_PORT


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One section: unknown keys are errors, so that a misspelt one is not ignored."""


class NodePolicy(Policy, frozen=True, kw_only=True):
    """`[node]`: who this node is and where it listens."""

    name: str = ""
    """A slug; empty takes the host's name."""
    cluster: str = "nexa"
    """The name the console shows at the top left."""
    host: str = DEFAULT_HOST
    """Loopback: nothing but this machine. Elsewhere the port speaks TLS; see `[tls]`."""
    port: int = DEFAULT_PORT
    """For REST and WebSocket; 0 takes a free one."""


class StorePolicy(Policy, frozen=True, kw_only=True):
    """`[store]`: the supervised nats-server; or a NATS of your own, docs/attach.md."""

    mode: Literal["supervised", "attached"] = "supervised"
    """attached: no nats-server is started; `urls` has a NATS that you run."""
    nats_server: str = ""
    """An official binary to use instead of the bundled one."""
    sha256: str = ""
    """Of that binary; required with `nats_server`, so that a swapped one is refused."""
    max_bytes: int = 10 * 1024**3
    """The most the store may take of the disk."""
    request_timeout_ms: int = 5000
    """After that a call answers `unavailable`."""
    restart_backoff_ms: int = 200
    """Before the first restart of a crashed server; doubles up to 10 s."""
    urls: tuple[str, ...] = ()
    """attached: nats://HOST:PORT or tls://HOST:PORT of several servers of one NATS; the
    next one is taken when one is lost."""
    creds_file: str = ""
    """attached: a user's JWT and seed, mode 0600. At most one kind of credentials."""
    nkey_file: str = ""
    """attached: a user's nkey seed, mode 0600."""
    username: str = ""
    """attached: with `password_file`."""
    password_file: str = ""
    """attached: mode 0600; never the password itself. Needs TLS beyond this machine."""
    token_file: str = ""
    """attached: a token, mode 0600. Needs TLS beyond this machine."""
    ca_file: str = ""
    """attached: trust these certificates, and ask for TLS."""
    cert_file: str = ""
    """attached: this node's certificate, with `key_file`."""
    key_file: str = ""
    """attached: its key, mode 0600."""
    domain: str = ""
    """attached: the JetStream domain that has the streams, if not the servers' own."""
    replicas: Literal[1, 3, 5] = 1
    """attached: copies of each stream. Raised in streams that are there, never lowered."""
    account_bytes: int = 1024**3
    """attached: storage that the account must allow, or the node does not start."""
    clock_ms: int = 1000
    """attached: how far the servers' clock may be from this one's."""
    sync_always: bool = False
    """attached: your word that all servers have `sync_interval: always`, which a client
    can't see. Until then the self-test warns."""


class ClusterPolicy(Policy, frozen=True, kw_only=True):
    """`[cluster]`: this node among others."""

    host: str = ""
    """Where other nodes reach this one; empty takes `[node] host`."""
    route_port: int = 0
    """For the stores' routes, mutual TLS only; 0 takes a free one once and keeps it."""
    join_port: int = 0
    """For nodes that join, TLS only, open while a join token is; 0 takes a free one."""
    replicas: Literal[0, 1, 3, 5] = 0
    """Copies of each stream; 0 takes 1 with one or two nodes and 3 with more."""
    beat_ms: int = 500
    """How often a node gives a sign of life."""
    suspect_ms: int = 1500
    """Silent for so long a node is suspected; others are asked what they hear."""
    dead_ms: int = 3000
    """Silent for so long, and for a majority, a node is dead: its leases are over."""
    lease_ms: int = 3000
    """The controller's lease; renewed each third of it."""
    certificate_hours: float = 2160.0
    """How long certificates for the routes live; made anew at two thirds of it."""
    backup_every_hours: float = 0.0
    """A scheduled backup; 0 makes none."""
    backup_folder: str = ""
    """Where to; empty takes `backups` in the node's folder."""
    backup_keep: int = 7
    """Newest backups kept."""
    backup_key_file: str = ""
    """A secret of 32 bytes or more, mode 0600: kept backups are sealed with it."""


class SessionPolicy(Policy, frozen=True, kw_only=True):
    """`[sessions]`: agents' connections."""

    heartbeat_ms: int = 25_000
    """Ping interval, ±10 %; two missed pongs close the connection."""
    hello_timeout_ms: int = 5000
    """From the upgrade to `session.hello`."""
    frame_bytes: int = FRAME_LIMIT
    data_bytes: int = DATA_LIMIT
    inflight: int = 64
    """Requests of one agent that may be unanswered at once."""
    outbound_frames: int = 1000
    outbound_bytes: int = 4 * 1024 * 1024
    """Over either the connection is slow, and closed with 4408."""
    connections: int = 5000
    """Agents one node takes. One that comes back for its own place is always let in."""
    connections_per_identity: int = 1000
    """Connections by one token: a fleet may share one, and must not fill the node."""
    connections_per_address: int = 1000
    """Connections with a token from one address."""
    waiting: int = 256
    """Connections that came without a token and have not said hello. They take no place
    of those above; the oldest is closed for a newer one, once it had a second."""
    waiting_per_address: int = 32
    """Of them, from one address."""
    hold_ms: int = 3000
    """An agent's id belongs to the identity that opened its session, and for so long
    after its connection is gone. A session that said bye, or whose token was revoked, is
    over at once; an admin may take over at any time."""
    messages_per_s: float = 50.0
    """Messages one identity may send, on average."""
    messages_burst: int = 100
    """Messages one identity may send at once."""


class LeasePolicy(Policy, frozen=True, kw_only=True):
    """`[leases]`: who owns a task until when."""

    lease_ms: int = 30_000
    """Without a renewal for so long, the task goes back to the queue."""
    grace_ms: int = 3000
    """How long a task waits for a disconnected agent to resume. Fencing makes an early
    end safe; it only costs work done twice."""
    accept_timeout_ms: int = 5000
    """How long an agent may take to accept or reject an assignment."""


class RetentionPolicy(Policy, frozen=True, kw_only=True):
    """`[retention]`: how long finished things stay."""

    tasks_hours: float = 72.0
    tasks_max: int = 100_000
    """Finished tasks kept, whichever limit is met first."""
    events_hours: float = 72.0
    alerts_hours: float = 720.0
    """How long it can be read what became of alerts."""
    inbox_hours: float = 168.0
    """How long an inbox keeps what nobody fetches."""
    inbox_max: int = 10_000
    """Messages one inbox holds; above that the sender is told, not the oldest lost."""
    topics_hours: float = 24.0
    """How long a topic's messages can be replayed; a namespace may have its own."""
    topics_hours_of: dict[str, float] = {}
    """By namespace."""
    notifications_hours: float = 168.0
    """How long the delivery log is kept."""
    audit_days: float = 400.0
    """How long a node keeps what was done."""
    audit_max_bytes: int = 10 * 1024**3
    """Above that the oldest goes sooner."""
    objects_hours: float = 24.0
    """How long the large data behind a claim check is kept."""
    objects_max_bytes: int = 64 * 1024**2
    """The largest of them."""


class QueuePolicy(Policy, frozen=True, kw_only=True):
    """`[[queue]]`: how the tasks of one capability are handed out."""

    name: str
    """The capability."""
    namespace: str = "default"
    strategy: Literal[
        "least_loaded", "round_robin", "weighted", "latency", "sticky", "cost"
    ] = "least_loaded"
    """Which of the free agents gets the next task."""


class CanaryPolicy(Policy, frozen=True, kw_only=True):
    """`[canary]`: proving that what is queued still comes out."""

    every_ms: int = 60_000
    """How often each capability of this node's agents is tested."""
    patience_ms: int = 10_000
    """A canary that did not come while agents had room for so long is lost: the queue
    is deaf, an operator is told, and what takes from it is made anew."""
    waiting_ms: int = 15_000
    """A task that waits for so long beside free slots brings the next test forward."""


class SamplePolicy(Policy, frozen=True, kw_only=True):
    """`[sampling]`: the beat of the feed."""

    interval_ms: int = 2000
    history: int = 300
    """Samples kept in memory: ten minutes."""


class SelfTestPolicy(Policy, frozen=True, kw_only=True):
    """`[selftest]`: limits of the built-in checks."""

    timeout_ms: int = 5000
    """For a check that names no other."""
    disk_free_warn_bytes: int = 1024**3
    disk_free_fail_bytes: int = 100 * 1024**2
    memory_free_warn_bytes: int = 512 * 1024**2
    fsync_warn_ms: float = 50.0
    certificate_warn_days: int = 21


CheckKind = Literal[
    "http", "tcp", "tls", "dns", "nats", "postgres", "redis", "smtp", "exec"
]


class CheckSpec(Policy, frozen=True, kw_only=True):
    """`[[check]]`: something outside that agents depend on."""

    name: str
    """A slug; the check's id is `connectivity.<name>`."""
    kind: CheckKind
    target: str = ""
    """http: a URL · tcp, tls, smtp: host:port · dns: a host name · nats, redis,
    postgres: a URL or host:port."""
    command: tuple[str, ...] = ()
    """exec: the program and its arguments; no shell, and of the environment only PATH,
    HOME, the user, the locale and the time zone. Exit 0 passes, 1 warns."""
    timeout_ms: int = 5000
    required: bool = False
    """A failure makes the node not ready; otherwise it is degraded."""
    expect_status: int = 0
    """http: the one status that passes; 0 passes 200 to 399."""
    expect_text: str = ""
    """http: must be in the first 64 KiB of the body."""
    warn_ms: int = 0
    """Slower than that warns; 0 never does."""
    warn_days: int = 21
    """tls, http over TLS: warn so many days before the certificate ends."""
    ca_file: str = ""
    """tls, http: trust these certificates instead of the system's."""
    username: str = ""
    """Without one, http sends the password as a bearer token and nats as a token."""
    password_file: str = ""
    """postgres, redis, nats, smtp, http: a file of mode 0600; never the password itself."""
    database: str = ""
    """postgres: the database; redis: its number."""


class AlertingPolicy(Policy, frozen=True, kw_only=True):
    """`[alerting]`: who evaluates rules, and who tells people."""

    mode: Literal["embedded", "alertmanager", "external"] = "embedded"
    """embedded: nexa evaluates and notifies. alertmanager: nexa evaluates, an Alertmanager
    notifies and owns the silences. external: a Prometheus evaluates; nexa shows."""
    alertmanagers: tuple[str, ...] = ()
    """URLs of all members of the Alertmanager's cluster: each is told."""
    prometheus: str = ""
    """external: the URL of the Prometheus that evaluates."""
    username: str = ""
    """For both, with `password_file`; without one, that is a bearer token."""
    password_file: str = ""
    """A file of mode 0600; never the password itself."""
    ca_file: str = ""
    """Trust these certificates instead of the system's."""
    external_url: str = ""
    """Where people reach this nexa: stands in notifications. Empty takes the node's."""
    runbook_base_url: str = ""
    """What `nexa://runbook/` becomes in notifications, which open no runbook offline."""
    heartbeat_url_file: str = ""
    """A file of mode 0600 with a URL that is called while `NexaWatchdog` fires."""
    heartbeat_every_ms: int = 60_000


class ReceiverPolicy(Policy, frozen=True, kw_only=True):
    """`[[receiver]]`: somebody who is notified. Secrets stand in files of mode 0600."""

    name: str
    """A slug, by which routes name it."""
    kind: Literal["webhook", "email", "slack", "pagerduty"]
    url: str = ""
    """webhook: where to; pagerduty: an address other than PagerDuty's own."""
    url_file: str = ""
    """webhook, slack: a file with the URL, if that is a secret."""
    token_file: str = ""
    """webhook: a bearer token; pagerduty: the integration key."""
    server: str = ""
    """email: host:port of the mail server."""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """email: how the connection is encrypted."""
    sender: str = ""
    """email: the address it comes from."""
    to: tuple[str, ...] = ()
    """email: the addresses it goes to."""
    username: str = ""
    """email, webhook: with `password_file`."""
    password_file: str = ""
    ca_file: str = ""
    """Trust these certificates instead of the system's."""
    send_resolved: bool = True
    """Tell when it is over, too."""
    per_minute: int = 30
    """Notifications a minute at most; the rest waits, joined with what comes after it."""
    timeout_ms: int = 10_000
    retry_hours: float = 24.0
    """How long one that could not be delivered is tried again."""


class RoutePolicy(Policy, frozen=True, kw_only=True):
    """`[[route]]`: which alerts go to whom. The first that matches takes an alert."""

    receivers: tuple[str, ...]
    match: tuple[str, ...] = ()
    """Conditions like `severity="critical"`, `team=~"a|b"`; all must hold."""
    proceed: bool = False
    """Look at the routes after this one, too (Alertmanager's `continue`)."""
    group_by: tuple[str, ...] = ("alertname",)
    """Alerts alike in these labels are told together; `...` tells each alone."""
    group_wait_ms: int = 30_000
    """How long a new group gathers alerts before the first notification."""
    group_interval_ms: int = 300_000
    """How long changes of a group gather."""
    repeat_hours: float = 4.0
    """After that, what still fires and nobody acknowledged is told again."""
    escalate_to: tuple[str, ...] = ()
    """Receivers to tell, one after another, when nobody acknowledges."""
    escalate_after_minutes: float = 30.0
    """How long each of them waits."""


class InhibitPolicy(Policy, frozen=True, kw_only=True):
    """`[[inhibit]]`: alerts that explain others, of which nobody is told meanwhile."""

    source: tuple[str, ...]
    """Conditions like `alertname="NodeDown"` on the alert that explains; all must hold."""
    target: tuple[str, ...]
    """Conditions on the alerts that are explained."""
    equal: tuple[str, ...] = ()
    """Labels that must be the same in both."""


class WatchdogPolicy(Policy, frozen=True, kw_only=True):
    """`[[watchdog]]`: somebody outside who calls us regularly, or is missed."""

    name: str
    """A slug: it calls POST /v1/watchdog/<name>."""


class LogPolicy(Policy, frozen=True, kw_only=True):
    """`[log]`."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    max_bytes: int = 10 * 1024 * 1024
    """A log file is rotated at this size; five are kept."""


class TlsPolicy(Policy, frozen=True, kw_only=True):
    """`[tls]`: whether the port is encrypted, and with what; docs/tls.md."""

    mode: Literal["auto", "on", "off"] = "auto"
    """auto: plain on loopback, TLS elsewhere. on: TLS on loopback, too. off: plain."""
    allow_plaintext: bool = False
    """With `mode = "off"` off loopback: your word that something else encrypts, a proxy or
    a private network. Tokens can be read on the way otherwise."""
    cert_file: str = ""
    """A certificate of your own, PEM, with those that lead to its authority. Empty: the
    cluster's authority signs one, and it is renewed by itself."""
    key_file: str = ""
    """Its key, mode 0600."""
    client_ca_file: str = ""
    """Take clients' certificates of these authorities. Empty: of the cluster's own one."""
    min_version: Literal["1.3", "1.2"] = "1.3"


class OidcPolicy(Policy, frozen=True, kw_only=True):
    """`[oidc]`: people who log in with an account they have elsewhere; docs/security.md."""

    issuer: str = ""
    """`https://…`, as its ID tokens name it; empty: nobody logs in so."""
    client_id: str = ""
    """Of nexa at the issuer: a public client that may use the device flow."""
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    """What is asked for; those whose claims `[[oidc_role]]` looks at belong here."""
    session_s: int = 12 * 3600
    """How long a login lasts."""
    leeway_s: int = 60
    """How far the issuer's clock may be from this one's."""
    ca_file: str = ""
    """Trust these certificates for the issuer; empty: the machine's own."""


class OidcRolePolicy(Policy, frozen=True, kw_only=True):
    """`[[oidc_role]]`: which role whom; the first that fits. Nobody else gets in."""

    claim: str
    """Of the ID token, `email` or `groups`; dots go into objects. A list has to have the
    value among others; an address counts once it is verified."""
    value: str
    """Exactly this."""
    role: str
    namespaces: tuple[str, ...] = ()
    """Nothing outside of these exists for him; none named: all."""


class HttpPolicy(Policy, frozen=True, kw_only=True):
    """`[http]`: the port's limits, before anybody has proved who they are."""

    names: tuple[str, ...] = ()
    """Host names this node may be called by, besides localhost, its own addresses and
    `[node] host`. Anything else is refused, or a web page could reach the node by a
    name that it lets resolve to 127.0.0.1."""
    header_timeout_ms: int = 5000
    """For a complete request header, from the first moment of the connection on."""
    header_bytes: int = 16 * 1024
    body_timeout_ms: int = 30_000
    """For a complete request body."""
    body_bytes: int = 1024 * 1024
    keep_alive_ms: int = 30_000
    """How long a connection may stay open between two requests."""
    write_timeout_ms: int = 10_000
    """A peer that takes nothing for so long is slow, and closed."""
    waiting_sockets: int = 256
    """Connections that have not sent a complete header yet; above that, the oldest is
    closed once it had a second."""
    waiting_sockets_per_address: int = 32
    """Of them, from one address: then its own oldest makes room."""
    consoles_per_identity: int = 8
    """Consoles that watch by one token. Agents have limits of their own: [sessions]."""
    consoles_per_address: int = 64
    """Consoles that watch from one address."""
    shutdown_timeout_ms: int = 3000
    """How long a stop waits for answers under way, and for peers to say goodbye."""
