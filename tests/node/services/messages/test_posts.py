"""Reading topics a page at a time, and large data behind a claim check."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from nexa_node.contract.errors import Invalid, NotFound, PayloadTooLarge
from nexa_node.contract.ids import Namespace
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.core.policies import RetentionPolicy, SessionPolicy
from nexa_node.services.api import PostedFilter
from nexa_node.services.messages.objects import SWEEP_S
from tests.fakes import MemoryStore, settle
from tests.rig import Rig

FAST = SessionPolicy(messages_per_s=1e6, messages_burst=1_000_000)


async def post(rig: Rig, topic: str, data: Any = None) -> None:
    message = NewMessage(to=Address(topic=topic), type="note", data=data)
    await rig.messages.send("token:op1", message)


def wanted(topic: str = ">", **fields: Any) -> PostedFilter:
    return PostedFilter(topic=topic, namespace=Namespace("default"), **fields)


async def test_a_page_tells_what_topics_keep_and_where_to_go_on() -> None:
    async with Rig(sessions=FAST) as rig:
        for n in range(150):
            await post(rig, f"a.{n % 2}", n)
        first = await rig.post.posts.read(wanted("a.*", limit=100))
        assert [each.data for each in first.items] == list(range(100))
        assert first.next_cursor == "100"
        rest = await rig.post.posts.read(wanted("a.*", after=100))
        assert [each.data for each in rest.items] == list(range(100, 150))
        none = await rig.post.posts.read(wanted("a.*", after=150))

        assert (none.items, none.next_cursor) == ((), "150")
        told = first.items[1]
        assert (told.seq, told.topic, told.sender) == (2, "a.1", "token:op1")


@pytest.mark.parametrize(
    ("last", "found"), [(0, []), (2, [98, 99]), (1000, list(range(100)))]
)
async def test_the_newest_few_are_told_oldest_first(
    last: int, found: list[int]
) -> None:
    async with Rig(sessions=FAST) as rig:
        for n in range(100):
            await post(rig, "a", n)
        await post(rig, "b")
        page = await rig.post.posts.read(wanted("a", last=last))

        assert [each.data for each in page.items] == found
        assert page.next_cursor == "101"


async def test_a_reader_waits_for_the_next_one() -> None:
    async with Rig() as rig:
        reading = rig.group.create_task(rig.post.posts.read(wanted("a.*", wait_s=30)))
        await settle()
        await post(rig, "b")
        await rig.clock.advance(5)
        assert not reading.done()
        await post(rig, "a.b", "here")
        await settle()
        page = await reading

        assert [each.data for each in page.items] == ["here"]
        assert not rig.post.posts._waiting


async def test_a_reader_does_not_wait_for_ever() -> None:
    async with Rig() as rig:
        await post(rig, "a")
        reading = rig.group.create_task(
            rig.post.posts.read(wanted("a", after=1, wait_s=1e9))
        )
        await rig.clock.advance(61)

        assert (await reading).items == ()
        assert not rig.post.posts._waiting


async def test_what_is_there_is_told_without_waiting() -> None:
    async with Rig() as rig:
        await post(rig, "a", 1)
        page = await rig.post.posts.read(wanted("a", wait_s=30))

        assert [each.data for each in page.items] == [1]


async def test_a_page_of_much_data_ends_early() -> None:
    async with Rig(sessions=FAST) as rig:
        for _ in range(40):
            await post(rig, "a", "x" * 250_000)
        page = await rig.post.posts.read(wanted("a", limit=100))

        assert 10 < len(page.items) < 20
        assert page.next_cursor == str(len(page.items))


@pytest.mark.parametrize(
    "query",
    [
        wanted("a..b"),
        wanted(limit=0),
        wanted(limit=1001),
        PostedFilter(topic="a", namespace=Namespace("no slug")),
    ],
)
async def test_a_query_that_means_nothing_is_refused(query: PostedFilter) -> None:
    async with Rig() as rig:
        with pytest.raises(Invalid):
            await rig.post.posts.read(query)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_large_data_is_taken_and_given_back() -> None:
    async with Rig() as rig:
        ref = await rig.post.objects.put(chunks(b"abc", b"", b"def"))
        assert ref.ref == f"nexa:object/{ref.sha256}"
        assert ref.size == 6
        size, pieces = await rig.post.objects.get(ref.sha256)

        assert size == 6
        assert b"".join([piece async for piece in pieces]) == b"abcdef"


async def test_too_large_data_and_wrong_hashes_are_refused() -> None:
    store = MemoryStore(retention=RetentionPolicy(objects_max_bytes=5, objects_hours=1))
    async with Rig(store=store) as rig:
        with pytest.raises(PayloadTooLarge):
            await rig.post.objects.put(chunks(b"abc", b"def"))
        for name in ("", "../x", "A" * 64, "0" * 63):
            with pytest.raises(Invalid):
                await rig.post.objects.get(name)
        with pytest.raises(NotFound):
            await rig.post.objects.get("0" * 64)
        ref = await rig.post.objects.put(chunks(b"abc"))
        await rig.clock.advance(3601)

        with pytest.raises(NotFound):
            await rig.post.objects.get(ref.sha256)


async def test_what_uploads_left_is_swept_each_hour_whatever_the_store_says() -> None:
    async with Rig() as rig:
        calls = rig.store.door.calls
        assert calls.count("objects.sweep") == 1
        rig.store.available = False
        await rig.clock.advance(SWEEP_S + 1)
        rig.store.available = True
        await rig.clock.advance(SWEEP_S)

        assert calls.count("objects.sweep") == 3
