"""A password from a file that nobody else may read."""

import errno
import os
import stat
from pathlib import Path

_OTHERS = 0o077
_BYTES_MAX = 64 * 1024


class Exposed(Exception):
    """Other users may read it."""


def read_secret(path: Path) -> str:
    """Read the first line of `path`; `~` is the home folder.

    Raises:
        Exposed: Other users may read it.
        OSError: It can't be read, or is no file.
        UnicodeDecodeError: It is not text.
    """
    # Of the descriptor, not of the path: nobody can swap it in between.
    handle = os.open(path.expanduser(), os.O_RDONLY | os.O_NONBLOCK)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if mode & _OTHERS:
            raise Exposed
        text = os.read(handle, _BYTES_MAX).decode()
    finally:
        os.close(handle)
    return text.partition("\n")[0].rstrip("\r")
