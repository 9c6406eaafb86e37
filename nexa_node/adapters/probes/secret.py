"""A password from a file that nobody else may read."""

import os
from pathlib import Path

_OTHERS = 0o077


def read_secret(path: Path) -> str:
    """Read the first line of `path`; `~` is the home folder.

    Raises:
        PermissionError: Other users may read it.
        OSError: It can't be read.
        UnicodeDecodeError: It is not text.
    """
    with os.fdopen(
        os.open(path.expanduser(), os.O_RDONLY | os.O_NONBLOCK), "rb"
    ) as file:
        if os.fstat(file.fileno()).st_mode & _OTHERS:
            raise PermissionError("others may read it")
        text = file.read(64 * 1024).decode()
    return text.partition("\n")[0].rstrip("\r")
