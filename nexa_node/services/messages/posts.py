"""Reading topics without subscribing: a page at a time, with waiting for the next."""

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import Namespace, is_slug
from nexa_node.contract.messages import Posted
from nexa_node.contract.rest import PAGE_MAX, Page
from nexa_node.core.topics import Trie, check_pattern
from nexa_node.ports import Arrived, Clock, Inboxes, TopicMessage
from nexa_node.services.api import PostedFilter

READ_AT_ONCE = 64
PAGE_BYTES = 4 * 1024**2
"""A page ends early, at about so many bytes of data."""
WAIT_LIMIT_S = 60.0


class Posts:
    """What topics keep."""

    def __init__(
        self,
        inboxes: Inboxes,
        clock: Clock,
        listen: Callable[[Callable[[Arrived], None]], None],
    ) -> None:
        """Read from `inboxes`; `listen` has us told of what arrives."""
        self._inboxes = inboxes
        self._clock = clock
        self._waiting: Trie[asyncio.Future[None]] = Trie()
        listen(self._heard)

    async def read(self, query: PostedFilter) -> Page[Posted]:
        """Read the messages of all topics that meet a pattern, oldest first.

        `next_cursor` is always the position to go on after.

        Raises:
            Invalid: The pattern is none, or a number is out of range.
            Unavailable: The store does not answer.
        """
        check_pattern("topic", query.topic)
        if not is_slug(query.namespace):
            raise Invalid(
                "namespace: it is not a slug", details={"member": "namespace"}
            )
        if not 1 <= query.limit <= PAGE_MAX:
            raise Invalid(f"limit: 1 to {PAGE_MAX:,} is allowed")
        if query.last is not None:
            return await self._newest(query, query.last)
        if query.wait_s <= 0:
            return await self._page(query)
        return await self._page_or_wait(query)

    async def _page_or_wait(self, query: PostedFilter) -> Page[Posted]:
        arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tokens = (query.namespace, *query.topic.split("."))
        self._waiting.add(tokens, arrived)
        try:
            page = await self._page(query)
            if page.items:
                return page
            wait_s = min(query.wait_s, WAIT_LIMIT_S)
            async with asyncio.TaskGroup() as group:
                timer = group.create_task(self._give_up(arrived, wait_s))
                await arrived
                timer.cancel()
        finally:
            self._waiting.remove(tokens, arrived)
        return await self._page(query)

    async def _give_up(self, arrived: "asyncio.Future[None]", wait_s: float) -> None:
        await self._clock.sleep(wait_s)
        _wake(arrived)

    async def _page(self, query: PostedFilter) -> Page[Posted]:
        found: list[Posted] = []
        after, size = query.after, 0
        while len(found) < query.limit and size < PAGE_BYTES:
            wanted = min(READ_AT_ONCE, query.limit - len(found))
            some = await self._read(query.namespace, query.topic, after, wanted)
            for each in some:
                found.append(_posted(each))
                size += len(msgspec.json.encode(each.message.data))
                after = each.seq
                if size >= PAGE_BYTES:
                    break
            if len(some) < wanted:
                break
        return Page(items=tuple(found), next_cursor=str(after))

    async def _newest(self, query: PostedFilter, last: int) -> Page[Posted]:
        """The last few: topics are read from their beginning, since they only go on."""
        newest: deque[Posted] = deque(maxlen=max(0, min(last, PAGE_MAX)))
        after, end = query.after, await self._inboxes.last_seq()
        while last > 0:
            some = await self._read(query.namespace, query.topic, after, READ_AT_ONCE)
            newest.extend(_posted(each) for each in some)
            if some:
                after = some[-1].seq
            if len(some) < READ_AT_ONCE:
                break
        return Page(items=tuple(newest), next_cursor=str(max(after, end)))

    async def _read(
        self, namespace: Namespace, topic: str, after: int, limit: int
    ) -> list[TopicMessage]:
        return await self._inboxes.read_topics(
            namespace, topic, after=after, limit=limit
        )

    def _heard(self, arrived: Arrived) -> None:
        if not self._waiting or not isinstance(arrived, TopicMessage):
            return
        tokens = (arrived.namespace, *arrived.topic.split("."))
        for waiting in self._waiting.match(tokens):
            _wake(waiting)


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


def _posted(told: TopicMessage) -> Posted:
    message = told.message
    return Posted(
        seq=told.seq,
        id=message.id,
        sender=message.sender,
        topic=told.topic,
        type=message.type,
        time=message.time,
        data=message.data,
        reply_to=message.reply_to,
    )
