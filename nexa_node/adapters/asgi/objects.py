"""Large data behind a claim check: kept for a while, found by its SHA-256."""

import re
from collections.abc import AsyncIterator

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import BYTES, Call, Operation, Query, Stream
from nexa_node.contract.errors import Invalid, NotFound, Unavailable
from nexa_node.contract.messages import ObjectRef

_SHA256 = re.compile(r"[0-9a-f]{64}")


async def put_object(call: Call[Query, AsyncIterator[bytes]]) -> ObjectRef:
    """Keep a body; what it answers stands in `data` for it."""
    return await call.api.put_object(call.identity, call.body)


async def get_object(call: Call[Query, None]) -> Stream:
    """Read it back."""
    sha256 = call.path["sha256"]
    if not _SHA256.fullmatch(sha256):
        raise Invalid(
            "the path names no object: a SHA-256 is 64 hexadecimal digits",
            details={"field": "sha256"},
        )
    found = await call.api.get_object(call.identity, sha256)
    return Stream(found.size, found.chunks)


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/objects",
        action="put_object",
        tag="messages",
        summary="Keep data that is too large for a message or a task",
        description="The body is the data itself, of any kind. The answer stands for it:"
        " send it as `data`, and the receiver fetches it.",
        handler=put_object,
        uploads=True,
        answer=ObjectRef,
        example=examples.OBJECT,
        status=201,
        errors=(Unavailable,),
    ),
    Operation(
        method="GET",
        path="/v1/objects/{sha256}",
        action="get_object",
        tag="messages",
        summary="Read large data back",
        handler=get_object,
        answer=bytes,
        example=b"",
        media=BYTES,
        errors=(NotFound, Unavailable),
    ),
)
