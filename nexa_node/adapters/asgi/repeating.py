"""`Idempotency-Key`: the same write again is answered as before, and done once.

Tasks and messages take the key into the store, so any node knows it, also after a
restart. For all other writes the node that did them remembers its answer for a while, in
memory. Only what was done is remembered: after an error nothing was, and the same key
may try again. Two at once: the second waits for the first one's answer.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

import msgspec

from nexa_node.adapters.asgi.operation import Document, Lines, Returned, Stream
from nexa_node.contract.access import Identity
from nexa_node.contract.errors import Duplicate, RateLimited

KEPT_S = 600.0
KEPT_MAX = 2000
"""Answers that a node remembers."""
KEPT_PER_IDENTITY = 200
"""Of them, by one caller: who sends more loses his own oldest ones."""


@dataclass(slots=True)
class _Known:
    """One call that was made with a key."""

    request: bytes
    """Digest of what was asked."""
    done: "asyncio.Future[Returned]"
    at: float


class Repeats:
    """What one port did for which key."""

    def __init__(self, *, now: Callable[[], float] = monotonic) -> None:
        """Know of nothing."""
        self._now = now
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    def __len__(self) -> int:
        """How many calls are remembered."""
        return len(self._known)

    async def once(
        self,
        caller: Identity,
        key: str,
        request: bytes,
        do: Callable[[], Awaitable[Returned]],
    ) -> Returned:
        """Do it, or answer as the first time.

        Args:
            caller: Whose key it is: another's same key is another key.
            key: Of the header.
            request: What is asked, as bytes: `digest` makes them.
            do: Does it.

        Raises:
            Duplicate: The key was used for another call.
            RateLimited: Too many calls with keys are on their way.
            NexaError: What `do` raises; then nothing is remembered.
        """
        name = caller.id, key
        while (known := self._find(name)) is not None:
            if known.request != request:
                raise Duplicate(
                    "the Idempotency-Key was used for another call",
                    remedy="give each call a key of its own",
                    details={"field": "Idempotency-Key"},
                )
            try:
                return await asyncio.shield(known.done)
            except asyncio.CancelledError:
                if not known.done.cancelled():
                    raise  # it is this call that was called off
            # The first one failed: this one is the first now.
        return await self._first(name, request, do)

    async def _first(
        self,
        name: tuple[str, str],
        request: bytes,
        do: Callable[[], Awaitable[Returned]],
    ) -> Returned:
        self._make_room(name[0])
        loop = asyncio.get_running_loop()
        mine = _Known(request, loop.create_future(), self._now())
        self._known[name] = mine
        try:
            returned = await do()
        except BaseException:
            mine.done.cancel()
            if self._known.get(name) is mine:
                del self._known[name]
            raise
        mine.done.set_result(returned)
        if isinstance(returned, Lines | Stream | Document):
            del self._known[name]  # told once: it can't be told again
        return returned

    def _find(self, name: tuple[str, str]) -> _Known | None:
        known = self._known.get(name)
        if known is None:
            return None
        if known.done.done() and self._now() - known.at > KEPT_S:
            del self._known[name]
            return None
        return known

    def _make_room(self, caller: str) -> None:
        """Forget what is old, then the caller's own oldest, then anybody's."""
        for name, known in list(self._known.items()):
            if self._now() - known.at <= KEPT_S:
                break
            if known.done.done():
                del self._known[name]
        mine = [name for name in self._known if name[0] == caller]
        over = len(mine) - KEPT_PER_IDENTITY + 1
        if over > 0:
            self._forget(mine, over)
        over = len(self._known) - KEPT_MAX + 1
        if over > 0:
            self._forget(list(self._known), over)

    def _forget(self, names: list[tuple[str, str]], number: int) -> None:
        done = [name for name in names if self._known[name].done.done()]
        if len(done) < number:
            raise RateLimited(
                "too many calls with an Idempotency-Key are on their way",
                remedy="wait for their answers",
                retry_after_ms=1000,
            )
        for name in done[:number]:
            del self._known[name]


def digest(method: str, path: str, query: bytes, body: object, seen: str) -> bytes:
    """What makes two calls the same: where they go, and all that they say.

    Args:
        method: Of HTTP.
        path: As it was sent.
        query: As it was sent.
        body: As it was read; None of none.
        seen: The precondition, `If-Match` and `If-None-Match`.
    """
    parts = (method, path, query.decode("latin-1"), body, seen)
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).digest()
