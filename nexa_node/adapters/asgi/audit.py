"""The audit: what was done, and whether it is still as it was written."""

from datetime import datetime
from typing import Annotated

import msgspec

from nexa_node.adapters.asgi import audit_examples
from nexa_node.adapters.asgi.operation import Call, Operation, Query
from nexa_node.contract.audit import AuditRecord, AuditVerdict, Outcome
from nexa_node.contract.errors import Invalid
from nexa_node.contract.rest import Page
from nexa_node.services.audit_api import AuditFilter

_TEXT = msgspec.Meta(max_length=200)


class AuditQuery(Query, frozen=True, kw_only=True):
    """Which records to list."""

    event: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=100, description="A prefix: `authn_` finds all of them."
            ),
        ]
        | None
    ) = None
    actor: Annotated[str, _TEXT] | None = None
    outcome: Outcome | None = None
    resource: Annotated[str, _TEXT] | None = None
    node: Annotated[str, _TEXT] | None = None
    address: Annotated[str, _TEXT] | None = None
    text: Annotated[str, _TEXT] | None = None
    since: datetime | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    cursor: Annotated[str, msgspec.Meta(max_length=64)] | None = None


async def list_audit(call: Call[AuditQuery, None]) -> Page[AuditRecord]:
    """Records, the newest first."""
    query = call.query
    wanted = AuditFilter(
        event=query.event,
        actor=query.actor,
        outcome=query.outcome,
        resource=query.resource,
        node=query.node,
        address=query.address,
        text=query.text,
        since=query.since,
        limit=query.limit,
        before=None if query.cursor is None else _moment(query.cursor),
    )
    return await call.api.audit(call.identity, wanted)


async def verify_audit(call: Call[Query, None]) -> AuditVerdict:
    """Read all chains and compare them."""
    return await call.api.verify_audit(call.identity)


def _moment(cursor: str) -> datetime:
    try:
        found = datetime.fromisoformat(cursor)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Invalid(
            "cursor is none of ours", remedy="take next_cursor of the page before"
        )
    return found


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/audit",
        action="audit",
        tag="audit",
        summary="List what was done, the newest first",
        description="On all nodes that answer; `node` asks one alone.",
        handler=list_audit,
        query=AuditQuery,
        answer=Page[AuditRecord],
        example=audit_examples.RECORDS,
    ),
    Operation(
        method="GET",
        path="/v1/audit/verify",
        action="verify_audit",
        tag="audit",
        summary="Verify every node's chain against what the others keep of it",
        handler=verify_audit,
        answer=AuditVerdict,
        example=audit_examples.VERDICT,
    ),
)
