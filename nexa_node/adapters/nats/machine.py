"""What a supervised server needs of this machine: a port, space on the disk."""

import contextlib
import shutil
import socket
from pathlib import Path

import msgspec

from nexa_node.adapters.nats.failures import DiskFull, PortRefused


def listens(ports: Path, pid: int) -> bool:
    """Ask the file that nats-server writes once it has its port."""
    for told in ports.glob(f"*_{pid}.ports"):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return bool(msgspec.json.decode(told.read_bytes()))
    return False


def free_port() -> int:
    """Find a port on loopback that nobody has.

    Raises:
        PortRefused: There is none.
    """
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 0))
        except OSError as error:
            raise PortRefused(
                f"no port on 127.0.0.1 can be had: {error.strerror}",
                remedy="see who uses them all: ss -tnp",
            ) from error
        return int(probe.getsockname()[1])


def free_bytes(path: Path) -> int:
    """How much space is left where `path` is; 0 if that can not be told."""
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return 0


def disk_full(store: Path, cause: str) -> DiskFull:
    """Say that the disk is full, and what mends it."""
    return DiskFull(
        f"the disk of the store {store} is full: {cause}",
        remedy=f"free space on the file system of {store}; the rest happens by itself",
    )


def how_it_ended(code: int) -> str:
    """Put an exit code into words."""
    return f"signal {-code}" if code < 0 else f"exit status {code}"
