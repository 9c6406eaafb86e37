"""Agents: who is there, and ending a connection."""

from typing import Annotated

import msgspec

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import Call, Operation, Query
from nexa_node.adapters.asgi.paging import DryRunQuery, PageQuery
from nexa_node.contract.agents import Agent, AgentState
from nexa_node.contract.errors import Conflict, NotFound
from nexa_node.contract.ids import AgentId
from nexa_node.contract.rest import Page
from nexa_node.services.api import AgentFilter


class AgentQuery(PageQuery, frozen=True, kw_only=True):
    """Which agents to list."""

    capability: (
        Annotated[
            str, msgspec.Meta(max_length=63, description="Only those that can do it.")
        ]
        | None
    ) = None
    state: AgentState | None = None


async def list_agents(call: Call[AgentQuery, None]) -> Page[Agent]:
    """Agents, connected or not, by id."""
    query = call.query
    wanted = AgentFilter(
        capability=query.capability,
        state=query.state,
        limit=query.limit,
        cursor=query.cursor,
    )
    return call.api.agents(call.identity, wanted)


async def get_agent(call: Call[Query, None]) -> Agent:
    """One agent."""
    return call.api.agent(call.identity, AgentId(call.slug("id")))


async def disconnect_agent(call: Call[DryRunQuery, None]) -> None:
    """Close one agent's connection."""
    await call.api.disconnect(call.identity, AgentId(call.slug("id")))


async def drain_agent(call: Call[Query, None]) -> Agent:
    """Give an agent no new tasks."""
    found = AgentId(call.slug("id"))
    return await call.api.drain_agent(call.identity, found, on=True)


async def resume_agent(call: Call[Query, None]) -> Agent:
    """Give an agent tasks again."""
    found = AgentId(call.slug("id"))
    return await call.api.drain_agent(call.identity, found, on=False)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/agents",
        action="agents",
        tag="agents",
        summary="List agents, connected or not",
        handler=list_agents,
        query=AgentQuery,
        answer=Page[Agent],
        example=examples.AGENTS,
    ),
    Operation(
        method="GET",
        path="/v1/agents/{id}",
        action="agent",
        tag="agents",
        summary="Show one agent",
        handler=get_agent,
        answer=Agent,
        example=examples.AGENT,
        errors=(NotFound,),
        etag=True,
    ),
    Operation(
        method="POST",
        path="/v1/agents/{id}/disconnect",
        action="disconnect",
        tag="agents",
        summary="Close an agent's connection",
        description="Its tasks go back to the queue unless it comes back in time.",
        handler=disconnect_agent,
        query=DryRunQuery,
        dangerous=True,
        status=204,
        errors=(NotFound, Conflict),
    ),
    Operation(
        method="POST",
        path="/v1/agents/{id}/drain",
        action="drain_agent",
        tag="agents",
        summary="Give an agent no new tasks",
        description="It keeps its connection, its messages and the tasks it has. It is"
        " resumed by /v1/agents/{id}/resume, or when its process starts anew.",
        handler=drain_agent,
        answer=Agent,
        example=examples.AGENT,
        errors=(NotFound,),
    ),
    Operation(
        method="POST",
        path="/v1/agents/{id}/resume",
        action="drain_agent",
        tag="agents",
        summary="Give an agent tasks again",
        handler=resume_agent,
        answer=Agent,
        example=examples.AGENT,
        errors=(NotFound,),
    ),
)
