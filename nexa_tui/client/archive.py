"""An archive of `nexa cluster backup`, read as it passes by, and whether it is whole.

A plain tar, never sought in: the head first, the parts, the manifest last. The manifest
has the SHA-256 of each part and of everything before it, so that what is written here is
known to be what the node sent, and what is sent to a node what was once written.
"""

import hashlib
import tarfile
from collections.abc import Generator, Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from nexa_node.contract.errors import Invalid

FORMAT = 1
HEAD_NAME, MANIFEST_NAME = "nexa-backup.json", "manifest.json"
BLOCK = tarfile.BLOCKSIZE
SMALL = 16 * 1024 * 1024
"""The most that the head or the manifest may have."""
_ENDING = bytes(2 * BLOCK)
_AGAIN = "make another: nexa cluster backup FILE"


Walk = Generator[tuple[int, int], bytes]
"""Asks for bytes, at least and at most so many, and is sent them."""
Parsing = Generator[tuple[int, int], bytes, bytes]


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What is in an archive."""

    id: str
    cluster: str
    node: str
    """That made it."""
    nexa: str
    """The version that wrote it."""
    began: datetime
    ended: datetime
    streams: int
    messages: int
    bytes: int
    """Of the archive, opened."""


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    nexa: str
    id: str = ""
    cluster: str = ""
    node: str = ""
    began: datetime | None = None


class _Piece(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    size: int
    sha256: str


class _Stream(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    state: dict[str, Any] = {}


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    stream: _Stream
    snapshot: _Piece
    tail: _Piece | None = None


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    head: _Head
    ended: datetime
    parts: tuple[_Part, ...]
    whole: str


class Checked:
    """Checks one archive while its bytes pass; ask for `contents` afterwards."""

    def __init__(self) -> None:
        """Nothing has passed yet."""
        self._held = b""
        self._whole = hashlib.sha256()
        self._count = 0
        self._pieces: list[_Piece] = []
        self._head: _Head | None = None
        self._manifest: _Manifest | None = None
        self._walk = self._walked()
        self._wanted = next(self._walk)
        self._over = False

    def passing(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Hand the bytes on as they are, a piece only once nothing is wrong with it.

        Raises:
            Invalid: It is no archive, of another format, or damaged.
        """
        for chunk in chunks:
            self._take(chunk)
            yield chunk

    def contents(self) -> Contents:
        """What was in it, once all of it has passed.

        Raises:
            Invalid: It ends early, or is not as it was written.
        """
        manifest = self._manifest
        if not self._over or manifest is None:
            raise _damaged(f"it ends in the middle, after {self._count:,} bytes")
        head = manifest.head
        messages = sum(
            int(one.stream.state.get("messages", 0)) for one in manifest.parts
        )
        return Contents(
            id=head.id,
            cluster=head.cluster,
            node=head.node,
            nexa=head.nexa,
            began=head.began or manifest.ended,
            ended=manifest.ended,
            streams=len(manifest.parts),
            messages=messages,
            bytes=self._count,
        )

    def _take(self, chunk: bytes) -> None:
        """Give the walk what it waits for, a block or a part of a body at a time."""
        self._count += len(chunk)
        self._held += chunk
        while self._held:
            if self._over:
                raise _damaged("something stands behind its end")
            least, most = self._wanted
            if len(self._held) < least:
                return
            given, self._held = self._held[:most], self._held[most:]
            try:
                self._wanted = self._walk.send(given)
            except StopIteration:
                self._over = True

    def _walked(self) -> Walk:
        """Ask for bytes (at least and at most how many) and judge them in their order."""
        while True:
            block = yield BLOCK, BLOCK
            name, size = _header(block, first=self._head is None)
            last = name == MANIFEST_NAME
            if not last:
                self._whole.update(block)
            if last or name == HEAD_NAME:
                content = yield from self._small(size, counted=not last)
                self._described(name, content)
                if last:
                    break
            else:
                yield from self._part(name, size)
        ending = yield len(_ENDING), len(_ENDING)
        if ending != _ENDING:
            raise _damaged("its end is not as it was written")

    def _small(self, size: int, *, counted: bool) -> Parsing:
        if size > SMALL:
            raise _damaged(f"its description has {size:,} bytes")
        room = size + -size % BLOCK
        content = (yield room, room) if room else b""
        if counted:
            self._whole.update(content)
        if any(content[size:]):
            raise _damaged("there is something where nothing should be")
        return content[:size]

    def _part(self, name: str, size: int) -> Walk:
        digest, left = hashlib.sha256(), size
        while left:
            some = yield 1, left
            left -= len(some)
            digest.update(some)
            self._whole.update(some)
        padding = -size % BLOCK
        if padding:
            some = yield padding, padding
            self._whole.update(some)
        self._pieces.append(_Piece(name=name, size=size, sha256=digest.hexdigest()))

    def _described(self, name: str, content: bytes) -> None:
        if name == HEAD_NAME:
            self._head = _read_head(content)
        else:
            self._manifest = self._agreed(content)

    def _agreed(self, content: bytes) -> _Manifest:
        """Hold what has passed against the manifest."""
        check, _, text = content.partition(b"\n")
        if hashlib.sha256(text).hexdigest().encode() != check:
            raise _damaged("its list of parts is not as it was written")
        try:
            manifest = msgspec.json.decode(text, type=_Manifest)
        except msgspec.DecodeError as error:
            raise _damaged(f"its list of parts can't be read: {error}") from error
        wanted = [
            piece
            for part in manifest.parts
            for piece in (part.snapshot, part.tail)
            if piece is not None
        ]
        if manifest.head != self._head or wanted != self._pieces:
            raise _damaged("its parts are not those that were written")
        if manifest.whole != self._whole.hexdigest():
            raise _damaged("it is not as it was written")
        return manifest


def words(contents: Contents) -> str:
    """What is in it, for a person."""
    return (
        f"{contents.messages:,} messages in {contents.streams} streams of cluster"
        f" {contents.cluster}, as of {contents.began:%Y-%m-%d %H:%M:%S} UTC"
    )


def _read_head(content: bytes) -> _Head:
    try:
        head = msgspec.json.decode(content, type=_Head)
    except msgspec.DecodeError as error:
        raise _damaged(f"its head can't be read: {error}") from error
    if head.format != FORMAT:
        raise Invalid(
            f"it has format {head.format} (nexa {head.nexa[:40]}), and this nexa reads"
            f" format {FORMAT}",
            remedy="use the nexa that wrote it",
        )
    return head


def _header(block: bytes, *, first: bool) -> tuple[str, int]:
    try:
        told = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        if _written(told.name, told.size) != block:
            told = None  # a tar, and not one that a node wrote
    except (tarfile.HeaderError, UnicodeError, ValueError):
        told = None
    if first and (told is None or told.name != HEAD_NAME):
        raise Invalid(
            "it is no backup of nexa",
            remedy="give a file that nexa cluster backup wrote",
        )
    if told is None:
        raise _damaged("the name of a part can't be read")
    if not first and told.name == HEAD_NAME:
        raise _damaged("it has a second head")
    return told.name, told.size


def _written(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def _damaged(why: str) -> Invalid:
    return Invalid(f"it is damaged: {why}", remedy=_AGAIN)
