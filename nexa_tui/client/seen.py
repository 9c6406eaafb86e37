"""What a console knew of each cluster when it was last looked at: one small file each."""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from nexa_tui.client.places import base_folders

T = TypeVar("T")
SIZE_MAX = 1024**2


def read_seen(environ: Mapping[str, str], cluster: str, kind: type[T]) -> T | None:
    """What was kept of a cluster; None if there is nothing, or nothing that fits."""
    try:
        with _path(environ, cluster).open("rb") as file:
            return msgspec.json.decode(file.read(SIZE_MAX), type=kind)
    except (OSError, msgspec.MsgspecError):  # what is written there is not ours
        return None


def keep_seen(environ: Mapping[str, str], cluster: str, told: object) -> None:
    """Keep what is known of a cluster; a disk that is full loses only that."""
    path = _path(environ, cluster)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(told))
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _path(environ: Mapping[str, str], cluster: str) -> Path:
    _, state = base_folders(environ)
    name = hashlib.sha256(cluster.encode()).hexdigest()[:16]
    return Path(state) / "seen" / f"{name}.json"
