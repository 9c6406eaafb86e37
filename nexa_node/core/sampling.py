"""From what a scrape tells to samples: the names and labels Prometheus would make of it."""

from collections.abc import Iterable, Iterator

from nexa_node.core.exposition import (
    Buckets,
    Counter,
    Family,
    Histogram,
    bounds_told,
)
from nexa_node.core.history import Sample
from nexa_node.core.promql.names import NAME
from nexa_node.core.sampling_labels import target


def up(node: str, *, alive: bool) -> Sample:
    """Whether a node told anything."""
    return Sample({NAME: "up", **target(node)}, float(alive), "gauge")


def samples_of(families: Iterable[Family], node: str) -> Iterator[Sample]:
    """All samples of a node's families, `up` first."""
    yield up(node, alive=True)
    labels = target(node)
    for family in families:
        if isinstance(family, Histogram):
            for one in family.series:
                yield from _of_buckets(family.name, one, labels)
            continue
        kind = "counter" if isinstance(family, Counter) else "gauge"
        for one in family.samples:
            named = {NAME: family.name, **one.labels, **labels}
            yield Sample(named, float(one.value), kind)


def _of_buckets(
    name: str, buckets: Buckets, labels: dict[str, str]
) -> Iterator[Sample]:
    own = {**buckets.labels, **labels}
    below = 0
    for bound, count in zip(bounds_told(buckets.bounds), buckets.counts, strict=True):
        below += count
        named = {NAME: f"{name}_bucket", "le": bound, **own}
        yield Sample(named, float(below), "counter")
    yield Sample({NAME: f"{name}_sum", **own}, float(buckets.total), "counter")
    yield Sample({NAME: f"{name}_count", **own}, float(below), "counter")
