"""The cluster as one picture, out of what nodes tell and how the store lies."""

from collections.abc import Sequence

from nexa_node.contract.nodes import Cluster, Growth, Node, Opinion, Quorum
from nexa_node.core.health import assess_cluster
from nexa_node.core.opinions import Disagreement
from nexa_node.core.store_shape import Shape, tolerates


def has_quorum(shape: Shape) -> bool:
    """Whether the store can take writes, as far as its members are heard."""
    return not shape.clustered or shape.have >= shape.need


def cluster_view(  # noqa: PLR0913  # each is a part of the picture
    *,
    name: str,
    nodes: Sequence[Node],
    controller: str | None,
    shape: Shape,
    opinions: Sequence[Opinion] = (),
    disagreements: Sequence[Disagreement] = (),
    growth: Growth | None = None,
    is_cut_off: bool = False,
) -> Cluster:
    """Put the picture together, with one verdict.

    Args:
        name: The cluster's.
        nodes: All of them, as this one sees them.
        controller: Who has the lease, as seen last.
        shape: How the store lies.
        opinions: What each node thinks of each other one.
        disagreements: Where these differ for longer than a moment.
        growth: A change of the cluster's shape that is under way, or just over.
        is_cut_off: Whether the node that tells this hears too few others, and therefore
            refuses writes, whatever its store says.
    """
    quorum = _quorum(shape)
    verdict = assess_cluster(
        nodes,
        quorum,
        shape=shape,
        disagreements=[one.words for one in disagreements],
        controller=controller,
        is_cut_off=is_cut_off,
    )
    return Cluster(
        name=name,
        verdict=verdict.health,
        reasons=verdict.reasons,
        controller=controller,
        quorum=quorum,
        nodes=tuple(nodes),
        opinions=tuple(opinions),
        streams=shape.streams,
        routes=shape.routes,
        stale=is_cut_off or not has_quorum(shape),
        replicas=shape.replicas,
        tolerates=_spare(nodes) if shape.attached else tolerates(shape),
        growth=growth,
        store="attached" if shape.attached else "supervised",
    )


def _spare(nodes: Sequence[Node]) -> int:
    """How many nodes may go that have no part in the store: all but one that works."""
    return max(0, sum(one.health in ("healthy", "degraded") for one in nodes) - 1)


def _quorum(shape: Shape) -> Quorum:
    if shape.attached:
        return Quorum(have=0, need=0)
    if not shape.clustered:
        return Quorum(have=1, need=1)
    return Quorum(have=shape.have, need=shape.need)
