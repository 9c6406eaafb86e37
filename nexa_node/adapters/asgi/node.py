"""This node, the cluster and its nodes."""

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import B, Call, Operation, Q, Query
from nexa_node.adapters.asgi.paging import DryRunQuery, PageQuery, page_of
from nexa_node.contract.cluster import ClusterChange, Maintenance
from nexa_node.contract.errors import Conflict, Draining, NotFound, Unavailable
from nexa_node.contract.nodes import (
    Cluster,
    NewProfile,
    Node,
    NodeStatus,
    Profile,
    Setting,
)
from nexa_node.contract.rest import Page


async def get_node(call: Call[Query, None]) -> NodeStatus:
    """This node, and who the caller is to it."""
    return call.api.status(call.identity)


async def get_cluster(call: Call[Query, None]) -> Cluster:
    """The cluster and one verdict on it."""
    return call.api.cluster(call.identity)


async def get_config(call: Call[PageQuery, None]) -> Page[Setting]:
    """This node's settings."""
    settings = call.api.config(call.identity)
    return page_of(settings, call.query, key=lambda one: one.key)


async def list_nodes(call: Call[PageQuery, None]) -> Page[Node]:
    """The cluster's nodes, by id."""
    nodes = call.api.cluster(call.identity).nodes
    return page_of(nodes, call.query, key=lambda node: node.id)


async def get_one_node(call: Call[Query, None]) -> Node:
    """One node of the cluster."""
    return _find(call)


async def drain_node(call: Call[DryRunQuery, None]) -> None:
    """Ask a node to stop; another one is asked by this one."""
    await call.api.drain(call.identity, _find(call).name)


async def maintain_node(call: Call[Query, Maintenance]) -> None:
    """Have a node take nothing new, or take it again."""
    await call.api.maintain(call.identity, _find(call).name, on=call.body.on)


async def remove_node(call: Call[DryRunQuery, None]) -> ClusterChange:
    """Strike a dead node off."""
    node = _find(call).name
    return await call.api.remove_node(call.identity, node, dry_run=call.query.dry_run)


async def profile_node(call: Call[Query, NewProfile]) -> Profile:
    """Look where a node spends its CPU time."""
    node = _find(call).name
    return await call.api.profile(call.identity, node, cpu_s=call.body.cpu_s)


def _find(call: Call[Q, B]) -> Node:
    wanted = call.slug("id")
    for node in call.api.cluster(call.identity).nodes:
        if wanted in (node.id, node.name):
            return node
    raise NotFound(
        f"the cluster has no node {wanted}", remedy="nexa cluster status lists them"
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/node",
        action="status",
        tag="nodes",
        summary="Show this node",
        handler=get_node,
        answer=NodeStatus,
        example=examples.STATUS,
    ),
    Operation(
        method="GET",
        path="/v1/config",
        action="config",
        tag="nodes",
        summary="Show this node's settings, and where each comes from",
        description="Secrets are files; their paths are told, never what is in them.",
        handler=get_config,
        query=PageQuery,
        answer=Page[Setting],
        example=examples.CONFIG,
    ),
    Operation(
        method="GET",
        path="/v1/cluster",
        action="cluster",
        tag="nodes",
        summary="Show the cluster and its verdict",
        handler=get_cluster,
        answer=Cluster,
        example=examples.CLUSTER,
    ),
    Operation(
        method="GET",
        path="/v1/nodes",
        action="cluster",
        tag="nodes",
        summary="List the cluster's nodes",
        handler=list_nodes,
        query=PageQuery,
        answer=Page[Node],
        example=examples.NODES,
    ),
    Operation(
        method="GET",
        path="/v1/nodes/{id}",
        action="cluster",
        tag="nodes",
        summary="Show one node",
        description="By its id or its name.",
        handler=get_one_node,
        answer=Node,
        example=examples.NODE,
        errors=(NotFound,),
        etag=True,
    ),
    Operation(
        method="POST",
        path="/v1/nodes/{id}/drain",
        action="drain",
        tag="nodes",
        summary="Stop the node gracefully",
        description="It takes nothing new, asks its agents to move, and ends. Answered"
        " when that has begun.",
        handler=drain_node,
        query=DryRunQuery,
        dangerous=True,
        status=202,
        errors=(NotFound, Conflict, Draining, Unavailable),
    ),
    Operation(
        method="POST",
        path="/v1/nodes/{id}/maintenance",
        action="maintain",
        tag="nodes",
        summary="Have a node take nothing new, or take it again",
        description="What its agents have in hand is finished; they are asked to move.",
        handler=maintain_node,
        body=Maintenance,
        body_example=Maintenance(on=True),
        status=202,
        errors=(NotFound, Unavailable),
    ),
    Operation(
        method="POST",
        path="/v1/nodes/{id}/profile",
        action="profile",
        tag="nodes",
        summary="Look where a node spends its CPU time",
        description="Samples the node's own process for `cpu_s` seconds, at most 60, and"
        " answers then. The node goes on working.",
        handler=profile_node,
        body=NewProfile,
        body_example=NewProfile(cpu_s=5.0),
        answer=Profile,
        example=examples.PROFILE,
        errors=(NotFound, Conflict, Unavailable),
    ),
    Operation(
        method="POST",
        path="/v1/nodes/{id}/remove",
        action="remove_node",
        tag="cluster",
        summary="Strike a dead node off the cluster",
        description="Its copies of the data are made anew elsewhere. A node that is"
        " alive leaves by itself instead.",
        handler=remove_node,
        query=DryRunQuery,
        dangerous=True,
        answer=ClusterChange,
        example=examples.CHANGE,
        errors=(NotFound, Conflict, Unavailable),
    ),
)
