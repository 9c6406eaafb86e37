"""One node's folder: its lock, its identity, its first token, and how it is found.

The lock is held for the life of the process. nats-server itself takes none, and a
second one on the same store would ruin it (research/nats.md, section 6).
"""

import fcntl
import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import psutil

from nexa_node import private_files
from nexa_node.contract.errors import Conflict
from nexa_node.contract.nodes import NodeFile

_DYING_S = 1.0
"""A node that was killed holds its lock until the kernel has taken it down."""
_BEAT_S = 0.02


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """`identity`: who this node is, made once."""

    id: str
    name: str


class NodeFolder(AbstractContextManager["NodeFolder"]):
    """A node's folder, locked while entered."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is touched before it is entered."""
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> Self:
        """Make the folder if it is missing, and lock it.

        Raises:
            Conflict: Another node works in it; says which process.
            Unavailable: It can't be made or written.
        """
        private_files.make_folder(self.path)
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not _locked_within(descriptor, _DYING_S):
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise Conflict(
                f"another node (pid {holder or 'unknown'}) works in {self.path}",
                remedy="nexa node status; or start this one with --name OTHER",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._lock = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def identity(self, *, name: str, new_id: str) -> Identity:
        """Read who this node is; on its first start it becomes `new_id`."""
        path = self.path / "identity"
        kept = private_files.read(path)
        if kept is not None:
            return msgspec.json.decode(kept, type=Identity)
        identity = Identity(id=new_id, name=name)
        private_files.write(path, msgspec.json.encode(identity))
        return identity

    def admin_token(self) -> str | None:
        """Read the first credential; None before the first start."""
        kept = private_files.read(self.path / "admin.token")
        return None if kept is None else kept.decode().strip()

    def keep_admin_token(self, token: str) -> None:
        """Write the first credential where the console on this machine reads it."""
        private_files.write(self.path / "admin.token", token.encode() + b"\n")
        (self.path / "admin.used").unlink(missing_ok=True)

    def drop_admin_token(self) -> None:
        """The first credential was used up: no file, and none made at the next start."""
        private_files.write(self.path / "admin.used", b"")
        (self.path / "admin.token").unlink(missing_ok=True)

    def is_admin_token_used(self) -> bool:
        """Whether the first credential was used up."""
        return (self.path / "admin.used").exists()

    def announce(self, told: NodeFile) -> None:
        """Tell programs on this machine where the node is and how it is."""
        private_files.write(self.path / "node.json", msgspec.json.encode(told))

    def withdraw(self) -> None:
        """Take the announcement back, if it is this process's own."""
        path = self.path / "node.json"
        try:
            told = msgspec.json.decode(path.read_bytes(), type=NodeFile)
        except (OSError, msgspec.DecodeError):
            return
        if told.pid == os.getpid():
            path.unlink(missing_ok=True)


def process_started() -> float:
    """When this process started, seconds since 1970."""
    return psutil.Process().create_time()


def _locked_within(descriptor: int, seconds: float) -> bool:
    """Lock a file; False if another process keeps it for so long."""
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(_BEAT_S)
        else:
            return True
