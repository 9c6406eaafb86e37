"""The logs of all nodes, read together: this one's from memory, the others' by asking.

Reading never slows who logs: a node keeps its newest lines in a ring of fixed size, and
a reader that is too slow misses what fell out of it. A reader that waits is woken by what
this node logs; other nodes are asked again each second.
"""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from nexa_node.contract.errors import NexaError
from nexa_node.contract.logs import LogLine
from nexa_node.contract.rest import Page
from nexa_node.core.log_cursor import read_cursor, write_cursor
from nexa_node.ports import Clock, LogRing, NodeCalls
from nexa_node.services.log_api import LogFilter

LIST = "logs-list"
ASK_S = 3.0
AGAIN_S = 1.0
WAIT_LIMIT_S = 60.0
FIELD_MAX = 4000
"""Characters that go to another node of a value; a traceback is longer."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One node's part of an answer."""

    lines: tuple[LogLine, ...] = ()
    upto: int = 0
    """How far it was looked at."""


_filter = msgspec.json.Decoder(LogFilter)
_told = msgspec.json.Decoder(Told)


class LogBook:
    """Answers for the cluster."""

    def __init__(
        self,
        ring: LogRing,
        *,
        calls: NodeCalls,
        node: str,
        living: Callable[[], Iterable[str]],
        clock: Clock,
    ) -> None:
        """Read this node's `ring`, and ask those who are `living` for theirs."""
        self._ring = ring
        self._calls = calls
        self._node = node
        self._living = living
        self._clock = clock

    def serve(self) -> None:
        """Answer other nodes."""
        self._calls.serve(self._node, LIST, self._answer)

    async def page(self, query: LogFilter) -> Page[LogLine]:
        """What was logged, the oldest first; `next_cursor` is always where to go on.

        Without `after` it is the newest `limit` lines, or those before `before`. With it, what came since; of
        nodes that are not in it, what they keep.

        Raises:
            Invalid: `after` is none of our cursors.
        """
        positions = None if query.after is None else read_cursor(query.after)
        deadline = self._clock.monotonic() + min(query.wait_s, WAIT_LIMIT_S)
        while True:
            before = self._ring.newest()
            page = await self._once(query, positions)
            left = deadline - self._clock.monotonic()
            if page.items or left <= 0:
                return page
            positions = read_cursor(page.next_cursor or "")
            await self._stir(before, min(AGAIN_S, left))

    async def _once(
        self, query: LogFilter, positions: dict[str, int] | None
    ) -> Page[LogLine]:
        nodes = [
            node
            for node in sorted({self._node, *self._living()})
            if query.node in {None, node}
        ]
        told = await asyncio.gather(
            *(self._of(node, query, positions) for node in nodes)
        )
        upto = dict(positions or {})
        lines: list[LogLine] = []
        for node, one in zip(nodes, told, strict=True):
            if one is not None:
                upto[node] = max(one.upto, upto.get(node, 0))
                lines += one.lines
        lines.sort(key=_place)
        if positions is None:
            lines = lines[-query.limit :]
        elif len(lines) > query.limit:
            for left in reversed(lines[query.limit :]):
                upto[left.node] = min(upto[left.node], left.seq - 1)
            lines = lines[: query.limit]
        return Page(items=tuple(lines), next_cursor=write_cursor(upto))

    async def _of(
        self, node: str, query: LogFilter, positions: dict[str, int] | None
    ) -> Told | None:
        after = None if positions is None else str(positions.get(node, 0))
        own = msgspec.structs.replace(query, after=after, wait_s=0.0)
        if node == self._node:
            return self._own(own)
        try:
            asked = msgspec.json.encode(own)
            return _told.decode(
                await self._calls.ask(node, LIST, asked, timeout_s=ASK_S)
            )
        except (NexaError, msgspec.DecodeError):
            return None  # it goes on where it was when it answers again

    def _own(self, query: LogFilter) -> Told:
        after = 0 if query.after is None else int(query.after)
        upto = self._ring.newest()
        if query.after is None:
            found: list[LogLine] = []
            for line in self._ring.backwards():
                if (query.before is None or line.seq < query.before) and query.takes(
                    line
                ):
                    found.append(line)
                    if len(found) == query.limit:
                        break
            return Told(lines=tuple(reversed(found)), upto=upto)
        found = []
        for line in self._ring.since(after):
            if query.takes(line):
                found.append(line)
                if len(found) == query.limit:
                    return Told(lines=tuple(found), upto=line.seq)
        return Told(lines=tuple(found), upto=max(upto, after))

    async def _answer(self, payload: bytes) -> bytes:
        told = self._own(_filter.decode(payload))
        return msgspec.json.encode(
            Told(lines=tuple(map(_cut, told.lines)), upto=told.upto)
        )

    async def _stir(self, seen: int, wait_s: float) -> None:
        """Wait until this node logs something, or for so long."""
        if self._ring.newest() != seen:
            return
        loop = asyncio.get_running_loop()
        stirred: asyncio.Future[None] = loop.create_future()

        def wake() -> None:  # whichever thread logs
            loop.call_soon_threadsafe(_set, stirred)

        forget = self._ring.on_line(wake)
        try:
            async with asyncio.TaskGroup() as group:
                timer = group.create_task(self._end(stirred, wait_s))
                await stirred
                timer.cancel()
        finally:
            forget()

    async def _end(self, stirred: "asyncio.Future[None]", wait_s: float) -> None:
        await self._clock.sleep(wait_s)
        _set(stirred)


def _set(stirred: "asyncio.Future[None]") -> None:
    if not stirred.done():
        stirred.set_result(None)


def _place(line: LogLine) -> tuple[int, str]:
    return line.seq, line.node


def _cut(line: LogLine) -> LogLine:
    fields = {
        key: value[:FIELD_MAX] if isinstance(value, str) else value
        for key, value in line.fields.items()
    }
    return msgspec.structs.replace(line, fields=fields)
