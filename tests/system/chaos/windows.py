"""For how long a fault kept clients waiting, from their own histories. Pure."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.system.chaos.history import Op

SERVICES: Mapping[str, tuple[str, ...]] = {
    "messages": ("message.send",),
    "submissions": ("task.submit",),
    "results": ("task.result",),
    "registers": ("register.cas", "register.write"),
    "locks": ("lock.acquire", "lock.renew"),
}
CALLS: Mapping[str, tuple[str, ...]] = {
    "messages": SERVICES["messages"],
    "submissions": SERVICES["submissions"],
    "results": SERVICES["results"],
    "sessions": ("session.back",),
}
"""What is made again until it succeeds; at registers and locks a loser does otherwise."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault as it was done; times are the machine's monotonic clock."""

    kind: str
    whom: str
    began: float
    healed: float
    """When what was done was taken back: the process runs again, the wire is whole."""
    settled: float
    """Until when what happens counts as this fault's: the next one begins."""


def windows(
    faults: Iterable[Struck], ops: Sequence[Op]
) -> dict[str, dict[str, list[float]]]:
    """By fault kind and service: each fault's longest time without a success, in seconds.

    Counted from the fault on, to the next fault at the latest.
    """
    ends = {
        service: sorted(
            op.returned
            for op in ops
            if op.kind in kinds and op.outcome == "ok" and op.returned is not None
        )
        for service, kinds in SERVICES.items()
    }
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for fault in faults:
        for service, times in ends.items():
            gap = longest_gap(times, fault)
            if gap is not None:
                found[fault.kind][service].append(gap)
    return {kind: dict(services) for kind, services in found.items()}


def longest_gap(ends: Sequence[float], fault: Struck) -> float | None:
    """The longest time without a success between a fault and the next one.

    What the next fault made longer is not this one's: there the gap ends, too. None
    where there was nothing after it to be seen.
    """
    first = bisect_left(ends, fault.began)
    last = bisect_right(ends, fault.settled)
    if first == len(ends):
        return None
    times = [fault.began, *ends[first:last]]
    if last < len(ends):
        times.append(min(fault.settled, ends[last]))
    return max(after - before for before, after in pairwise(times))


def slowest(
    faults: Iterable[Struck], ops: Sequence[Op]
) -> dict[str, dict[str, list[float]]]:
    """By fault kind and service: the slowest call that was under way during each fault.

    A call that was given up and made again counts from its first try.
    """
    begun: dict[tuple[str, str, Any], float] = {}
    done: list[tuple[str, float, float]] = []
    service_of = {kind: name for name, kinds in CALLS.items() for kind in kinds}
    for op in sorted(ops, key=lambda one: one.invoked):
        name = service_of.get(op.kind)
        if name is None:
            continue
        what = (op.kind, op.key, str(op.asked))
        begun.setdefault(what, op.invoked)
        if op.outcome == "ok" and op.returned is not None:
            done.append((name, begun.pop(what), op.returned))
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for fault in faults:
        for name in CALLS:
            met = [
                end - begin
                for service, begin, end in done
                if service == name and fault.began < end <= fault.settled
            ]
            if met:
                found[fault.kind][name].append(max(met))
    return {kind: dict(services) for kind, services in found.items()}
