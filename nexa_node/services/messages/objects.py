"""Large data behind a claim check: stored once, found by its hash, gone after a while."""

import re
from collections.abc import AsyncIterator, Iterable

import structlog

from nexa_node.contract.errors import Invalid, NotFound, Unavailable
from nexa_node.contract.messages import ObjectRef
from nexa_node.core.policies import RetentionPolicy
from nexa_node.ports import Clock, Objects as ObjectStore

SWEEP_S = 3600.0
REF_PREFIX = "nexa:object/"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_log = structlog.get_logger("nexa.objects")


class Objects:
    """Takes large data and gives it out."""

    def __init__(
        self, store: ObjectStore, *, clock: Clock, retention: RetentionPolicy
    ) -> None:
        """Join the two; `retention` says how large an object may be."""
        self._store = store
        self._clock = clock
        self._retention = retention

    async def run(self) -> None:
        """Sweep what uploads left behind, now and each hour, for ever."""
        while True:
            try:
                removed = await self._store.sweep()
            except Unavailable as error:
                _log.info("objects_not_swept", cause=error.message)
            else:
                if removed:
                    _log.info("objects_swept", removed=removed)
            await self._clock.sleep(SWEEP_S)

    async def put(self, chunks: AsyncIterator[bytes], *, shelf: str = "") -> ObjectRef:
        """Store what comes, until it ends; what stands for it in a message's `data`.

        On a shelf, a namespace, it is found there only.

        Raises:
            PayloadTooLarge: More than retention.objects_max_bytes; nothing is kept.
            Unavailable: The store does not answer, or is full.
        """
        limit = self._retention.objects_max_bytes
        stored = await self._store.put(chunks, limit=limit, shelf=shelf)
        return ObjectRef(
            ref=f"{REF_PREFIX}{stored.sha256}", size=stored.size, sha256=stored.sha256
        )

    async def get(
        self, sha256: str, *, shelves: Iterable[str] = ("",)
    ) -> tuple[int, AsyncIterator[bytes]]:
        """Find an object on one of the shelves: its size and its pieces, in order.

        Raises:
            Invalid: That is no hash.
            NotFound: Nobody stored such an object, or its time is over.
            Unavailable: The store does not answer; also from the iterator.
        """
        if not _SHA256.fullmatch(sha256):
            raise Invalid("sha256: 64 hexadecimal digits, in lower case")
        for shelf in shelves:
            found = await self._store.get(sha256, shelf=shelf)
            if found is not None:
                return found
        raise NotFound(
            f"there is no object {sha256}; objects are kept"
            f" {self._retention.objects_hours:g} h",
            remedy="send it again, or raise retention.objects_hours",
        )
