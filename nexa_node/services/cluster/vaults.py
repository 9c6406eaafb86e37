"""What backups need of the world: streams to take and to replace, and where to keep them."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from nexa_node.core.backups import Contents, Described, Manifest, Part, Piece

Open = Callable[[str], AsyncIterator[bytes]]
"""Reads a piece of an archive by its name."""


class Streams(Protocol):
    """The store, as far as a backup is concerned."""

    async def names(self) -> tuple[str, ...]:
        """Name the streams to take, in the order to take them."""
        ...

    def take(
        self, stream: str
    ) -> AbstractAsyncContextManager[tuple[Described, AsyncIterator[bytes]]]:
        """Take one stream: how it was when it began, and its bytes.

        The bytes must be read without pausing for seconds.
        """
        ...

    async def after(self, was: Described) -> tuple[int, AsyncIterator[bytes] | None]:
        """Messages removed while it was taken; what was stored meanwhile, if needed."""
        ...

    async def contents(self) -> Contents:
        """Count what a restore would replace."""
        ...

    def restore(
        self, parts: tuple[Part, ...], read: Open
    ) -> AsyncGenerator[tuple[str, int]]:
        """Replace the store; phases, and how many messages are through each.

        Whatever it raises before the phase `start`: nothing was changed.
        """
        ...


class Spool(Protocol):
    """The parts of one backup while it is made or read."""

    async def write(self, name: str, chunks: AsyncIterator[bytes]) -> Piece:
        """Keep a part."""
        ...

    def read(self, name: str) -> AsyncIterator[bytes]:
        """Read a part."""
        ...

    async def close(self) -> None:
        """Forget all of it."""
        ...

    def discard(self) -> None:
        """The same at once, whether it was closed or not."""
        ...


class Vault(Protocol):
    """Where backups are made and kept."""

    @property
    def where(self) -> str:
        """To be shown."""
        ...

    async def spool(self) -> Spool:
        """Make room for the parts of a backup."""
        ...

    async def sweep(self) -> None:
        """Remove what killed nodes left half done."""
        ...

    def pack(self, spool: Spool, draft: Manifest) -> AsyncIterator[bytes]:
        """Write an archive."""
        ...

    async def unpack(self, chunks: AsyncIterator[bytes], spool: Spool) -> Manifest:
        """Read an archive to its end, and see that it is whole; Invalid if not."""
        ...

    async def keep(self, name: str, chunks: AsyncIterator[bytes]) -> int:
        """Keep a backup, whole or not at all; its size."""
        ...

    async def kept(self) -> tuple[str, ...]:
        """Names of the backups that are kept, the oldest first."""
        ...

    async def forget(self, name: str) -> None:
        """Remove one."""
        ...
