"""The labels that tell one node's series from another's, as a scrape would set them."""

JOB = "nexa"
"""The label `job` of every sample; what Prometheus' scrape configuration should say."""


def target(node: str) -> dict[str, str]:
    """The labels of all that a node tells."""
    return {"instance": node, "job": JOB}
