"""Copies of other nodes' checkpoints: `ports.WitnessFile`, `witness.jsonl`, mode 0600.

What the cluster's store keeps, a node with the store's credentials could write anew. What
stands here, on another machine's disk, it can't.
"""

import asyncio
import os
from pathlib import Path

import msgspec

from nexa_node.contract.audit import Checkpoint
from nexa_node.contract.errors import Unavailable

BYTES_MAX = 16 * 1024**2
"""Above that the older half goes: some 40,000 checkpoints."""


class Witness:
    """`ports.WitnessFile`."""

    def __init__(self, path: Path, *, bytes_max: int = BYTES_MAX) -> None:
        """Keep them in `path`."""
        self._path = path
        self._bytes_max = bytes_max

    async def keep(self, point: Checkpoint) -> None:
        """Add one.

        Raises:
            Unavailable: It can't be written.
        """
        await asyncio.to_thread(self._keep, point)

    async def all(self) -> list[Checkpoint]:
        """Every one there is; a line that a crash left half is passed over."""
        return await asyncio.to_thread(self._all)

    def _keep(self, point: Checkpoint) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        try:
            descriptor = os.open(self._path, flags, 0o600)
            try:
                torn = _ends_torn(self._path)
                line = msgspec.json.encode(point) + b"\n"
                os.write(descriptor, b"\n" + line if torn else line)
                os.fdatasync(descriptor)
                size = os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)
            if size > self._bytes_max:
                self._halve()
        except OSError as error:
            raise Unavailable(
                f"{self._path} can't be written: {error.strerror or error}",
                remedy=f"free space there: df -h {self._path.parent}",
            ) from error

    def _all(self) -> list[Checkpoint]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        found: list[Checkpoint] = []
        for line in lines:
            try:
                found.append(msgspec.json.decode(line, type=Checkpoint))
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
        return found

    def _halve(self) -> None:
        kept = self._all()
        beside = self._path.with_name(f".{self._path.name}.new")
        with os.fdopen(
            os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
        ) as file:
            for point in kept[len(kept) // 2 :]:
                file.write(msgspec.json.encode(point) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)


def _ends_torn(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
