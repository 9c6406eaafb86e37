"""The start-up log: every start and every self-test, one JSON object a line.

Appended with one write a line, so that two nodes of a machine can share the file;
rotated at a size; a last line that a crash cut off harms none but itself.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from nexa_node import private_files
from nexa_node.contract.checks import SelfTest
from nexa_node.contract.errors import Unavailable

ROTATE_BYTES = 5 * 1024 * 1024
_KEPT = 3


class StartupLog:
    """The file, appended to. A disk that is full must not stop a node: it is left out."""

    def __init__(self, path: Path, *, node: str | None = None) -> None:
        """Name the file, and the node that every line carries."""
        self._path = path
        self._node = node

    def note(self, kind: str, **facts: Any) -> None:
        """Append one record: `node.start`, `node.ready`, `node.failed`, `node.stop`."""
        self._append([{"kind": kind, **facts}])

    def selftest(self, run: SelfTest) -> None:
        """Append a run: a line for each check, then one that sums up."""
        started = run.started.isoformat()
        records: list[dict[str, Any]] = [
            {"kind": "check", "run": started, **msgspec.to_builtins(check)}
            for check in run.checks
        ]
        records.append(
            {
                "kind": "selftest",
                "run": started,
                "status": run.status,
                "duration_ms": round(run.duration_ms, 1),
                "detail": f"{len(run.checks)} checks",
            }
        )
        self._append(records)

    def _append(self, records: list[dict[str, Any]]) -> None:
        stamp = {"time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        node = {"node": self._node} if self._node else {}
        lines = b"".join(
            msgspec.json.encode({**stamp, **node, **record}) + b"\n"
            for record in records
        )
        try:
            private_files.make_folder(self._path.parent)
            self._rotate()
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            descriptor = os.open(self._path, flags, 0o600)
            with os.fdopen(descriptor, "ab", buffering=0) as file:
                file.write(lines)
        except (OSError, Unavailable):
            return

    def _rotate(self) -> None:
        if not self._path.exists() or self._path.stat().st_size < ROTATE_BYTES:
            return
        for number in range(_KEPT - 1, 0, -1):
            older = self._path.with_suffix(f".jsonl.{number}")
            if older.exists():
                older.replace(self._path.with_suffix(f".jsonl.{number + 1}"))
        self._path.replace(self._path.with_suffix(".jsonl.1"))
