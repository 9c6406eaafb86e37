"""Read and keep tokens: files of mode 0600, never arguments."""

import os
from pathlib import Path

from nexa_node.contract.errors import Invalid

_OTHERS = 0o077


def read_token(path: Path) -> str | None:
    """Read a token's file; None if there is none.

    Raises:
        Invalid: Others may read it, or it is a link.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Invalid(
            f"the token file {path} can't be read: {error.strerror}",
            remedy=f"ls -l {path}",
        ) from error
    with os.fdopen(descriptor, encoding="utf-8") as file:
        if os.fstat(file.fileno()).st_mode & _OTHERS:
            raise Invalid(
                f"the token file {path} is readable by other users",
                remedy=f"chmod 600 {path}",
            )
        return file.read().strip()


def write_token(path: Path, token: str) -> None:
    """Keep `token` in `path`, mode 0600, in a folder of mode 0700."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(beside, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(token + "\n")
    beside.replace(path)
