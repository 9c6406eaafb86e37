"""`/metrics`, for Prometheus."""

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import Call, Document, Operation, Query
from nexa_node.core.exposition import CONTENT_TYPE


async def get_metrics(call: Call[Query, None]) -> Document:
    """All families."""
    return Document(call.api.metrics(call.identity), CONTENT_TYPE)


OPERATIONS = (
    Operation(
        method="GET",
        path="/metrics",
        action="metrics",
        tag="metrics",
        summary="Tell all metrics in Prometheus' text format",
        handler=get_metrics,
        answer=str,
        example=examples.METRICS.decode(),
        media=CONTENT_TYPE,
    ),
)
