"""Is the process there, and can it do its work: `/healthz` and `/readyz`."""

from nexa_node.adapters.asgi.operation import OPEN, Call, Operation, Query, Told
from nexa_node.contract.nodes import Ready
from nexa_node.contract.rest import Liveness


async def get_liveness(call: Call[Query, None]) -> Liveness:
    """Answering is the answer."""
    return Liveness(status="ok")


async def get_readiness(call: Call[Query, None]) -> Told:
    """Ready and degraded are 200, so that a degraded node keeps its traffic."""
    ready = call.api.ready()
    told = ready if call.caller else Ready(status=ready.status)
    return Told(told, 503 if ready.status == "not_ready" else 200)


OPERATIONS = (
    Operation(
        method="GET",
        path="/healthz",
        action=OPEN,
        tag="health",
        summary="Say that the process answers",
        description="Needs no token. Says nothing of what the node can do.",
        handler=get_liveness,
        answer=Liveness,
        example=Liveness(status="ok"),
    ),
    Operation(
        method="GET",
        path="/readyz",
        action=OPEN,
        tag="health",
        summary="Say whether the node can do its work",
        description="Needs no token; with one, the reasons are told too.",
        handler=get_readiness,
        answer=Ready,
        example=Ready(status="degraded", reasons=("machine.disk: 900 MB free",)),
        also={503: "Not ready: the same record, `status` is `not_ready`."},
    ),
)
