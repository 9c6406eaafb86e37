"""`Idempotency-Key`: the same write again is answered as before, and done once.

Tasks and durable messages take the key into the store, so any node knows it, also after a
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
KEPT_PER_CALLER = 200
"""Calls of one caller that are remembered: who makes more loses his own oldest ones."""
CALLERS_MAX = 100
KEPT_BYTES = 8 * 1024 * 1024
"""Of all answers together."""


@dataclass(slots=True)
class _Known:
    """One call that was made with a key."""

    request: bytes
    """Digest of what was asked."""
    done: "asyncio.Future[Returned]"
    at: float
    size: int = 0
    """Of the answer, as JSON."""


_Book = OrderedDict[str, _Known]
"""One caller's calls by their keys, the oldest first."""


class Repeats:
    """What one port did for which key."""

    def __init__(self, *, now: Callable[[], float] = monotonic) -> None:
        """Know of nothing."""
        self._now = now
        self._books: OrderedDict[str, _Book] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """How many calls are remembered."""
        return sum(len(book) for book in self._books.values())

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
            request: What is asked: `digest` makes it.
            do: Does it.

        Raises:
            Duplicate: The key was used for another call.
            RateLimited: Too many calls with keys are on their way.
            NexaError: What `do` raises; then nothing is remembered.
        """
        while (known := self._find(caller.id, key, request)) is not None:
            try:
                return await asyncio.shield(known.done)
            except asyncio.CancelledError:
                if not known.done.cancelled():
                    raise  # it is this call that was called off
            # The first one failed: this one is the first now.
        mine = self._begin(caller.id, key, request)
        try:
            returned = await do()
        except BaseException:
            self._forget(caller.id, key, mine)
            mine.done.cancel()
            raise
        mine.done.set_result(returned)
        if isinstance(returned, Lines | Stream):
            self._forget(caller.id, key, mine)  # it can't be told again
        elif self._books.get(caller.id, _Book()).get(key) is mine:
            mine.size = _size(returned)
            self._bytes += mine.size
            self._make_room()
        return returned

    async def apart(
        self,
        caller: Identity,
        key: str,
        request: bytes,
        do: Callable[[], Awaitable[Returned]],
    ) -> Returned:
        """Do it each time: the store knows the key. Another call by it is refused.

        Raises:
            Duplicate: The key was used for another call, as far as this node knows.
            NexaError: What `do` raises.
        """
        if self._find(caller.id, key, request) is not None:
            return await do()
        mine = self._begin(caller.id, key, request)
        try:
            return await do()
        except BaseException:
            self._forget(caller.id, key, mine)
            raise
        finally:
            mine.done.cancel()  # nobody waits for it

    def _find(self, caller: str, key: str, request: bytes) -> _Known | None:
        """The call that was made with this key; Duplicate if it was another one."""
        known = self._books.get(caller, _Book()).get(key)
        if known is None:
            return None
        if known.done.done() and self._now() - known.at > KEPT_S:
            self._forget(caller, key, known)
            return None
        if known.request != request:
            raise Duplicate(
                "the Idempotency-Key was used for another call",
                remedy="give each call a key of its own",
                details={"field": "Idempotency-Key"},
            )
        return known

    def _begin(self, caller: str, key: str, request: bytes) -> _Known:
        book = self._books.setdefault(caller, _Book())
        self._books.move_to_end(caller)
        if len(book) >= KEPT_PER_CALLER:
            oldest = next(iter(book))
            if not book[oldest].done.done():
                raise RateLimited(
                    "too many calls with an Idempotency-Key are on their way",
                    remedy="wait for their answers",
                    retry_after_ms=1000,
                )
            self._forget(caller, oldest, book[oldest])
        done: asyncio.Future[Returned] = asyncio.get_running_loop().create_future()
        mine = self._books.setdefault(caller, book)[key] = _Known(
            request, done, self._now()
        )
        self._make_room()
        return mine

    def _forget(self, caller: str, key: str, known: _Known) -> None:
        book = self._books.get(caller)
        if book is None or book.get(key) is not known:
            return
        del book[key]
        self._bytes -= known.size
        if not book:
            del self._books[caller]

    def _make_room(self) -> None:
        """Forget what is old; where that is not enough, who was silent longest."""
        for caller, book in list(self._books.items())[:2]:
            for key, known in list(book.items())[:2]:
                if known.done.done() and self._now() - known.at > KEPT_S:
                    self._forget(caller, key, known)
        while len(self._books) > CALLERS_MAX or self._bytes > KEPT_BYTES:
            caller, book = next(iter(self._books.items()))
            for key, known in list(book.items()):
                self._forget(caller, key, known)


def _size(returned: Returned) -> int:
    if isinstance(returned, Document):
        return len(returned.content)
    return 0 if returned is None else len(msgspec.json.encode(returned))


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
