"""Files of the store that nobody else may read: mode 0600 in folders of mode 0700."""

import os
import secrets
from pathlib import Path

from nexa_node.adapters.nats.failures import StoreFailed

_FULL = frozenset((28, 122))
"""ENOSPC and EDQUOT."""


def make_folder(path: Path) -> None:
    """Make `path` and its missing parents, for this user alone.

    Raises:
        StoreFailed: It can't be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise refused(path, error) from error


def write(path: Path, content: bytes) -> None:
    """Replace `path` by a file of mode 0600 with `content`, whole or not at all.

    Raises:
        StoreFailed: It can't be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        descriptor = os.open(beside, flags, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise refused(path, error) from error


def read(path: Path) -> bytes | None:
    """Read a file, not following a link; None if there is none.

    Raises:
        StoreFailed: It is there and can't be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreFailed(
            f"{path} can't be read: {error.strerror}", remedy=f"ls -l {path}"
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def refused(path: Path, error: OSError) -> StoreFailed:
    """Say why `path` can't be written."""
    return StoreFailed(
        f"{path} can't be written: {error.strerror}",
        remedy=(
            f"free space on the file system of {path.parent}"
            if error.errno in _FULL
            else f"make {path.parent} writable for this user"
        ),
    )
