"""Backups: the whole store as one archive, out and in."""

from collections.abc import AsyncIterator

from nexa_node.adapters.asgi.operation import (
    BYTES,
    Call,
    Lines,
    Operation,
    Query,
    Stream,
)
from nexa_node.adapters.asgi.paging import DryRunQuery
from nexa_node.contract.cluster import Growth
from nexa_node.contract.errors import Conflict, Invalid, Unavailable

RESTORED = Growth(action="restore", phase="done", done=1204, total=1204)


async def back_up(call: Call[Query, None]) -> Stream:
    """All that the store has; begins when everything has been taken."""
    return Stream(None, await call.api.backup(call.identity))


async def restore(call: Call[DryRunQuery, AsyncIterator[bytes]]) -> Lines:
    """Fill an empty store; the archive is verified whole before the answer begins."""
    return Lines(call.api.restore(call.identity, call.body))


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/cluster/backup",
        action="backup",
        tag="cluster",
        summary="Make a backup of everything and read it",
        description="The answer is the archive. Its last entry counts and checks all"
        " others: an answer that was cut off is refused by restore.",
        handler=back_up,
        answer=bytes,
        example=b"",
        media=BYTES,
        errors=(Conflict, Unavailable),
    ),
    Operation(
        method="POST",
        path="/v1/cluster/restore",
        action="restore",
        tag="cluster",
        summary="Fill an empty node from a backup",
        description="The body is the archive. Nothing is touched unless it is whole and"
        " the node is empty and alone; then the answer tells, line by line, how far it"
        " is.",
        handler=restore,
        query=DryRunQuery,
        dangerous=True,
        uploads=True,
        answer=Growth,
        example=RESTORED,
        streams=Growth,
        errors=(Invalid, Conflict, Unavailable),
    ),
)
