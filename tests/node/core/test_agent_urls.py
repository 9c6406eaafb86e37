"""Agents are told of every node that takes them, this one first."""

from typing import Any

from nexa_node.contract.ids import NodeId
from nexa_node.contract.nodes import Node
from nexa_node.core.agent_urls import agent_urls


def node(name: str, **fields: Any) -> Node:
    return Node(
        **{
            "id": NodeId(f"id-{name}"),
            "name": name,
            "url": f"http://{name}:6392",
            "state": "running",
            "health": "healthy",
            "role": "follower",
            "agents": 0,
            "version": "1",
            **fields,
        }
    )


def test_this_node_comes_first_then_the_others_by_name() -> None:
    nodes = [node("alpha"), node("gamma", url="https://gamma:6392"), node("beta")]
    assert agent_urls(nodes, own="gamma", living={"alpha", "beta", "gamma"}) == (
        "wss://gamma:6392/v1/agent",
        "ws://alpha:6392/v1/agent",
        "ws://beta:6392/v1/agent",
    )


def test_who_is_dead_or_takes_nobody_is_left_out() -> None:
    nodes = [
        node("alpha", state="stopping"),
        node("beta", state="maintenance"),
        node("gamma", state="starting"),
        node("delta"),
        node("omega"),
    ]
    living = {"alpha", "beta", "gamma", "omega"}
    assert agent_urls(nodes, own="alpha", living=living) == (
        "ws://omega:6392/v1/agent",
    )
    assert agent_urls([], own="alpha", living=()) == ()
