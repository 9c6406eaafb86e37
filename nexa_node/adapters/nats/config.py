"""The supervised server's configuration: loopback, nkeys, every write synced.

Nothing that a nats-server could open besides its one client port is opened.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import nkeys

from nexa_node.adapters.nats import private
from nexa_node.adapters.nats.failures import StoreFailed

MAX_PAYLOAD = 4 * 1024**2
"""A task's record holds its data, its result and the errors of its attempts."""
MAX_PENDING = 32 * 1024**2
"""What a connection may owe us before it is cut off as slow; several payloads."""
LOG_BYTES = 4 * 1024**2
LOG_FILES = 3


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the supervised server keeps its things, all inside the node's folder."""

    folder: Path

    @property
    def conf(self) -> Path:
        """The generated configuration."""
        return self.folder / "nats.conf"

    @property
    def store(self) -> Path:
        """JetStream's data, and the record of what should be there."""
        return self.folder / "jetstream"

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


def render(
    layout: Layout, *, name: str, port: int, max_bytes: int, app: Key, system: Key
) -> str:
    """Write nats.conf.

    Args:
        layout: Where everything lies.
        name: The server's name, a slug.
        port: On loopback, for clients.
        max_bytes: The most the store may take of the disk.
        app: The user that has JetStream.
        system: The user of the system account: figures for the topology view.
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
  sync_interval: always
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
"""


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
