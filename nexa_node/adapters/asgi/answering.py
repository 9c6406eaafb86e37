"""From what an operation returns to HTTP messages."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping

import msgspec
from starlette.types import Receive, Scope, Send

from nexa_node.adapters.asgi.iterating import ended
from nexa_node.adapters.asgi.operation import (
    JSON,
    NDJSON,
    Document,
    Lines,
    Operation,
    Returned,
    Stream,
    Told,
)
from nexa_node.adapters.asgi.reading import header_of
from nexa_node.adapters.asgi.refusals import Refusal

PROBLEM = "application/problem+json"


async def answer(
    operation: Operation, returned: Returned, scope: Scope, receive: Receive, send: Send
) -> None:
    """Send what `operation` returned."""
    match returned:
        case None:
            await send_bytes(send, operation.status, b"", media=None)
        case Document() if returned.status != operation.status:
            await send_bytes(
                send,
                returned.status,
                returned.content,
                media=returned.media,
                headers=returned.headers,
            )
        case Document(content=content, media=media, headers=headers):
            await _send_tagged(operation, scope, send, content, media, headers)
        case Lines(records=records):
            await _stream(records, receive, send)
        case Stream():
            await _send_stream(operation, returned, send)
        case Told(record=record, status=status):
            await send_bytes(send, status, msgspec.json.encode(record), media=JSON)
        case _:
            content = msgspec.json.encode(returned)
            await _send_tagged(operation, scope, send, content, JSON, {})


async def send_bytes(
    send: Send,
    status: int,
    content: bytes,
    *,
    media: str | None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send one whole answer."""
    described = {} if media is None else {"content-type": media}
    if status != 304:  # its length would be that of the body it stands for
        described["content-length"] = str(len(content))
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": raw_headers({**described, **(headers or {})}),
        }
    )
    await send({"type": "http.response.body", "body": content})


async def send_refusal(refused: Refusal, scope: Scope, send: Send) -> None:
    """Send an error, as the answer to a request or to an upgrade."""
    content = msgspec.json.encode(refused.problem)
    kind = "http.response"
    if scope["type"] == "websocket":
        kind = "websocket.http.response"
    headers = {
        "content-type": PROBLEM,
        "content-length": str(len(content)),
        **refused.headers,
    }
    await send(
        {
            "type": f"{kind}.start",
            "status": refused.problem.status,
            "headers": raw_headers(headers),
        }
    )
    await send({"type": f"{kind}.body", "body": content})


def raw_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Encode headers for ASGI; names in lower case."""
    return [(name.encode(), text.encode("latin-1")) for name, text in headers.items()]


async def _send_tagged(
    operation: Operation,
    scope: Scope,
    send: Send,
    content: bytes,
    media: str,
    headers: Mapping[str, str],
) -> None:
    """Send `content`, or 304 if the caller has these very bytes already."""
    if not operation.etag:
        await send_bytes(send, operation.status, content, media=media, headers=headers)
        return
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    tagged = {**headers, "etag": tag, "cache-control": "private, no-cache"}
    known = header_of(scope, b"if-none-match")
    if known == "*" or tag in {one.strip() for one in known.split(",")}:
        await send_bytes(send, 304, b"", media=None, headers=tagged)
        return
    await send_bytes(send, operation.status, content, media=media, headers=tagged)


async def _send_stream(operation: Operation, stream: Stream, send: Send) -> None:
    described = {"content-type": operation.media}
    if stream.size is not None:
        described["content-length"] = str(stream.size)
    await send(
        {
            "type": "http.response.start",
            "status": operation.status,
            "headers": raw_headers(described),
        }
    )
    async with ended(stream.chunks) as chunks:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _stream(
    records: AsyncIterator[msgspec.Struct], receive: Receive, send: Send
) -> None:
    """Send records one a line; stop asking for more when nobody listens any longer.

    The first record is awaited before the answer begins, so that an error that comes
    instead of it is still an answer.
    """
    async with ended(_lines(records)) as lines:
        first = await anext(lines, b"")
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": raw_headers({"content-type": NDJSON}),
            }
        )
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(_write(first, lines, send))
            watcher = group.create_task(_gone(receive))
            await asyncio.wait({writer, watcher}, return_when=asyncio.FIRST_COMPLETED)
            writer.cancel()
            watcher.cancel()


async def _lines(records: AsyncIterator[msgspec.Struct]) -> AsyncIterator[bytes]:
    async with ended(records):
        async for record in records:
            yield msgspec.json.encode(record) + b"\n"


async def _write(first: bytes, lines: AsyncIterator[bytes], send: Send) -> None:
    await send({"type": "http.response.body", "body": first, "more_body": True})
    async for line in lines:
        await send({"type": "http.response.body", "body": line, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
