"""Queues: what waits, for whom, and who is there."""

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import Call, Operation
from nexa_node.adapters.asgi.paging import PageQuery, page_of
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import Queue


class QueueQuery(PageQuery, frozen=True, kw_only=True):
    """Which queues to list."""


async def list_queues(call: Call[QueueQuery, None]) -> Page[Queue]:
    """Queues by namespace and name."""
    found = call.api.queues(call.identity)
    return page_of(found.items, call.query, key=_key)


def _key(queue: Queue) -> str:
    return f"{queue.namespace}/{queue.name}"


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/queues",
        action="queues",
        tag="tasks",
        summary="List queues: what waits in each, and who is there for it",
        handler=list_queues,
        query=QueueQuery,
        answer=Page[Queue],
        example=examples.QUEUES,
    ),
)
