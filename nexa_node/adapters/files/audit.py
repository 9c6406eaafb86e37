"""A node's audit on its own disk: lines that are only ever added to.

Segments `000001.jsonl`, `000002.jsonl`, … of at most 64 MiB, mode 0600. The first line
of each says which chain it is of and behind which record it begins, so that what is left
after the oldest were retired can still be verified. A record counts once it is synced.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from nexa_node import private_files
from nexa_node.contract.audit import (
    AuditEntry,
    AuditRecord,
    AuditVerdict,
    Checkpoint,
)
from nexa_node.contract.errors import Unavailable
from nexa_node.core.audit import START, Verifier, is_signed
from nexa_node.ports import AuditTail

SEGMENT_BYTES = 64 * 1024**2
_BLOCK = 256 * 1024
_PATTERN = "[0-9][0-9][0-9][0-9][0-9][0-9].jsonl"


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a segment."""

    chain: str
    after: int
    prev: str
    """The hash of the record it begins behind."""


class AuditFiles:
    """`ports.AuditFiles`."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Keep the segments in `folder`."""
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._descriptor: int | None = None
        self._size = 0
        self._tail: AuditTail | None = None

    async def open(self, new_chain: str) -> AuditTail:
        """Go on where the last process stopped; without any segment, begin `new_chain`.

        What a crash left of a line that nobody was told of is cut off.

        Raises:
            Unavailable: The folder or its newest segment can't be used.
        """
        return await asyncio.to_thread(self._open, new_chain)

    async def append(self, lines: Sequence[bytes], tail: AuditTail) -> None:
        """Add lines, synced; all of them or none.

        Args:
            lines: With their ends.
            tail: Where the chain is afterwards.

        Raises:
            Unavailable: The disk is full or broken; nothing was added.
        """
        await asyncio.to_thread(self._append, b"".join(lines), tail)

    async def newest(
        self,
        takes: Callable[[AuditEntry], bool],
        *,
        limit: int,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> list[AuditRecord]:
        """Read from the end backwards, until there are enough."""
        return await asyncio.to_thread(self._newest, takes, limit, since, before)

    async def verify(self, points: Sequence[Checkpoint]) -> AuditVerdict:
        """Read every line there is; a checkpoint that is not well signed does not count."""
        return await asyncio.to_thread(self._verify, points)

    def lines(self) -> Iterator[tuple[Header | None, bytes]]:
        """Every line from the oldest on; a segment's header comes alone, before its lines."""
        for path in self._segments():
            with path.open("rb") as file:
                yield _header(file.readline()), b""
                for text in file:
                    yield None, text

    async def retire(self, *, older_than: float, more_than_bytes: int) -> int:
        """Remove the oldest segments; how many. The newest stays.

        Args:
            older_than: A moment, seconds since 1970: segments last written before it go.
            more_than_bytes: And so do the oldest while there is more than this.
        """
        return await asyncio.to_thread(self._retire, older_than, more_than_bytes)

    def close(self) -> None:
        """Let go of the newest segment."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _newest(
        self,
        takes: Callable[[AuditEntry], bool],
        limit: int,
        since: datetime | None,
        before: datetime | None,
    ) -> list[AuditRecord]:
        found: list[AuditRecord] = []
        for path in reversed(self._segments()):
            for text in _backwards(path):
                try:
                    record = msgspec.json.decode(text, type=AuditRecord)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # a header; or damage, which `verify` tells
                if since is not None and record.entry.time < since:
                    return found
                early = before is None or record.entry.time < before
                if early and takes(record.entry):
                    found.append(record)
                if len(found) >= limit:
                    return found
        return found

    def _verify(self, points: Sequence[Checkpoint]) -> AuditVerdict:
        signed = [point for point in points if is_signed(point)]
        verifier: Verifier | None = None
        for header, text in self.lines():
            if text:
                if verifier is not None:
                    verifier.read(text)
            elif header is None:
                return AuditVerdict(
                    status="broken",
                    records=0 if verifier is None else verifier.records,
                    first_bad=1 if verifier is None else verifier.seq + 1,
                    reason="a segment does not begin as one does",
                    chain="" if verifier is None else verifier.chain,
                )
            elif verifier is None:
                verifier = Verifier(header.chain, after=header.after, prev=header.prev)
            elif (header.after, header.prev) != (verifier.seq, verifier.head):
                verifier.read(b"")  # a segment is missing: that is the fault
        here = "" if verifier is None else verifier.chain
        mine = [point for point in signed if point.chain == here]
        lost = [point for point in signed if point.chain != here]
        if verifier is None:
            verdict = AuditVerdict(status="ok", records=0)
        else:
            verdict = verifier.verdict(mine)
        if lost and verdict.status == "ok":
            last = max(lost, key=lambda one: one.seq)
            verdict = msgspec.structs.replace(
                verdict,
                status="incomplete",
                reason=f"nothing is here of {last.chain}, which had {last.seq} records"
                f" at {last.time:%Y-%m-%d %H:%M} UTC: removed, or another node's of"
                " that name",
            )
        return verdict

    def _open(self, new_chain: str) -> AuditTail:
        self.close()
        private_files.make_folder(self._folder)
        segments = self._segments()
        try:
            if not segments:
                self._tail = AuditTail(new_chain, 0, START)
                self._begin(1, self._tail)
            else:
                self._tail = self._resume(segments[-1])
        except OSError as error:
            raise _refused(self._folder, error) from error
        return self._tail

    def _resume(self, path: Path) -> AuditTail:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        header = _header(content[: content.find(b"\n") + 1])
        if header is None:
            raise Unavailable(
                f"{path} does not begin as a segment of an audit does",
                remedy="nexa audit verify; move the file away to begin another chain",
            )
        tail = AuditTail(header.chain, header.after, header.prev)
        last = content[:whole].rstrip(b"\n").rpartition(b"\n")[2]
        if last.count(b'"hash"'):
            try:
                record = msgspec.json.decode(last, type=AuditRecord)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Unavailable(
                    f"the last record in {path} can't be read: {error}",
                    remedy="nexa audit verify; move the file away to begin another chain",
                ) from error
            tail = AuditTail(record.chain, record.seq, record.hash)
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
        if whole < len(content):
            os.ftruncate(self._descriptor, whole)
            os.fsync(self._descriptor)
        self._size = whole
        return tail

    def _begin(self, number: int, tail: AuditTail) -> None:
        path = self._folder / f"{number:06}.jsonl"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        header = Header(chain=tail.chain, after=tail.seq, prev=tail.head)
        self.close()
        self._descriptor = os.open(path, flags, 0o600)
        self._size = os.write(self._descriptor, msgspec.json.encode(header) + b"\n")
        os.fsync(self._descriptor)

    def _append(self, content: bytes, tail: AuditTail) -> None:
        if self._descriptor is None or self._tail is None:
            raise Unavailable("the audit is not open", remedy="nexa node restart")
        try:
            if self._size + len(content) > self._segment_bytes:
                self._begin(len(self._segments()) + self._retired() + 1, self._tail)
            written = 0
            while written < len(content):
                written += os.write(self._descriptor, content[written:])
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._take_back()
            raise _refused(self._folder, error) from error
        self._size += len(content)
        self._tail = tail

    def _take_back(self) -> None:
        """Leave no half of what could not be written."""
        if self._descriptor is not None:
            try:
                os.ftruncate(self._descriptor, self._size)
            except OSError:
                self.close()

    def _retired(self) -> int:
        segments = self._segments()
        return int(segments[0].stem) - 1 if segments else 0

    def _retire(self, older_than: float, more_than_bytes: int) -> int:
        segments = self._segments()
        sizes = {path: path.stat() for path in segments}
        total = sum(found.st_size for found in sizes.values())
        gone = 0
        for path in segments[:-1]:
            if total <= more_than_bytes and sizes[path].st_mtime >= older_than:
                break
            total -= sizes[path].st_size
            path.unlink(missing_ok=True)
            gone += 1
        return gone

    def _segments(self) -> list[Path]:
        return sorted(self._folder.glob(_PATTERN))


def _backwards(path: Path) -> Iterator[bytes]:
    """The lines of a file, the last one first."""
    with path.open("rb") as file:
        left = file.seek(0, os.SEEK_END)
        rest = b""
        while left > 0:
            size = min(_BLOCK, left)
            left -= size
            file.seek(left)
            first, *lines = (file.read(size) + rest).split(b"\n")
            yield from (text for text in reversed(lines) if text)
            rest = first
        if rest:
            yield rest


def _header(text: bytes) -> Header | None:
    try:
        return msgspec.json.decode(text, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _refused(folder: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"the audit in {folder} can't be written: {error.strerror or error}",
        remedy=f"free space there: df -h {folder}",
    )
