"""Changing the cluster: who may join, who leaves, how many copies there are."""

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import JSON, Call, Document, Operation, Query
from nexa_node.adapters.asgi.paging import DryRunQuery
from nexa_node.contract.cluster import (
    ClusterChange,
    Copies,
    Growth,
    JoinToken,
    NewJoinToken,
)
from nexa_node.contract.errors import Conflict, Invalid, Unavailable


async def issue_join_token(call: Call[Query, NewJoinToken]) -> JoinToken:
    """A token by which one node may join."""
    return await call.api.join_token(call.identity, expires_s=call.body.expires_s)


async def leave_cluster(call: Call[DryRunQuery, None]) -> ClusterChange:
    """Have the node that is asked leave."""
    return await call.api.leave(call.identity, dry_run=call.query.dry_run)


async def set_copies(call: Call[DryRunQuery, Copies]) -> ClusterChange:
    """Keep so many copies of everything."""
    return await call.api.set_replicas(
        call.identity, call.body.copies, dry_run=call.query.dry_run
    )


async def rotate_keys(call: Call[DryRunQuery, None]) -> ClusterChange:
    """Give all nodes new authorities and a new password."""
    return await call.api.rotate_keys(call.identity, dry_run=call.query.dry_run)


async def get_growth(call: Call[Query, None]) -> Growth | Document:
    """How far the newest change is; `null` when there was none."""
    return call.api.growth(call.identity) or Document(b"null", JSON)


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/cluster/join-tokens",
        action="join_token",
        tag="cluster",
        summary="Issue a token by which one node may join",
        description="Good once, and shown once: nexa node start --join TOKEN.",
        handler=issue_join_token,
        body=NewJoinToken,
        body_example=NewJoinToken(),
        answer=JoinToken,
        example=examples.JOIN_TOKEN,
        status=201,
        errors=(Invalid, Unavailable),
    ),
    Operation(
        method="POST",
        path="/v1/cluster/leave",
        action="leave",
        tag="cluster",
        summary="Have the node that is asked leave the cluster",
        handler=leave_cluster,
        query=DryRunQuery,
        dangerous=True,
        answer=ClusterChange,
        example=examples.CHANGE,
        errors=(Conflict, Unavailable),
    ),
    Operation(
        method="POST",
        path="/v1/cluster/replicas",
        action="set_replicas",
        tag="cluster",
        summary="Keep so many copies of everything",
        description="Answered when it has begun; /v1/cluster/growth tells how far it is.",
        handler=set_copies,
        query=DryRunQuery,
        dangerous=True,
        body=Copies,
        body_example=Copies(copies=3),
        answer=ClusterChange,
        example=examples.CHANGE,
        errors=(Invalid, Conflict, Unavailable),
    ),
    Operation(
        method="POST",
        path="/v1/cluster/rotate",
        action="rotate_keys",
        tag="cluster",
        summary="Give all nodes new authorities and a new password for their routes",
        description="Answered when all have them. No connection ends. Who was struck off"
        " and has a copy of the old keys is shut out for good.",
        handler=rotate_keys,
        query=DryRunQuery,
        dangerous=True,
        answer=ClusterChange,
        example=examples.CHANGE,
        errors=(Conflict, Unavailable),
    ),
    Operation(
        method="GET",
        path="/v1/cluster/growth",
        action="growth",
        tag="cluster",
        summary="Show how far the newest change of the cluster's shape is",
        description="`null` when there was none since the node started.",
        handler=get_growth,
        answer=Growth | None,
        example=examples.GROWTH,
    ),
)
