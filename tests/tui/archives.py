"""Archives as a node writes them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from nexa_node.adapters.files.archive import open_spool, write_archive
from nexa_node.core.backups import Described, Head, Manifest, Part
from tests.builders import EARLIER, NOW

STREAMS = {"NX_TASKQ": b"queue " * 400, "KV_nx_tasks": b"task " * 3000, "NX_DLQ": b""}


async def _archive(folder: Path) -> bytes:
    async def content(data: bytes) -> AsyncIterator[bytes]:
        yield data

    spool = open_spool(folder)
    parts: list[Part] = []
    for name, data in STREAMS.items():
        parts.append(
            Part(
                stream=Described(
                    name=name, config={}, state={"messages": len(data) // 5}
                ),
                removed=0,
                snapshot=await spool.write(f"streams/{name}", content(data)),
            )
        )
    head = Head(
        format=1, nexa="0.1.0", id="b1", cluster="prod", cluster_id="c1", node="alpha",
        began=EARLIER,
    )  # fmt: skip
    draft = Manifest(head=head, ended=NOW, parts=tuple(parts), whole="")
    made = b"".join([chunk async for chunk in write_archive(spool, draft)])
    await spool.close()
    return made


def archive(folder: Path) -> bytes:
    """A whole one."""
    return asyncio.run(_archive(folder))
