"""What each dangerous operation would do now: sentences, figures, and the facts behind.

Pure: records in, an `Outlook` or an error out. The facts are what a decision rests on;
what changes all the time, tasks in hand or bytes, is told as a figure only.
"""

from collections.abc import Iterable, Mapping, Sequence

from nexa_node.contract.access import Role, TokenView
from nexa_node.contract.agents import Agent
from nexa_node.contract.cluster import ClusterChange
from nexa_node.contract.errors import Conflict
from nexa_node.contract.nodes import Cluster, Node
from nexa_node.contract.tasks import Redriven
from nexa_node.core.plans import Outlook

_WORD = {"redrive": "brought back into their queues", "purge": "forgotten for good"}


def of_drain(cluster: Cluster, node: Node, agents: Iterable[Agent]) -> Outlook:
    """Have a node stop gracefully.

    Args:
        cluster: As it is seen now.
        node: Which.
        agents: All that there are, wherever they are.

    Raises:
        Conflict: It stops already.
    """
    if node.state in {"stopping", "stopped"}:
        raise Conflict(f"{node.name} is {node.state} already", remedy="nexa node start")
    here = [one for one in agents if one.node == node.name and one.connected]
    tasks = sum(one.inflight for one in here)
    effects = (
        f"{_count(len(here), 'agent')} asked to move",
        f"{_count(tasks, 'task')} in hand back to the queue",
        "it takes nothing new, then its process ends; the store keeps what it has",
        _quorum(cluster, node),
    )
    return Outlook(
        what=f"{node.name} would stop",
        effects=effects,
        counts={"agents": len(here), "tasks": tasks},
        facts={
            **_shape(cluster),
            "state": node.state,
            "agents": sorted(f"{one.namespace}.{one.id}" for one in here),
        },
    )


def of_change(cluster: Cluster, change: ClusterChange) -> Outlook:
    """Change what the cluster is made of; `change` is its dry run."""
    return Outlook(
        what=change.what,
        effects=change.effects,
        counts={"nodes": len(cluster.nodes), "streams": len(cluster.streams)},
        facts={
            **_shape(cluster),
            "copies": str(cluster.replicas),
            "streams": sorted(
                f"{stream.name} on {' '.join(sorted(c.node for c in stream.replicas))}"
                for stream in cluster.streams
            ),
        },
    )


def of_dead_letters(verb: str, dry: Redriven) -> Outlook:
    """Bring dead letters back or forget them; `dry` is its dry run."""
    some = "dead letter" if len(dry.done) == 1 else "dead letters"
    left = (f"{_count(len(dry.failed), 'other')} left as they are",)
    return Outlook(
        what=f"{len(dry.done):,} {some} would be {_WORD[verb]}",
        effects=left if dry.failed else (),
        counts={"tasks": len(dry.done), "left": len(dry.failed)},
        facts={"tasks": sorted(dry.done), "left": sorted(dry.failed)},
    )


def of_token(token: TokenView, *, agents: int, sessions: int) -> Outlook:
    """End a token.

    Args:
        token: Which.
        agents: Connected to this node by it.
        sessions: Short-lived tokens that end with it.
    """
    scope = token.scope
    within = ", ".join(scope.namespaces) or "all namespaces"
    effects = [
        f"role {token.role}, for {within}",
        "what is connected by it is closed on every node, and it opens nothing again",
    ]
    if agents:
        effects.append(f"{_count(agents, 'agent')} of this node connected by it")
    if sessions:
        effects.append(f"{_count(sessions, 'short-lived token')} end with it")
    return Outlook(
        what=f"the token {token.id} ({token.name or 'no name'}) would be revoked",
        effects=tuple(effects),
        counts={"agents": agents, "sessions": sessions},
        facts={
            "role": token.role,
            "name": token.name,
            "namespaces": sorted(scope.namespaces),
            "ends": "" if token.expires is None else token.expires.isoformat(),
        },
    )


def of_role(role: Role, holders: Sequence[str]) -> Outlook:
    """Forget a role.

    Raises:
        Conflict: It is built in, or somebody has it.
    """
    if role.built_in:
        raise Conflict(f"{role.name} is a built-in role and stays")
    if holders:
        raise Conflict(
            f"{len(holders)} tokens have the role {role.name}",
            remedy=f"revoke them first: nexa token revoke {holders[0]}",
        )
    allowed = sorted(f"{one.allow} on {one.on}" for one in role.permissions)
    return Outlook(
        what=f"the role {role.name} would be deleted",
        effects=(f"no token has it; {_count(len(allowed), 'permission')} in it",),
        counts={"permissions": len(allowed), "tokens": 0},
        facts={"permissions": allowed},
    )


def of_disconnect(agent: Agent) -> Outlook:
    """Close an agent's connection.

    Raises:
        Conflict: It is not connected.
    """
    if not agent.connected:
        raise Conflict(f"agent {agent.id} is not connected", remedy="nexa agents list")
    since = "" if agent.since is None else agent.since.isoformat()
    spent = ("each spends one attempt",) if agent.inflight else ()
    return Outlook(
        what=f"the connection of {agent.id} to {agent.node} would be closed",
        effects=(
            f"{_count(agent.inflight, 'task')} in hand back to the queue",
            *spent,
            "it may connect again by itself: to keep it away, revoke its token",
        ),
        counts={"agents": 1, "tasks": agent.inflight},
        facts={
            "agent": f"{agent.namespace}.{agent.id}",
            "node": agent.node,
            "since": since,
        },
    )


def of_restore(node: str, held: Mapping[str, int]) -> Outlook:
    """Fill an empty node; `held` is what is in it that is no obstacle."""
    return Outlook(
        what=f"{node} would be filled from the backup, and start anew",
        effects=(
            "tokens, roles and records in it are replaced by those of the backup",
            "agents and consoles that are connected have to come again",
        ),
        counts=dict(held),
        facts={"empty": "yes"},
    )


def _shape(cluster: Cluster) -> dict[str, object]:
    return {
        "nodes": sorted(f"{one.name} {one.state}" for one in cluster.nodes),
        "quorum": f"{cluster.quorum.have} of {cluster.quorum.need} needed",
    }


def _quorum(cluster: Cluster, node: Node) -> str:
    if len(cluster.nodes) <= 1:
        return "it is the only node: nothing takes tasks until nexa node start"
    if cluster.store == "attached":
        return "the data is in the attached NATS: the other nodes go on"
    left = cluster.quorum.have - (1 if node.state == "running" else 0)
    need = cluster.quorum.need
    if left < need:
        return f"QUORUM BREAKS: {left} of {need} needed nodes left; writes stop"
    return f"quorum holds: {left} nodes left, {need} needed"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
