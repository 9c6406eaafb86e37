"""Large data in pieces: cut to size, counted and hashed as it flows. Pure."""

import hashlib
from collections.abc import Iterator

from nexa_node.contract.errors import PayloadTooLarge

PIECE_BYTES = 256 * 1024
"""Of one record in the store: a few thousand of them are a large object."""


class Cutter:
    """Makes pieces of one size of whatever chunks the data comes in."""

    def __init__(self, limit: int, piece: int = PIECE_BYTES) -> None:
        """Take at most `limit` bytes in all."""
        self.size = 0
        self._limit = limit
        self._piece = piece
        self._rest = bytearray()
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of all that was fed, hexadecimal."""
        return self._hash.hexdigest()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take one chunk; whole pieces come out.

        Raises:
            PayloadTooLarge: It is more than the limit by now.
        """
        self.size += len(chunk)
        if self.size > self._limit:
            raise PayloadTooLarge(
                f"the object is more than {self._limit:,} bytes",
                remedy="send it in parts, or raise retention.objects_max_bytes",
                details={"limit": self._limit},
            )
        self._hash.update(chunk)
        self._rest += chunk
        while len(self._rest) >= self._piece:
            piece = bytes(self._rest[: self._piece])
            del self._rest[: self._piece]
            yield piece

    def finish(self) -> Iterator[bytes]:
        """Give out what is left."""
        if self._rest:
            piece = bytes(self._rest)
            self._rest.clear()
            yield piece
