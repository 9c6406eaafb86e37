"""Puts a bench's figures into README.md, between its marks."""

import datetime
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

README = Path(__file__).resolve().parent / "README.md"


def rewrite(
    name: str,
    lines: Sequence[str],
    *,
    where: Mapping[str, object],
    runs: int,
    versions: Mapping[str, str] | None = None,
) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->`.

    Args:
        name: The bench's.
        lines: The table, and what is said below it.
        where: `servers.machine()`.
        runs: How many the medians are of.
        versions: Of the peers.

    Raises:
        SystemExit: There are no such marks.
    """
    text = README.read_text()
    marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not marks.search(text):
        raise SystemExit(f"README.md has no <!-- {name} --> … <!-- /{name} -->")
    whole = "\n".join([caption(where, runs=runs, versions=versions), "", *lines, ""])
    README.write_text(marks.sub(lambda found: f"{found[1]}{whole}\n{found[2]}", text))


def caption(
    where: Mapping[str, object],
    *,
    runs: int,
    versions: Mapping[str, str] | None,
) -> str:
    """When, where, and with what."""
    quiet = "machine quiet" if where["quiet"] else "**machine not quiet**"
    peers = ", ".join(f"{each} {number}" for each, number in (versions or {}).items())
    return (
        f"{datetime.datetime.now(datetime.UTC).date()}, {where['cores']} cores, {quiet} (load "
        f"{where['load_before']} before), Python {where['python']}, fsync "
        f"{where['fsync_ms']} ms, medians of {runs} interleaved runs"
        + (f"; {peers}." if peers else ".")
    )
