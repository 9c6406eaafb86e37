"""The folder where scheduled backups are kept: written beside, synced, then renamed."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from nexa_node import private_files
from nexa_node.adapters.files.archive import (
    Spool,
    cannot_write,
    open_spool,
    read_archive,
    sweep_spools,
    write_archive,
)
from nexa_node.adapters.files.sealing import seal, unseal
from nexa_node.core.backups import Manifest

SUFFIX = ".nexa-backup"


class Shelf:
    """`services.vaults.Vault` in a folder."""

    def __init__(self, folder: Path, key: bytes | None = None) -> None:
        """Keep backups in `folder`; with a `key` those are sealed with it."""
        self._folder = folder
        self._key = key

    @property
    def where(self) -> str:
        """The folder, to be shown."""
        return str(self._folder)

    async def spool(self) -> Spool:
        """Make room for the parts of a backup.

        Raises:
            Unavailable: There is none.
        """
        return await asyncio.to_thread(open_spool, self._folder)

    async def sweep(self) -> None:
        """Remove what killed nodes left half done. While no backup is under way."""
        await asyncio.to_thread(sweep_spools, self._folder)

    def pack(self, spool: Spool, draft: Manifest) -> AsyncIterator[bytes]:
        """Write an archive of the parts in `spool`; not sealed, whoever asked may."""
        return write_archive(spool, draft)

    async def unpack(self, chunks: AsyncIterator[bytes], spool: Spool) -> Manifest:
        """Read an archive into `spool`, to its end.

        Raises:
            Invalid: It is none, or damaged, or sealed with another key.
        """
        return await read_archive(unseal(chunks, self._key), spool)

    async def keep(self, name: str, chunks: AsyncIterator[bytes]) -> int:
        """Keep a backup under `name`, sealed, whole or not at all; its size.

        Raises:
            Unavailable: The disk is full, or the folder is not writable.
        """
        path = self._folder / f"{name}{SUFFIX}"
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        size = 0
        if self._key is not None:
            chunks = seal(chunks, self._key)
        try:
            await asyncio.to_thread(private_files.make_folder, self._folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            file = os.fdopen(
                await asyncio.to_thread(os.open, beside, flags, 0o600), "wb"
            )
            try:
                async for chunk in chunks:
                    size += await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(file.flush)
                await asyncio.to_thread(os.fsync, file.fileno())
            finally:
                await asyncio.to_thread(file.close)
            await asyncio.to_thread(beside.replace, path)
        except OSError as error:
            raise cannot_write(self._folder, error) from error
        finally:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(beside.unlink)
        return size

    async def kept(self) -> tuple[str, ...]:
        """Names of the backups that are kept, the oldest first."""
        found = await asyncio.to_thread(
            lambda: sorted(self._folder.glob(f"[!.]*{SUFFIX}"))
        )
        return tuple(path.name.removesuffix(SUFFIX) for path in found)

    async def forget(self, name: str) -> None:
        """Remove a backup; no error if it is gone."""
        path = self._folder / f"{name}{SUFFIX}"
        await asyncio.to_thread(path.unlink, missing_ok=True)
