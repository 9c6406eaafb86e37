"""Prometheus' HTTP service discovery: where all nodes' metrics are scraped."""

from urllib.parse import urlsplit

from nexa_node.contract.metrics import Target
from nexa_node.contract.nodes import Cluster
from nexa_node.core.sampling_labels import target


def targets_of(cluster: Cluster) -> tuple[Target, ...]:
    """A target for each node whose address is known; labels as its own history has."""
    found: list[Target] = []
    for node in cluster.nodes:
        url = urlsplit(node.url)
        if not url.netloc:
            continue
        labels = target(node.name)
        if url.scheme == "https":
            labels["__scheme__"] = "https"
        found.append(Target(targets=(url.netloc,), labels=labels))
    return tuple(found)
