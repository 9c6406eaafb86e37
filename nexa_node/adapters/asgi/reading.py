"""From what HTTP brings to checked values: query, body and headers."""

import asyncio
import difflib
import re
from collections.abc import AsyncIterator
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope

from nexa_node.adapters.asgi.operation import Query
from nexa_node.adapters.asgi.refusals import Refusal
from nexa_node.contract.errors import Invalid, PayloadTooLarge
from nexa_node.core import codec
from nexa_node.core.policies import HttpPolicy

Q = TypeVar("Q", bound=Query)

_AT = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")
_NAMED = re.compile(r"(?:required|unknown) field `(.*?)`")
FORM = "application/x-www-form-urlencoded"
FIELDS_MAX = 200
_KEY = re.compile(r"[\x21-\x7e]{1,128}")


def headers_of(scope: Scope, name: bytes) -> list[str]:
    """All values of a header; `name` in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def header_of(scope: Scope, name: bytes) -> str:
    """A header's value, all of them joined by commas; empty without one."""
    return ", ".join(headers_of(scope, name))


def read_query(scope: Scope, kind: type[Q]) -> Q:
    """Read the query string.

    Raises:
        Invalid: A key that is unknown or stands twice, or a value that does not fit.
    """
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=50,
        )
    except ValueError as error:
        raise Invalid(
            "the query string is not readable: not UTF-8, or too long"
        ) from error
    given = dict(pairs)
    known = kind.__struct_encode_fields__
    for key in given:
        if key not in known:
            raise _unknown_key(key, known)
    if len(given) < len(pairs):
        raise Invalid("a key of the query string stands twice")
    try:
        return msgspec.convert(given, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise unreadable(error, "the query") from error


async def read_body(
    scope: Scope, receive: Receive, kind: Any, policy: HttpPolicy
) -> Any:
    """Read a JSON body of type `kind`.

    Raises:
        Refusal: No JSON (415), or too slow (408).
        PayloadTooLarge: More bytes than the policy allows.
        Invalid: Not readable; names the field if it is one.
    """
    media = header_of(scope, b"content-type").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Refusal(
            415,
            "unsupported_media_type",
            f"the body is {media[:80] or 'of no type'}; this takes application/json",
            remedy="send the header Content-Type: application/json",
        )
    try:
        async with asyncio.timeout(policy.body_timeout_ms / 1000):
            content = await _content(scope, receive, policy.body_bytes)
    except TimeoutError:
        raise _too_slow(policy) from None
    return decode(content, kind)


async def read_form(
    scope: Scope, receive: Receive, policy: HttpPolicy
) -> dict[str, list[str]]:
    """Read the parameters of the query string and of a form in the body together.

    Raises:
        Refusal: The body was too slow (408).
        PayloadTooLarge: More bytes than the policy allows.
        Invalid: Not UTF-8, or too many of them.
    """
    media = header_of(scope, b"content-type").partition(";")[0].strip().lower()
    content = b""
    if scope["method"] == "POST" and media == FORM:
        try:
            async with asyncio.timeout(policy.body_timeout_ms / 1000):
                content = await _content(scope, receive, policy.body_bytes)
        except TimeoutError:
            raise _too_slow(policy) from None
    found: dict[str, list[str]] = {}
    try:
        for part in (scope["query_string"], content):
            for name, value in parse_qsl(
                part.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=FIELDS_MAX,
            ):
                found.setdefault(name, []).append(value)
    except ValueError as error:
        raise Invalid("the parameters are not readable: not UTF-8, or too many") from (
            error
        )
    return found


async def read_chunks(receive: Receive, policy: HttpPolicy) -> AsyncIterator[bytes]:
    """Yield a body as it comes; whoever takes it decides how much is too much.

    Raises:
        Refusal: The next part did not come in time (408).
        Invalid: The connection ended before the body did.
    """
    while True:
        try:
            async with asyncio.timeout(policy.body_timeout_ms / 1000):
                message = await receive()
        except TimeoutError:
            raise Refusal(
                408,
                "deadline_exceeded",
                f"nothing came for {policy.body_timeout_ms} ms",
                headers={"connection": "close"},
            ) from None
        if message["type"] == "http.disconnect":
            raise Invalid("the connection ended before the body did")
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return


def decode(content: bytes, kind: Any) -> Any:
    """Decode a JSON body; Invalid if it is none, one made to hurt, or not of `kind`."""
    try:
        codec.JSON.open(content)
        return codec.JSON.read(content, kind)
    except codec.Malformed as error:
        raise Invalid(f"the body is no JSON this node takes: {error}") from error
    except msgspec.ValidationError as error:
        raise unreadable(error, "the body") from error


def read_idempotency_key(scope: Scope) -> str | None:
    """Read `Idempotency-Key`; Invalid unless it is 1 to 128 visible characters."""
    keys = headers_of(scope, b"idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise Invalid(
            "Idempotency-Key must be one value of 1 to 128 visible ASCII characters",
            details={"field": "Idempotency-Key"},
        )
    return keys[0]


def unreadable(error: msgspec.ValidationError, what: str) -> Invalid:
    """Say which field is wrong, and how."""
    text = str(error)
    at = _AT.search(text)
    path = [at.group(1)] if at and at.group(1) else []
    named = _NAMED.search(text)
    if named:
        path.append(named.group(1))
    field = ".".join(path)
    detail = _AT.sub("", text)
    return Invalid(
        f"{what} is not valid{f', {field}' if field else ''}: {detail}",
        details={"field": field} if field else None,
    )


async def _content(scope: Scope, receive: Receive, limit: int) -> bytes:
    announced = header_of(scope, b"content-length")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("the connection ended before the body did")
        content += message.get("body", b"")
        if len(content) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return bytes(content)


def _too_slow(policy: HttpPolicy) -> Refusal:
    return Refusal(
        408,
        "deadline_exceeded",
        f"the body was not complete after {policy.body_timeout_ms} ms",
        headers={"connection": "close"},
    )


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the body is larger than {limit} bytes", details={"limit": limit}
    )


def _unknown_key(key: str, known: tuple[str, ...]) -> Invalid:
    near = difflib.get_close_matches(key, known, n=1)
    remedy = f"did you mean {near[0]}?" if near else None
    if remedy is None and known:
        remedy = f"it takes {', '.join(known)}"
    return Invalid(
        f"the query has an unknown key: {key[:80]!r}",
        remedy=remedy,
        details={"field": key[:80]},
    )
