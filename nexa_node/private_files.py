"""Files that nobody else may read: mode 0600 in folders of mode 0700.

Written whole or not at all: to a new file beside the old one, synced, then renamed.
Symbolic links are not followed, so a planted one can't lead a secret elsewhere.
"""

import os
import secrets
from pathlib import Path

from nexa_node.contract.errors import Invalid, Unavailable

_OTHERS = 0o077
_FULL = frozenset((28, 122))
"""ENOSPC and EDQUOT."""


def make_folder(path: Path) -> Path:
    """Make `path` and its missing parents, for this user alone.

    Raises:
        Unavailable: It can't be made or isn't writable; says why and what to do.
    """
    try:
        missing = [one for one in (path, *path.parents) if not one.exists()]
        for one in reversed(missing):  # `parents=True` leaves those to the umask
            one.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        if path.stat().st_uid == os.getuid():
            path.chmod(0o700)
    except OSError as error:
        raise refused(path, error) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise Unavailable(
            f"the folder {path} is not writable for this user",
            remedy=f"chown -R $(id -un) {path}, or set NEXA_HOME to another folder",
        )
    return path


def write(path: Path, content: bytes) -> None:
    """Replace `path` by a file with `content`, mode 0600, durably.

    Raises:
        Unavailable: The disk is full or the folder isn't writable.
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


def read(path: Path, *, secret: bool = True) -> bytes | None:
    """Read a file, not following a link; None if there is none.

    Raises:
        Invalid: It is a link; or, of a secret, others may read it: it is none any more.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Invalid(
            f"{path} can't be read: {error.strerror}", remedy=f"ls -l {path}"
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        if secret and os.fstat(file.fileno()).st_mode & _OTHERS:
            raise Invalid(
                f"{path} holds a secret and other users may read it",
                remedy=f"chmod 600 {path}, and make a new one if others had access",
            )
        return file.read()


def refused(path: Path, error: OSError) -> Unavailable:
    """Say why `path` can't be written, and what mends it."""
    return Unavailable(
        f"{path} can't be written: {error.strerror}",
        remedy=(
            f"free space on the file system of {path.parent}"
            if error.errno in _FULL
            else f"make {path.parent} writable, or set NEXA_HOME to another folder"
        ),
    )
