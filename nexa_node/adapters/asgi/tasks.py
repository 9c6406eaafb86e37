"""Tasks: submit, list, show, explain, cancel."""

from typing import Annotated

import msgspec

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import Call, Operation, Query
from nexa_node.adapters.asgi.paging import PageQuery
from nexa_node.contract.errors import (
    BudgetExceeded,
    Conflict,
    Draining,
    Duplicate,
    Invalid,
    NotFound,
    Unavailable,
)
from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import (
    Explanation,
    NewTask,
    Submitted,
    Task,
    TaskStatus,
    TaskSummary,
)
from nexa_node.services.api import TaskFilter

WAIT_MAX_S = 60.0
Slug = Annotated[str, msgspec.Meta(max_length=63)]


class TaskQuery(PageQuery, frozen=True, kw_only=True):
    """Which tasks to list."""

    status: TaskStatus | None = None
    type: Slug | None = None
    agent: Slug | None = None
    parent: Slug | None = None
    namespace: Slug | None = None


class WaitQuery(Query, frozen=True, kw_only=True):
    """How patient the caller is."""

    wait_s: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=WAIT_MAX_S,
            description="Answer when the task is finished, or after so many seconds.",
        ),
    ] = 0.0


async def submit_task(call: Call[Query, NewTask]) -> Submitted:
    """Take a task; the header's idempotency key becomes the task's."""
    task = call.body
    key = call.idempotency_key
    if key is not None and task.idempotency_key not in (None, key):
        raise Invalid(
            "the Idempotency-Key header and idempotency_key in the body differ",
            remedy="send one of them",
            details={"field": "idempotency_key"},
        )
    if key is not None:
        task = msgspec.structs.replace(task, idempotency_key=key)
    return await call.api.submit(call.identity, task)


async def list_tasks(call: Call[TaskQuery, None]) -> Page[TaskSummary]:
    """Tasks without their payloads, the newest first."""
    query = call.query
    wanted = TaskFilter(
        status=query.status,
        type=query.type,
        agent=None if query.agent is None else AgentId(query.agent),
        parent=None if query.parent is None else TaskId(query.parent),
        namespace=None if query.namespace is None else Namespace(query.namespace),
        limit=query.limit,
        cursor=query.cursor,
    )
    return call.api.tasks(call.identity, wanted)


async def get_task(call: Call[WaitQuery, None]) -> Task:
    """One task with its payloads."""
    task_id = TaskId(call.slug("id"))
    return await call.api.task(call.identity, task_id, wait_s=call.query.wait_s)


async def explain_task(call: Call[Query, None]) -> Explanation:
    """Why the task is where it is."""
    return await call.api.explain(call.identity, TaskId(call.slug("id")))


async def cancel_task(call: Call[Query, None]) -> Task:
    """Call a task off."""
    return await call.api.cancel(call.identity, TaskId(call.slug("id")))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/tasks",
        action="tasks",
        tag="tasks",
        summary="List tasks, the newest first",
        handler=list_tasks,
        query=TaskQuery,
        answer=Page[TaskSummary],
        example=examples.TASKS,
    ),
    Operation(
        method="POST",
        path="/v1/tasks",
        action="submit",
        tag="tasks",
        summary="Submit a task",
        description="Answered when the task is safe in the store.",
        handler=submit_task,
        body=NewTask,
        body_example=examples.NEW_TASK,
        answer=Submitted,
        example=examples.SUBMITTED,
        status=201,
        errors=(Duplicate, BudgetExceeded, Draining, Unavailable),
        idempotent=True,
    ),
    Operation(
        method="GET",
        path="/v1/tasks/{id}",
        action="task",
        tag="tasks",
        summary="Show one task, or wait for it to finish",
        handler=get_task,
        query=WaitQuery,
        answer=Task,
        example=examples.TASK,
        errors=(NotFound, Unavailable),
        etag=True,
    ),
    Operation(
        method="GET",
        path="/v1/tasks/{id}/explain",
        action="explain",
        tag="tasks",
        summary="Say why a task is where it is",
        handler=explain_task,
        answer=Explanation,
        example=examples.EXPLANATION,
        errors=(NotFound,),
    ),
    Operation(
        method="POST",
        path="/v1/tasks/{id}/cancel",
        action="cancel",
        tag="tasks",
        summary="Call a task off, pending or running",
        handler=cancel_task,
        answer=Task,
        example=examples.TASK,
        errors=(NotFound, Conflict, Unavailable),
    ),
)
