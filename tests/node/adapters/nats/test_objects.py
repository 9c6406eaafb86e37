"""Large data in NX_OBJECTS: what is left of uploads that did not end, and of old copies."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nexa_node.adapters.nats import objects, wire
from nexa_node.adapters.nats.objects import NatsObjects
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.contract.errors import Unavailable
from nexa_node.core.pieces import PIECE_BYTES
from nexa_node.core.policies import RetentionPolicy
from tests.node.adapters.nats.tools import kill, opened

LIMIT = 64 * 1024**2
SHORT = RetentionPolicy(objects_hours=2 / 3600)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def pieces(store: NatsStore) -> int:
    info = await store._connection.call(
        "STREAM.INFO.NX_OBJECTS",
        wire.AskInfo(subjects_filter="nx.object.piece.>"),
        wire.StreamInfo,
    )
    return sum((info.state.subjects or {}).values())


async def whole(found: Any) -> bytes:
    return b"".join([piece async for piece in found[1]])


async def test_an_upload_that_fails_is_removed_at_once(store: NatsStore) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"x" * 3 * PIECE_BYTES
        raise OSError("broken off")

    with pytest.raises(OSError, match="broken"):
        await store.objects.put(failing(), limit=LIMIT)

    assert await pieces(store) == 0


async def test_an_upload_that_is_cancelled_is_removed_at_once(store: NatsStore) -> None:
    began = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield b"x" * PIECE_BYTES
        began.set()
        await asyncio.Event().wait()

    upload = asyncio.ensure_future(store.objects.put(stuck(), limit=LIMIT))
    await began.wait()
    assert await pieces(store) == 1
    upload.cancel()
    await asyncio.wait([upload])

    assert upload.cancelled()
    assert await pieces(store) == 0


async def test_what_a_killed_node_left_is_swept_and_what_is_whole_is_kept(
    store: NatsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await store.objects.put(chunks(b"whole"), limit=LIMIT)
    left = objects._Upload(store._connection)
    await left.add(b"half")
    assert await store.objects.sweep() == 0
    monkeypatch.setattr(objects, "HALF_WRITTEN_S", -2)
    assert await store.objects.sweep() == 1

    assert await pieces(store) == 1
    assert await whole(await store.objects.get(kept.sha256)) == b"whole"


async def test_the_same_content_soon_again_is_stored_once(store: NatsStore) -> None:
    for _ in range(3):
        await store.objects.put(chunks(b"same"), limit=LIMIT)

    assert await pieces(store) == 1


async def test_the_same_content_much_later_is_kept_anew_and_the_old_copy_swept(
    store: NatsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.objects.put(chunks(b"same"), limit=LIMIT)
    monkeypatch.setattr(objects, "MARGIN", 10**9)
    again = await store.objects.put(chunks(b"same"), limit=LIMIT)
    assert await pieces(store) == 2
    monkeypatch.setattr(objects, "HALF_WRITTEN_S", -2)
    assert await store.objects.sweep() == 1

    assert await pieces(store) == 1
    assert await whole(await store.objects.get(again.sha256)) == b"same"


async def test_an_object_that_lost_a_piece_is_never_taken_for_whole(
    store: NatsStore,
) -> None:
    content = hashlib.shake_128(b"x").digest(3 * PIECE_BYTES)
    stored = await store.objects.put(chunks(content), limit=LIMIT)
    await store._connection.call(
        "STREAM.MSG.DELETE.NX_OBJECTS", wire.DeleteMessage(seq=2), wire.Answer
    )
    found = await store.objects.get(stored.sha256)
    with pytest.raises(Unavailable, match="not whole"):
        await whole(found)


async def test_an_object_whose_pieces_are_others_is_never_told(
    store: NatsStore,
) -> None:
    stored = await store.objects.put(chunks(b"right"), limit=LIMIT)
    other = await store.objects.put(chunks(b"wrong"), limit=LIMIT)
    right = await store.objects._meta(stored.sha256)
    assert right is not None
    forged = NatsObjects(store._connection)._pieces(other.sha256, right)
    with pytest.raises(Unavailable, match="not whole"):
        [piece async for piece in forged]


async def test_a_description_that_can_not_be_read_is_none(store: NatsStore) -> None:
    stored = await store.objects.put(chunks(b"abc"), limit=LIMIT)
    subject = objects._meta_subject(stored.sha256)
    await store._connection.store(subject, b"\xff", message_id="x")

    assert await store.objects.get(stored.sha256) is None
    assert await store.objects.sweep() == 0


async def test_objects_survive_a_kill_and_end_with_their_time(folder: Path) -> None:
    async with opened(folder, retention=SHORT) as store:
        stored = await store.objects.put(chunks(b"abc" * PIECE_BYTES), limit=LIMIT)
        kill(store)
        found = await store.objects.get(stored.sha256)
        assert len(await whole(found)) == stored.size
        async with asyncio.timeout(20):
            while await store.objects.get(stored.sha256) is not None:
                await asyncio.sleep(0.05)
            while await pieces(store):
                await asyncio.sleep(0.05)


async def test_a_kill_in_the_middle_of_an_upload_costs_nothing(
    store: NatsStore,
) -> None:
    async def shaken() -> AsyncIterator[bytes]:
        yield b"a" * PIECE_BYTES
        kill(store)
        yield b"b" * PIECE_BYTES

    stored = await store.objects.put(shaken(), limit=LIMIT)

    found = await whole(await store.objects.get(stored.sha256))
    assert found == b"a" * PIECE_BYTES + b"b" * PIECE_BYTES


async def test_a_stream_that_is_gone_is_unavailable(store: NatsStore) -> None:
    await store._connection.call("STREAM.DELETE.NX_OBJECTS", None, wire.Answer)
    calls = [
        store.objects.get("0" * 64),
        store.objects.sweep(),
        store.objects.put(chunks(b"x"), limit=LIMIT),
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(result) for result in results} == {Unavailable}
