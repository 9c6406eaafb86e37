"""Backups as files: written and read from front to end, never by seeking.

An archive is a plain tar (`tar tf` lists it): the head first, the parts, the manifest
last. Each header is exactly what this module would write, each part has its SHA-256,
and the manifest has that of everything before it: no byte can change unnoticed. With a
key the whole is sealed (`sealing`).
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import shutil
import tarfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from nexa_node import private_files
from nexa_node.contract.errors import Invalid, Unavailable
from nexa_node.core import backups
from nexa_node.core.backups import DAMAGED, Manifest, Piece

BLOCK = tarfile.BLOCKSIZE
CHUNK = 256 * 1024
SMALL = 16 * 1024**2
"""The most the head or the manifest may have."""
ENDING = bytes(2 * BLOCK)

LEFT_OVER_S = 24 * 3600
_alive: set[Path] = set()
"""The spools of this process."""
_FULL = frozenset((28, 122))


class Spool:
    """A folder for the parts of one backup while it is made or read. 0700, files 0600."""

    def __init__(self, folder: Path) -> None:
        """Belongs to `open_spool`."""
        self.folder = folder

    async def write(self, name: str, chunks: AsyncIterator[bytes]) -> Piece:
        """Keep a part; its size and its SHA-256.

        Raises:
            Unavailable: The disk is full, or the folder is not writable.
        """
        digest, size = hashlib.sha256(), 0
        try:
            file = await asyncio.to_thread(self._open, name)
            try:
                async for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    await asyncio.to_thread(file.write, chunk)
            finally:
                await asyncio.to_thread(file.close)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        return Piece(name=name, size=size, sha256=digest.hexdigest())

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """Read a part."""
        with await asyncio.to_thread(self._path(name).open, "rb") as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                yield chunk

    async def close(self) -> None:
        """Remove it with all that is in it."""
        await asyncio.to_thread(self.discard)

    def discard(self) -> None:
        """The same at once."""
        _alive.discard(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _open(self, name: str) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        return os.fdopen(os.open(self._path(name), flags, 0o600), "wb")

    def _path(self, name: str) -> Path:
        # What an archive calls its parts is foreign: it never becomes a path.
        return self.folder / hashlib.sha256(name.encode()).hexdigest()


def open_spool(folder: Path) -> Spool:
    """Make a spool in `folder`.

    Raises:
        Unavailable: It can't be made.
    """
    path = folder / f".spool-{secrets.token_hex(6)}"
    _alive.add(path)
    return Spool(private_files.make_folder(path))


def sweep_spools(folder: Path) -> None:
    """Remove the spools that killed nodes left in `folder`, and half-written backups.

    Another node may share the folder: only what nobody has touched for a day.
    """
    for path in (*folder.glob(".spool-*"), *folder.glob(".*.part")):
        with contextlib.suppress(OSError):
            if path in _alive or time.time() - path.stat().st_mtime < LEFT_OVER_S:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


async def write_archive(spool: Spool, draft: Manifest) -> AsyncIterator[bytes]:
    """Write an archive of parts that are in `spool`.

    Args:
        spool: Where the parts are.
        draft: What to write at its end; its `whole` is filled in here.
    """
    whole = hashlib.sha256()

    def counted(data: bytes) -> bytes:
        whole.update(data)
        return data

    head = msgspec.json.encode(draft.head)
    yield counted(_header(backups.HEAD_NAME, len(head)) + _padded(head))
    for piece in draft.pieces:
        yield counted(_header(piece.name, piece.size))
        async for chunk in spool.read(piece.name):
            yield counted(chunk)
        if padding := bytes(-piece.size % BLOCK):
            yield counted(padding)
    manifest = msgspec.structs.replace(draft, whole=whole.hexdigest())
    content = backups.seal(manifest)
    yield _header(backups.MANIFEST_NAME, len(content)) + _padded(content) + ENDING


async def read_archive(chunks: AsyncIterator[bytes], spool: Spool) -> Manifest:
    """Read an archive to its end, its parts into `spool`, and see that it is whole.

    Raises:
        Invalid: It is no backup, of another version, cut off or damaged; says which.
        Unavailable: The disk is full.
    """
    source = _Source(chunks)
    name, size = await _next_header(source, first=True)
    head = backups.read_head(await source.small(size))
    seen: list[Piece] = []
    while True:
        before = source.digest()
        name, size = await _next_header(source)
        if name == backups.MANIFEST_NAME:
            break
        if any(piece.name == name for piece in seen):
            raise Invalid(f"{DAMAGED}it has {name[:80]} twice")
        piece = await spool.write(name, source.take(size))
        await source.padding(size)
        seen.append(piece)
    manifest = backups.unseal(await source.small(size))
    backups.check_whole(head, seen, before, manifest)
    if await source.exactly(len(ENDING)) != ENDING or not await source.is_over():
        raise Invalid(f"{DAMAGED}something stands behind its end")
    return manifest


class _CutOff(Invalid):
    """The bytes end too early."""


class _Source:
    """Bytes as they come, taken in the sizes that are needed."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._left: bytes = b""
        self._sum = hashlib.sha256()
        self._count = 0

    def digest(self) -> str:
        return self._sum.hexdigest()

    async def take(self, size: int) -> AsyncIterator[bytes]:
        while size:
            if not self._left:
                try:
                    self._left = await anext(self._chunks)
                except StopAsyncIteration:
                    raise _CutOff(
                        f"{DAMAGED}it ends in the middle, after {self._count:,} bytes",
                        remedy="copy it again, and compare the sizes",
                    ) from None
                continue
            some, self._left = self._left[:size], self._left[size:]
            size -= len(some)
            self._count += len(some)
            self._sum.update(some)
            yield some

    async def exactly(self, size: int) -> bytes:
        return b"".join([some async for some in self.take(size)])

    async def padding(self, size: int) -> None:
        if any(await self.exactly(-size % BLOCK)):
            raise Invalid(f"{DAMAGED}there is something where nothing should be")

    async def small(self, size: int) -> bytes:
        if size > SMALL:
            raise Invalid(f"{DAMAGED}its description has {size:,} bytes")
        content = await self.exactly(size)
        await self.padding(size)
        return content

    async def is_over(self) -> bool:
        while not self._left:
            try:
                self._left = await anext(self._chunks)
            except StopAsyncIteration:
                return True
        return False


async def _next_header(source: _Source, *, first: bool = False) -> tuple[str, int]:
    try:
        block = await source.exactly(BLOCK)
    except _CutOff:
        if first:
            raise _no_backup() from None
        raise
    try:
        told = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        if _header(told.name, told.size) != block:
            raise tarfile.HeaderError("not one of ours")
    except (tarfile.HeaderError, UnicodeError, ValueError):
        if first:
            raise _no_backup() from None
        raise Invalid(f"{DAMAGED}the name of a part can't be read") from None
    if first != (told.name == backups.HEAD_NAME):
        raise _no_backup() if first else Invalid(f"{DAMAGED}it has a second head")
    return told.name, told.size


def _no_backup() -> Invalid:
    return Invalid(
        "this is no backup of nexa",
        remedy="give the file that `nexa cluster backup` wrote",
    )


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


def cannot_write(path: Path, error: OSError) -> Unavailable:
    """Say why nothing can be written there."""
    return Unavailable(
        f"a backup can't be written to {path}: {error.strerror}",
        remedy=(
            f"free space on the file system of {path}"
            if error.errno in _FULL
            else f"make {path} writable, or set [cluster] backup_folder"
        ),
    )
