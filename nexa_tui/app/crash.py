"""What is left of a console that failed: one line for the person, a file for the author.

The traceback is written without the values of variables: they may hold tokens. The file
belongs to the operator alone.
"""

import os
import platform
import traceback
from datetime import datetime
from pathlib import Path

from nexa_node.contract.version import VERSION
from nexa_tui.state.text import clean

_LINE_MAX = 500


def write_crash(error: BaseException, folder: Path, *, at: datetime) -> Path | None:
    """Keep what happened.

    Args:
        error: What was raised.
        folder: Made if it is not there.
        at: Names the file.

    Returns:
        The file, of mode 0600; None if it can't be written, which is no reason to fail
        a second time.
    """
    lines = [
        f"nexa {VERSION}, Python {platform.python_version()}, {platform.platform()}",
        f"at {at.isoformat()}",
        *(
            clean(line, _LINE_MAX)
            for part in traceback.format_exception(error)
            for line in part.splitlines()
        ),
    ]
    path = folder / f"crash-{at:%Y%m%dT%H%M%S}.txt"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except OSError:
        return None
    return path


def last_words(error: BaseException, path: Path | None) -> str:
    """Say it in two lines that are safe on any terminal."""
    kept = f"nexa: details are in {path}" if path else "nexa: no details could be kept"
    what = clean(f"{type(error).__name__}: {error}", _LINE_MAX)
    return (
        f"nexa: the console failed ({what}); nodes and agents go on\n"
        f"{kept}; nexa opens it again"
    )
