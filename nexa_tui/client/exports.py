"""Where the console writes what is exported: files for this user alone."""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from nexa_node.contract.errors import Invalid
from nexa_tui.client.places import base_folders

TRIES = 100


def write_export(
    environ: Mapping[str, str], name: str, kind: str, text: str, *, now: datetime
) -> Path:
    """Write a new file `exports/<name>-<time>.<kind>`, mode 0600.

    Args:
        environ: For `NEXA_HOME`.
        name: What was exported: one of our own words.
        kind: `csv` or `json`.
        text: What is in it.
        now: For its name.

    Raises:
        Invalid: It can't be written.
    """
    _, state = base_folders(environ)
    folder = Path(state) / "exports"
    stamp = f"{now:%Y%m%d-%H%M%S}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for n in range(TRIES):
            path = folder / f"{name}-{stamp}{f'-{n}' if n else ''}.{kind}"
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
                descriptor = os.open(path, flags, 0o600)
            except FileExistsError:
                continue
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            return path
    except OSError as error:
        raise Invalid(
            f"{folder} can't be written: {error.strerror}",
            remedy=f"make {folder} writable",
        ) from error
    raise Invalid(f"{folder} is full of exports of this second", remedy=f"ls {folder}")
