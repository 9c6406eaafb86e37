"""Runbooks, as they come with nexa: files of the package, so they open offline."""

import re
from pathlib import Path

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_PACKAGE = Path(__file__).parents[2]
FOLDERS = (_PACKAGE / "runbooks", _PACKAGE.parent / "docs" / "runbooks")
"""Installed, and in a checkout."""


def runbook(name: str) -> str:
    """Read a runbook by its alert's name; empty if there is none of that name."""
    if _NAME.fullmatch(name) is None:
        return ""
    for folder in FOLDERS:
        try:
            return (folder / f"{name}.md").read_text(encoding="utf-8")
        except OSError:
            continue
    return ""


def names() -> list[str]:
    """The names of all runbooks there are, sorted."""
    for folder in FOLDERS:
        if found := sorted(path.stem for path in folder.glob("*.md")):
            return found
    return []
