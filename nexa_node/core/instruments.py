"""What parts of a node count and measure with: counters, histograms, gauges, by labels.

A part asks for its instruments when it is made and moves them as it works; a scrape and
the recorder read them all. Children whose labels are known exist at 0 from the start: a
rule is blind to a counter that does not exist yet. Labels that come from outside are
bounded: once an instrument has `CHILDREN_MAX` children, whatever is new is counted under
`other`, and how often that happened is a metric of its own.

    sent = instruments.counter("nexa_messages_sent_total", "…", ("transport",), [("ws",)])
    sent.add("ws")
    instruments.read(lambda: (Gauge("nexa_asyncio_tasks", "…", (Sample(7),)),))
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from nexa_node.core.exposition import Buckets, Counter, Family, Gauge, Histogram, Sample
from nexa_node.core.series import Buckets as Observed

CHILDREN_MAX = 50
"""Children of one instrument. Agents' types and queues are few; ids are never labels."""
OTHER = "other"
TEXT_MAX = 64
"""Characters of a label's value that came from outside."""
DROPPED = "nexa_telemetry_series_dropped_total"

Labels = tuple[str, ...]
Capped = Callable[[str], object]
"""Told the name of an instrument that had to count under `other` for the first time."""


class Counted:
    """A counter and its children."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Labels,
        known: Iterable[Labels],
        over: Callable[[], None],
    ) -> None:
        """Begin at 0; made by `Instruments.counter`."""
        self.name = name
        self._text = text
        self._labels = labels
        self._over = over
        self._values: dict[Labels, float] = dict.fromkeys(known, 0.0)
        self._room = 1000 if name == DROPPED else max(CHILDREN_MAX, len(self._values))

    def add(self, *labels: str, by: float = 1.0) -> None:
        """Count."""
        try:
            self._values[labels] += by
        except KeyError:
            labels = _bounded(labels, len(self._values) < self._room, self._over)
            self._values[labels] = self._values.get(labels, 0.0) + by

    def value(self, *labels: str) -> float:
        """What was counted; 0 of what was not."""
        return self._values.get(labels, 0.0)

    def family(self) -> Family:
        """As a scrape tells it."""
        samples = tuple(
            Sample(value, dict(zip(self._labels, labels, strict=True)))
            for labels, value in self._values.items()
        )
        return Counter(self.name, self._text, samples)


class Measured:
    """A histogram and its children."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Labels,
        bounds: tuple[float, ...],
        known: Iterable[Labels],
        over: Callable[[], None],
    ) -> None:
        """Begin empty; made by `Instruments.histogram`."""
        self.name = name
        self._text = text
        self._labels = labels
        self._bounds = bounds
        self._over = over
        self._children = {each: Observed(bounds) for each in known}
        self._room = max(CHILDREN_MAX, len(self._children))

    def observe(self, value: float, *labels: str) -> None:
        """Take a value, in the unit of the bounds."""
        child = self._children.get(labels)
        if child is None:
            labels = _bounded(labels, len(self._children) < self._room, self._over)
            child = self._children.setdefault(labels, Observed(self._bounds))
        child.observe(value)

    def child(self, *labels: str) -> Observed:
        """The child that is there from the start: for what is observed very often."""
        return self._children[labels]

    def count(self, *labels: str) -> int:
        """How many values were taken."""
        child = self._children.get(labels)
        return 0 if child is None else child.count

    def family(self) -> Family:
        """As a scrape tells it."""
        series = tuple(
            Buckets(
                self._bounds,
                child.counts,
                child.total,
                dict(zip(self._labels, labels, strict=True)),
            )
            for labels, child in self._children.items()
        )
        return Histogram(self.name, self._text, series)


class Instruments:
    """All instruments of a node."""

    def __init__(self) -> None:
        """Have none but the one that counts what was too much."""
        self._made: dict[str, Counted | Measured] = {}
        self._readers: list[Callable[[], Iterable[Family]]] = []
        self._capped: list[Capped] = []
        self._told: set[str] = set()
        self.dropped = self.counter(
            DROPPED,
            "Values counted under `other`, since their metric had too many series.",
            ("metric",),
        )

    def on_capped(self, listener: Capped) -> None:
        """Have `listener` told of each instrument that came to its limit, once."""
        self._capped.append(listener)

    def counter(
        self,
        name: str,
        text: str,
        labels: Labels = (),
        known: Iterable[Labels] | None = None,
    ) -> Counted:
        """Make a counter, or have the one of that name.

        Args:
            name: Ends in `_total`.
            text: Its help.
            labels: Their names.
            known: The children that are there from the start; without labels the one.
        """
        made = self._made.get(name)
        if made is None:
            known = ((),) if known is None and not labels else known or ()
            made = Counted(name, text, labels, known, lambda: self._over(name))
            self._keep(name, made, bounded=bool(labels))
        assert isinstance(made, Counted)
        return made

    def histogram(
        self,
        name: str,
        text: str,
        bounds: Sequence[float],
        labels: Labels = (),
        known: Iterable[Labels] | None = None,
    ) -> Measured:
        """Make a histogram, or have the one of that name; `bounds` ascend."""
        made = self._made.get(name)
        if made is None:
            known = ((),) if known is None and not labels else known or ()
            made = Measured(
                name, text, labels, tuple(bounds), known, lambda: self._over(name)
            )
            self._keep(name, made, bounded=bool(labels))
        assert isinstance(made, Measured)
        return made

    def read(self, reader: Callable[[], Iterable[Family]]) -> None:
        """Have `reader` asked at each scrape: for gauges, and what others count."""
        self._readers.append(reader)

    def families(self) -> tuple[Family, ...]:
        """All of them, as they stand now."""
        read = [family for reader in self._readers for family in reader()]
        return (*(made.family() for made in self._made.values()), *read)

    def _keep(self, name: str, made: Counted | Measured, *, bounded: bool) -> None:
        self._made[name] = made
        if bounded and name != DROPPED:
            self.dropped.add(name, by=0.0)

    def _over(self, name: str) -> None:
        if name == DROPPED:
            return
        self.dropped.add(name)
        if name not in self._told:
            self._told.add(name)
            for listener in self._capped:
                listener(name)


def gauge(
    name: str,
    text: str,
    values: float | Mapping[Labels, float],
    labels: Labels = (),
    *,
    over: Callable[[], None] | None = None,
) -> Gauge:
    """A gauge of one value, or of a bounded number of children, the first ones."""
    if isinstance(values, int | float):
        return Gauge(name, text, (Sample(float(values)),))
    kept: dict[Labels, float] = {}
    for each, value in values.items():
        bounded = tuple(one[:TEXT_MAX] for one in each)
        if bounded in kept or len(kept) < CHILDREN_MAX:
            kept[bounded] = kept.get(bounded, 0.0) + value
        elif over is not None:
            over()
    return Gauge(
        name,
        text,
        tuple(
            Sample(value, dict(zip(labels, each, strict=True)))
            for each, value in kept.items()
        ),
    )


def _bounded(labels: Labels, has_room: bool, over: Callable[[], None]) -> Labels:
    if has_room:
        return tuple(one[:TEXT_MAX] for one in labels)
    over()
    return (OTHER,) * len(labels)
