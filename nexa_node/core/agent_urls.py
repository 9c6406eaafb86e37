"""Where agents may connect: what a welcome tells them, and a request to move."""

from collections.abc import Collection, Iterable

from nexa_node.contract.nodes import Node

PATH = "/v1/agent"


def agent_urls(
    nodes: Iterable[Node], *, own: str, living: Collection[str]
) -> tuple[str, ...]:
    """All nodes that take agents, this one first; none but those that run.

    Args:
        nodes: Every node of the cluster, this one included, as it is now.
        own: This node's name.
        living: Names of those that are not known to be dead.
    """
    taking = [node for node in nodes if node.state == "running" and node.name in living]
    taking.sort(key=lambda node: (node.name != own, node.name))
    return tuple(f"{node.url.replace('http', 'ws', 1)}{PATH}" for node in taking)
