"""Join tokens of one node, in a file of its own: they live as long as its port does.

A token is used at the node that issued it, since only that one's address is in it; so
the node's own record is enough, whatever the store is going through meanwhile.
"""

import asyncio
from pathlib import Path

import msgspec

from nexa_node import private_files
from nexa_node.contract.errors import Conflict, Invalid
from nexa_node.core.join_tokens import JoinRecord
from nexa_node.ports import Versioned


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The file."""

    revision: int = 0
    records: dict[str, tuple[int, JoinRecord]] = {}


class FileJoinRecords:
    """`services.join_means.JoinRecords` over one file, mode 0600."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is read when first needed."""
        self._path = path
        self._turn = asyncio.Lock()
        self._kept: _Kept | None = None

    async def get(self, token_id: str) -> Versioned[JoinRecord] | None:
        """Read one."""
        async with self._turn:
            found = (await self._read()).records.get(token_id)
        return None if found is None else Versioned(found[1], found[0])

    async def put(self, record: JoinRecord, *, revision: int) -> int:
        """Store it if it is still at `revision`, 0: if there is none."""
        async with self._turn:
            kept = await self._read()
            at = kept.records.get(record.id, (0,))[0]
            if at != revision:
                raise Conflict(f"the join token {record.id} was changed: read again")
            new = kept.revision + 1
            records = {**kept.records, record.id: (new, record)}
            await self._write(_Kept(revision=new, records=records))
            return new

    async def delete(self, token_id: str) -> bool:
        """Revoke; False if there was none."""
        async with self._turn:
            kept = await self._read()
            if token_id not in kept.records:
                return False
            records = dict(kept.records)
            del records[token_id]
            await self._write(_Kept(revision=kept.revision + 1, records=records))
            return True

    async def all(self) -> list[JoinRecord]:
        """Read all of them."""
        async with self._turn:
            return [record for _, record in (await self._read()).records.values()]

    async def _read(self) -> _Kept:
        if self._kept is None:
            found = await asyncio.to_thread(private_files.read, self._path)
            self._kept = _Kept() if found is None else _decoded(self._path, found)
        return self._kept

    async def _write(self, kept: _Kept) -> None:
        """On disk first: what was told to be used stays so after a crash."""
        content = msgspec.json.encode(kept)
        await asyncio.to_thread(private_files.make_folder, self._path.parent)
        writing = asyncio.ensure_future(
            asyncio.to_thread(private_files.write, self._path, content)
        )
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._kept = None  # it may be on disk or not: read it again
            await asyncio.wait([writing])
            raise
        self._kept = kept


def _decoded(path: Path, content: bytes) -> _Kept:
    try:
        return msgspec.json.decode(content, type=_Kept)
    except msgspec.MsgspecError:
        raise Invalid(
            f"{path} is damaged", remedy=f"rm {path}: join tokens in it are void then"
        ) from None
