"""The supervised server's configuration: loopback, nkeys, every write synced.

Nothing that a nats-server could open besides its one client port is opened; a member
of a cluster has a port for its routes, too: mutual TLS by the cluster's own authority,
and the cluster's password.
"""

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import nkeys

from nexa_node.adapters.nats import private
from nexa_node.adapters.nats.failures import StoreFailed
from nexa_node.contract.ids import slugify
from nexa_node.core.addresses import Address, parse_address

MAX_PAYLOAD = 4 * 1024**2
"""A task's record holds its data, its result and the errors of its attempts."""
MAX_PENDING = 32 * 1024**2
"""What a connection may owe us before it is cut off as slow; several payloads."""
LOG_BYTES = 4 * 1024**2
LOG_FILES = 3
ALONE, TOGETHER = "jetstream", "jetstream-cluster"
"""Names of the store's folder. One is never used as the other: nats-server removes a
lone server's streams half a minute after it was started as a member of a cluster."""
ROUTE_USER = "nexa"
ROUTE_RETRIES = 120
"""Seconds for which a route is tried again that only gossip told of. Those that are
written down are tried for ever."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the supervised server keeps its things, all inside the node's folder."""

    folder: Path
    store_name: str = ALONE

    @property
    def conf(self) -> Path:
        """The generated configuration."""
        return self.folder / "nats.conf"

    @property
    def store(self) -> Path:
        """JetStream's data, and the record of what should be there."""
        return self.folder / self.store_name

    @property
    def work(self) -> Path:
        """Credentials, logs, pid file: everything that is made again by each start."""
        return self.folder / "nats"

    @property
    def log(self) -> Path:
        """What nats-server logs; rotated by itself."""
        return self.work / "server.log"

    @property
    def output(self) -> Path:
        """What nats-server says before it logs, and Go's last words."""
        return self.work / "server.out"

    @property
    def pid_file(self) -> Path:
        """Which process the server is."""
        return self.work / "server.pid"

    @property
    def ports(self) -> Path:
        """Where nats-server tells that it listens."""
        return self.work / "ports"


@dataclass(frozen=True, slots=True)
class Key:
    """An nkey user: the seed is the secret, the public half goes into nats.conf."""

    seed: str
    public: str


def new_key(path: Path) -> Key:
    """Make a user's nkey and keep its seed in `path`, mode 0600."""
    seed = bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    public = bytes(nkeys.from_seed(bytearray(seed)).public_key)
    private.write(path, seed + b"\n")
    return Key(seed=seed.decode(), public=public.decode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A server among others, as this node's `cluster.json` has it."""

    name: str
    """The node's; its server's, too. One of the same name is the same one to Raft."""
    cluster: str
    """Told to people."""
    cluster_id: str
    """Servers of another one get no route, and streams of another one are not ours."""
    route: str
    """host:port of this server, as the others reach it."""
    password: str = field(repr=False)
    """Of the routes."""
    routes: tuple[str, ...] = ()
    """host:port of the others."""
    tls: Path
    """The folder with node-ca.pem, node.pem and node.key."""
    store: str = TOGETHER
    """The store's folder, within the node's."""
    founder: bool = False
    """It makes what is missing; others wait for it."""
    replicas: int = 1
    """Copies of a stream that has to be made."""
    pins: tuple[str, ...] = ()
    """SHA-256 of all members' public keys, hexadecimal; empty: any certificate of the
    cluster's authority will do."""

    @property
    def tag(self) -> str:
        """What a stream asks for that should be placed here."""
        return f"node:{self.name}"


def render(  # noqa: PLR0913  one file, said in one place
    layout: Layout,
    *,
    name: str,
    port: int,
    max_bytes: int,
    app: Key,
    system: Key,
    member: Member | None = None,
    is_synced: bool = True,
) -> str:
    """Write nats.conf.

    Args:
        layout: Where everything lies.
        name: The server's name, a slug.
        port: On loopback, for clients.
        max_bytes: The most the store may take of the disk.
        app: The user that has JetStream.
        system: The user of the system account: figures for the topology view.
        member: Its place among others; None: it is alone.
        is_synced: Whether each write is on the disk before it is answered. False only
            while a store is made that nobody uses yet.
    """
    return f"""\
# Made anew by nexa at each start; changes are lost.
server_name: {quoted(name)}
listen: "127.0.0.1:{port}"
ports_file_dir: {quoted(layout.ports)}

max_connections: 64
max_payload: {MAX_PAYLOAD}
max_pending: {MAX_PENDING}
max_control_line: 4096
write_deadline: "5s"

log_file: {quoted(layout.log)}
logfile_size_limit: {LOG_BYTES}
logfile_max_num: {LOG_FILES}
logtime_utc: true

jetstream {{
  store_dir: {quoted(layout.store)}
  {"sync_interval: always" if is_synced else "# not synced while it is made"}
  max_memory_store: {64 * 1024**2}
  max_file_store: {max_bytes}
}}

accounts {{
  NEXA {{
    jetstream: enabled
    users: [{{ nkey: {app.public} }}]
  }}
  SYS {{
    users: [{{ nkey: {system.public} }}]
  }}
}}
system_account: SYS
{"" if member is None else _routed(member)}"""


def _routed(member: Member) -> str:
    """Write how a member reaches the others, and they it.

    Raises:
        Invalid: One of the addresses is none.
    """
    own = parse_address(member.route)
    secret = quoted(member.password)
    urls = [_url(parse_address(each), member.password) for each in member.routes]
    tls = member.tls
    pins = ", ".join(map(quoted, member.pins))
    return f"""
server_tags: [{quoted(member.tag)}]
lame_duck_grace_period: "1s"
cluster {{
  name: {quoted(slugify(member.cluster_id, default="nexa"))}
  listen: {quoted(_listen(own))}
  advertise: {quoted(own)}
  no_advertise: true
  connect_retries: {ROUTE_RETRIES}
  authorization {{ user: {ROUTE_USER}, password: {secret}, timeout: 5 }}
  tls {{
    cert_file: {quoted(tls / "node.pem")}
    key_file: {quoted(tls / "node.key")}
    ca_file: {quoted(tls / "node-ca.pem")}
    verify: true
    min_version: "1.3"
    timeout: 5
    {f"pinned_certs: [{pins}]" if pins else "# not pinned: a member has told no pin yet"}
  }}
  routes: [{", ".join(quoted(url) for url in urls)}]
}}
"""


def _listen(own: Address) -> str:
    """Listen on loopback if it is reached there; else everywhere.

    Addresses may be translated on the way, and nobody gets in without a certificate.
    """
    try:
        ip = ipaddress.ip_address(own.host)
    except ValueError:
        return f"0.0.0.0:{own.port}"
    if ip.is_loopback:
        return str(own)
    return f"[::]:{own.port}" if ip.version == 6 else f"0.0.0.0:{own.port}"


def _url(address: Address, password: str) -> str:
    return f"nats-route://{ROUTE_USER}:{quote(password, safe='')}@{address}"


def quoted(value: object) -> str:
    """Put `value` in double quotes, as nats.conf reads it.

    Raises:
        StoreFailed: It has control characters, which no path of ours should.
    """
    text = str(value)
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise StoreFailed(
            f"{text!r} has control characters and can't be given to nats-server",
            remedy="set NEXA_HOME to a folder with a plain name",
        )
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
