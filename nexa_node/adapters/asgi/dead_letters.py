"""Dead letters: tasks that used up their attempts; listed, brought back, forgotten."""

from typing import Annotated

import msgspec

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import Call, Operation
from nexa_node.adapters.asgi.paging import DryRunQuery, PageQuery
from nexa_node.contract.errors import Invalid, Unavailable
from nexa_node.contract.ids import Namespace
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import Redrive, Redriven, TaskSummary
from nexa_node.services.api import TaskFilter

Slug = Annotated[str, msgspec.Meta(max_length=63)]


class DeadLetterQuery(PageQuery, frozen=True, kw_only=True):
    """Which of them to list."""

    type: Slug | None = None
    namespace: Slug | None = None


async def list_dead_letters(call: Call[DeadLetterQuery, None]) -> Page[TaskSummary]:
    """Tasks in the state `dead_lettered`, the newest first."""
    query = call.query
    wanted = TaskFilter(
        status="dead_lettered",
        type=query.type,
        namespace=None if query.namespace is None else Namespace(query.namespace),
        limit=query.limit,
        cursor=query.cursor,
    )
    return call.api.tasks(call.identity, wanted)


async def redrive_dead_letters(call: Call[DryRunQuery, Redrive]) -> Redriven:
    """Bring them back into their queues."""
    _check(call.body)
    return await call.api.redrive(call.identity, call.body, dry_run=call.query.dry_run)


async def purge_dead_letters(call: Call[DryRunQuery, Redrive]) -> Redriven:
    """Forget them for good."""
    _check(call.body)
    return await call.api.purge(call.identity, call.body, dry_run=call.query.dry_run)


def _check(wanted: Redrive) -> None:
    """Refuse to touch every dead letter there is only because nothing was said."""
    if wanted.ids or wanted.type or wanted.namespace or wanted.all:
        return
    raise Invalid(
        "it does not say which dead letters",
        remedy="give ids, a type or a namespace; or all: true",
        details={"field": "ids"},
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/dead-letters",
        action="tasks",
        tag="tasks",
        summary="List the tasks that used up their attempts",
        handler=list_dead_letters,
        query=DeadLetterQuery,
        answer=Page[TaskSummary],
        example=examples.DEAD_LETTERS,
    ),
    Operation(
        method="POST",
        path="/v1/dead-letters/redrive",
        action="redrive",
        tag="tasks",
        summary="Bring dead letters back into their queues",
        description="All that match all that is given; with their attempts counted"
        " anew and their history kept.",
        handler=redrive_dead_letters,
        query=DryRunQuery,
        dangerous=True,
        body=Redrive,
        body_example=examples.REDRIVE,
        answer=Redriven,
        example=examples.REDRIVEN,
        errors=(Unavailable,),
    ),
    Operation(
        method="POST",
        path="/v1/dead-letters/purge",
        action="purge",
        tag="tasks",
        summary="Forget dead letters for good",
        handler=purge_dead_letters,
        query=DryRunQuery,
        dangerous=True,
        body=Redrive,
        body_example=examples.REDRIVE,
        answer=Redriven,
        example=examples.REDRIVEN,
        errors=(Unavailable,),
    ),
)
