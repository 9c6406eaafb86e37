"""What a store for large data promises, of every store."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nexa_node.contract.errors import PayloadTooLarge
from nexa_node.core.pieces import PIECE_BYTES

LIMIT = 8 * 1024**2


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def whole(found: Any) -> bytes:
    size, pieces = found
    content = b"".join([piece async for piece in pieces])
    assert len(content) == size
    return content


@pytest.mark.parametrize(
    "size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 9 * PIECE_BYTES + 5]
)
async def test_an_object_comes_back_as_it_was(world: Any, size: int) -> None:
    content = hashlib.shake_128(b"x").digest(size)
    parts = [content[at : at + 100_000] for at in range(0, size, 100_000)]
    stored = await world.store.objects.put(chunks(*parts), limit=LIMIT)

    assert stored.size == size
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert await whole(await world.store.objects.get(stored.sha256)) == content


async def test_what_nobody_stored_is_not_found(world: Any) -> None:
    assert await world.store.objects.get("0" * 64) is None


async def test_one_byte_too_many_is_refused_and_nothing_is_kept(world: Any) -> None:
    with pytest.raises(PayloadTooLarge):
        await world.store.objects.put(
            chunks(b"x" * PIECE_BYTES, b"y"), limit=PIECE_BYTES
        )

    hashed = hashlib.sha256(b"x" * PIECE_BYTES + b"y").hexdigest()
    assert await world.store.objects.get(hashed) is None
    await world.store.objects.put(chunks(b"x" * PIECE_BYTES), limit=PIECE_BYTES)


async def test_the_same_content_is_one_object(world: Any) -> None:
    first = await world.store.objects.put(chunks(b"abc"), limit=LIMIT)
    again = await world.store.objects.put(chunks(b"a", b"bc"), limit=LIMIT)

    assert first == again
    assert await whole(await world.store.objects.get(first.sha256)) == b"abc"


async def test_a_source_that_fails_leaves_nothing(world: Any) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"x" * PIECE_BYTES
        raise OSError("the upload broke off")

    with pytest.raises(OSError, match="broke off"):
        await world.store.objects.put(failing(), limit=LIMIT)

    assert await world.store.objects.sweep() == 0
    hashed = hashlib.sha256(b"x" * PIECE_BYTES).hexdigest()
    assert await world.store.objects.get(hashed) is None
