"""`cluster.json` in a node's folder: its place among others, or in the one to come.

It is what decides on which folder, and with whom, the store is started. So it is changed
in one step: written beside, synced, renamed, and the folder synced.
"""

import os
from pathlib import Path

import msgspec

from nexa_node import private_files
from nexa_node.contract.errors import Invalid

NAME = "cluster.json"
_LOCAL = frozenset(("", ".", ".."))


class ClusterFile(msgspec.Struct, frozen=True, kw_only=True):
    """A node's place in its cluster."""

    cluster: str
    cluster_id: str
    route: str
    """host:port of this node's store; kept."""
    route_password: str
    store: str = "jetstream"
    """The folder of the store in use, within the node's."""
    routes: tuple[str, ...] = ()
    """host:port of the other members' stores, as far as they are known."""
    formed: bool = False
    """False of a node that is alone: its store is started without routes."""
    founder: bool = False
    """It makes the streams that are missing; others wait for it."""
    replicas: int = 1
    """Copies of a stream that has to be made."""
    pins: tuple[str, ...] = ()
    """SHA-256 of all members' public keys, hexadecimal: nobody else opens a route. Empty
    while a member has told none, which an older nexa does not."""

    def __repr__(self) -> str:
        """Tell of what, never the password."""
        return f"ClusterFile(cluster={self.cluster!r}, formed={self.formed!r})"


def read(folder: Path) -> ClusterFile | None:
    """Read the place of the node in `folder`; None of one that was always alone.

    Raises:
        Invalid: It is there and can't be read, or others may read it. It is never
            taken for missing: started alone, the node would not find its data.
    """
    path = folder / NAME
    content = private_files.read(path)
    if content is None:
        return None
    try:
        found = msgspec.json.decode(content, type=ClusterFile)
    except msgspec.DecodeError as error:
        raise Invalid(
            f"{path} can't be read: {error}",
            remedy=f"restore {path} from a copy; the node's data is beside it",
        ) from error
    if found.store in _LOCAL or "/" in found.store or "\0" in found.store:
        raise Invalid(
            f"{path} names {found.store[:80]!r}, which is no folder of the store",
            remedy="store is jetstream, or jetstream-cluster of a member",
        )
    return found


def write(folder: Path, place: ClusterFile) -> None:
    """Replace it, whole or not at all; durable when this returns.

    Raises:
        Unavailable: The disk is full or the folder isn't writable.
    """
    private_files.write(folder / NAME, msgspec.json.encode(place))
    _sync(folder)


def forget(folder: Path) -> None:
    """Be alone from the next start on; no error if there is nothing to forget."""
    (folder / NAME).unlink(missing_ok=True)
    _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
