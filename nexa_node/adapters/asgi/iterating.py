"""Ending an iterator that was not read to its end."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar, cast

T = TypeVar("T")


@asynccontextmanager
async def ended(iterator: AsyncIterator[T]) -> AsyncGenerator[AsyncIterator[T]]:
    """Close `iterator` at the end, if it is a generator and holds something open."""
    try:
        yield iterator
    finally:
        if isinstance(iterator, AsyncGenerator):
            await cast("AsyncGenerator[T]", iterator).aclose()
