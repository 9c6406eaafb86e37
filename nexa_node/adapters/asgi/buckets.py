"""Shared state over REST: values with ETags, and the conflicts there were.

A value's ETag is its revision. `If-Match: "7"` says which one was seen, `If-None-Match: *`
that there was none. Who has not seen what is there is told it: 412 if the request said
what was seen, else 409; with the current value in `details` and its ETag.
"""

import re
from typing import Any, cast

import msgspec

from nexa_node.adapters.asgi import bucket_examples as examples
from nexa_node.adapters.asgi.operation import JSON, Call, Document, Operation, Query
from nexa_node.adapters.asgi.refusals import Refusal, refusal
from nexa_node.contract.errors import (
    Conflict,
    Invalid,
    NotFound,
    PayloadTooLarge,
    Unavailable,
)
from nexa_node.contract.rest import Page
from nexa_node.contract.shared import (
    Bucket,
    ConflictRecord,
    NewBucket,
    NewValue,
    SharedValue,
)


class Unseen(Conflict):
    """What `If-Match` names is not what is there any more."""

    status = 412


_TAG = re.compile(r'"([0-9]{1,18})"')


async def list_buckets(call: Call[Query, None]) -> Page[Bucket]:
    """List buckets."""
    return await call.api.buckets(call.identity)


async def declare_bucket(call: Call[Query, NewBucket]) -> Bucket:
    """Make a bucket."""
    return await call.api.declare_bucket(
        call.identity, call.slug("bucket"), call.body.kind
    )


async def list_values(call: Call[Query, None]) -> Page[SharedValue]:
    """List a bucket's values."""
    return await call.api.shared_values(call.identity, call.slug("bucket"))


async def get_value(call: Call[Query, None]) -> Document:
    """Read a value."""
    found = await call.api.shared_value(
        call.identity, call.slug("bucket"), call.slug("key")
    )
    return _document(found)


async def put_value(call: Call[Query, NewValue]) -> Document:
    """Write a value."""
    base = _base(call)
    try:
        told = await call.api.write_value(
            call.identity, call.slug("bucket"), call.slug("key"), call.body, base=base
        )
    except Conflict as error:
        raise _lost(error, base) from None
    return _document(told)


async def delete_value(call: Call[Query, None]) -> None:
    """Remove a value."""
    base = _base(call)
    try:
        await call.api.delete_value(
            call.identity, call.slug("bucket"), call.slug("key"), base=base
        )
    except Conflict as error:
        raise _lost(error, base) from None


async def list_conflicts(call: Call[Query, None]) -> Page[ConflictRecord]:
    """List conflicts."""
    return await call.api.conflicts(call.identity)


async def get_conflict(call: Call[Query, None]) -> ConflictRecord:
    """One conflict."""
    return await call.api.conflict(call.identity, call.slug("id"))


def _base(call: Call[Query, NewValue] | Call[Query, None]) -> int | None:
    """Which revision the caller saw; 0: none; None: it does not say.

    Raises:
        Invalid: The headers say nothing that can be understood.
    """
    if call.if_none_match:
        if call.if_none_match.strip() != "*" or call.if_match:
            raise Invalid(
                "If-None-Match can only be * here, and stand alone",
                details={"field": "If-None-Match"},
            )
        return 0
    if not call.if_match:
        return None
    found = _TAG.fullmatch(call.if_match.strip())
    if found is None:
        raise Invalid(
            f"If-Match is no ETag of a value: {call.if_match[:40]!r}",
            remedy='send the ETag that was told: If-Match: "7"',
            details={"field": "If-Match"},
        )
    return int(found[1])


def _document(told: SharedValue) -> Document:
    headers = {"etag": f'"{told.revision}"', "cache-control": "private, no-cache"}
    return Document(msgspec.json.encode(told), JSON, headers)


def _lost(error: Conflict, base: int | None) -> Refusal:
    """Tell who lost what is there now."""
    made = refusal(error)
    if base is not None:
        made.problem = msgspec.structs.replace(made.problem, status=412)
    if isinstance(error.details, dict):
        revision = cast("dict[str, Any]", error.details).get("revision")
        if revision:
            made.headers["etag"] = f'"{revision}"'
    return made


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/buckets",
        action="buckets",
        tag="shared",
        summary="List buckets of shared state",
        handler=list_buckets,
        answer=Page[Bucket],
        example=examples.BUCKETS,
        errors=(Unavailable,),
    ),
    Operation(
        method="PUT",
        path="/v1/buckets/{bucket}",
        action="declare_bucket",
        tag="shared",
        summary="Make a bucket, with its rule for conflicts",
        description="`cas`: who did not see the newest value loses, and is told it. `lww`:"
        " the last writer wins, what lost is in the conflict log. `merge`: changes of"
        " different fields are merged (RFC 7396).",
        handler=declare_bucket,
        body=NewBucket,
        body_example=NewBucket(kind="cas"),
        answer=Bucket,
        example=examples.BUCKET,
        errors=(Conflict, Unavailable),
    ),
    Operation(
        method="GET",
        path="/v1/buckets/{bucket}",
        action="shared_values",
        tag="shared",
        summary="List a bucket's values",
        description="At most 1,000, by key.",
        handler=list_values,
        answer=Page[SharedValue],
        example=examples.VALUES,
        errors=(NotFound, Unavailable),
    ),
    Operation(
        method="GET",
        path="/v1/buckets/{bucket}/{key}",
        action="shared_value",
        tag="shared",
        summary="Read a value",
        description="The ETag is its revision.",
        handler=get_value,
        answer=SharedValue,
        example=examples.VALUE,
        errors=(NotFound, Unavailable),
    ),
    Operation(
        method="PUT",
        path="/v1/buckets/{bucket}/{key}",
        action="write_value",
        tag="shared",
        summary="Write a value",
        description='`If-Match: "7"` says which revision was seen, `If-None-Match: *` that'
        " there was none; without either a `cas` bucket takes new keys only. Who lost is"
        " told the current value in `details.current`, and its ETag: 412, or 409 if"
        " nothing was said.",
        handler=put_value,
        conditional=True,
        body=NewValue,
        body_example=NewValue(value={"threshold": 3}),
        answer=SharedValue,
        example=examples.VALUE,
        errors=(NotFound, Conflict, Unseen, PayloadTooLarge, Unavailable),
    ),
    Operation(
        method="DELETE",
        path="/v1/buckets/{bucket}/{key}",
        action="delete_value",
        tag="shared",
        summary="Remove a value",
        description="Of a `cas` bucket only with `If-Match`.",
        handler=delete_value,
        conditional=True,
        status=204,
        errors=(NotFound, Conflict, Unseen, Unavailable),
    ),
    Operation(
        method="GET",
        path="/v1/conflicts",
        action="conflicts",
        tag="shared",
        summary="List conflicts, with both histories",
        description="Values of `lww` buckets that were not kept, and what each side of a"
        " partition did while apart; the newest first, of the last 30 days.",
        handler=list_conflicts,
        answer=Page[ConflictRecord],
        example=examples.CONFLICTS,
        errors=(Unavailable,),
    ),
    Operation(
        method="GET",
        path="/v1/conflicts/{id}",
        action="conflict",
        tag="shared",
        summary="One conflict",
        handler=get_conflict,
        answer=ConflictRecord,
        example=examples.CONFLICT,
        errors=(NotFound, Unavailable),
    ),
)
