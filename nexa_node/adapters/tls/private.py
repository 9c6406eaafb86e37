"""Files of keys and certificates: mode 0600 in folders of mode 0700, no links followed."""

import os
import secrets
from pathlib import Path

from nexa_node.contract.errors import Invalid, Unavailable

_OTHERS = 0o077
_FULL = frozenset((28, 122))
"""ENOSPC and EDQUOT."""


def make_folder(path: Path) -> None:
    """Make `path` and its missing parents, for this user alone.

    Raises:
        Unavailable: It can't be made; says why and what to do.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_uid == os.getuid():
            path.chmod(0o700)
    except OSError as error:
        raise _refused(path, error) from error


def write(path: Path, content: bytes) -> None:
    """Replace `path` by a file of mode 0600 with `content`, whole or not at all.

    Raises:
        Unavailable: It can't be written.
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
        raise _refused(path, error) from error


def read(path: Path) -> bytes | None:
    """Read a file; None if there is none.

    Raises:
        Invalid: Others may read it, so a key in it is a secret no more; or it is a link.
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
        if os.fstat(file.fileno()).st_mode & _OTHERS:
            raise Invalid(
                f"{path} is of the cluster's trust and other users may read it",
                remedy=f"chmod 600 {path}; change the authority if others had access",
            )
        return file.read()


def _refused(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"{path} can't be written: {error.strerror}",
        remedy=(
            f"free space on the file system of {path.parent}"
            if error.errno in _FULL
            else f"make {path.parent} writable for this user"
        ),
    )
