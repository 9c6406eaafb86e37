"""Lines of logs by the million: packed in blocks, unpacked where somebody looks.

A line has a number that never changes: what comes later has higher ones, what is fetched
from before has lower ones, below zero too. A block holds up to 512 lines, compressed to
some tenth of their size; those that were looked at last are kept unpacked.
"""

import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import msgspec

from nexa_node.contract.logs import LogLine

BLOCK = 512
LINES_MAX = 1_000_000
UNPACKED_MAX = 24
_decode = msgspec.json.Decoder(tuple[LogLine, ...]).decode


class LogStore:
    """All lines that are kept, in their order."""

    def __init__(self, *, most: int = LINES_MAX) -> None:
        """Keep at most so many; the oldest go, a block at a time."""
        self._most = most
        self._starts: list[int] = []
        self._packed: list[bytes] = []
        self._open: list[LogLine] = []
        self._open_at = 0
        self._unpacked: OrderedDict[int, tuple[LogLine, ...]] = OrderedDict()

    @property
    def first(self) -> int:
        """The number of the oldest line."""
        return self._starts[0] if self._starts else self._open_at

    @property
    def end(self) -> int:
        """One more than the number of the newest line."""
        return self._open_at + len(self._open)

    def __len__(self) -> int:
        """How many there are."""
        return self.end - self.first

    @property
    def packed_bytes(self) -> int:
        """What the packed lines take."""
        return sum(map(len, self._packed))

    def add(self, lines: Sequence[LogLine]) -> None:
        """Keep what came: newer than all there is."""
        for line in lines:
            self._open.append(line)
            if len(self._open) == BLOCK:
                self._starts.append(self._open_at)
                self._packed.append(_pack(self._open))
                self._open_at += BLOCK
                self._open = []
        while len(self) > self._most and self._packed:
            self._unpacked.pop(self._starts[0], None)
            del self._starts[0], self._packed[0]

    def add_before(self, lines: Sequence[LogLine]) -> int:
        """Keep what was fetched: older than all there is; how many found room."""
        room = max(0, self._most - len(self))
        lines = lines[-room:] if room else ()
        for end in range(len(lines), 0, -BLOCK):
            some = lines[max(0, end - BLOCK) : end]
            self._starts.insert(0, self.first - len(some))
            self._packed.insert(0, _pack(some))
        return len(lines)

    def get(self, number: int) -> LogLine:
        """The line of a number between `first` and `end`."""
        if number >= self._open_at:
            return self._open[number - self._open_at]
        at = bisect_right(self._starts, number) - 1
        start = self._starts[at]
        return self._block(at)[number - start]

    def between(self, first: int, end: int) -> Iterator[tuple[int, LogLine]]:
        """The lines from a number to before another, with their numbers."""
        number = max(first, self.first)
        while number < min(end, self.end):
            if number >= self._open_at:
                yield number, self._open[number - self._open_at]
                number += 1
                continue
            at = bisect_right(self._starts, number) - 1
            start = self._starts[at]
            block = self._block(at, keep=False)
            for line in block[number - start :]:
                if number >= end:
                    return
                yield number, line
                number += 1

    def _block(self, at: int, *, keep: bool = True) -> tuple[LogLine, ...]:
        start = self._starts[at]
        known = self._unpacked.get(start)
        if known is None:
            known = _decode(zlib.decompress(self._packed[at]))
            if keep:
                self._unpacked[start] = known
                if len(self._unpacked) > UNPACKED_MAX:
                    self._unpacked.popitem(last=False)
        elif keep:
            self._unpacked.move_to_end(start)
        return known


def _pack(lines: Sequence[LogLine]) -> bytes:
    return zlib.compress(msgspec.json.encode(lines), 1)
