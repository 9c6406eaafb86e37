"""Who was the controller, by the nodes' own logs: one at a time, each under a higher fence.

A fence is given once and only grows. That one has ended is written down when the node
notices: later by a moment, and much later by a node that was stopped, which does nothing
meanwhile. So a reign ends at the latest where a fault took its node's process away, and
two that overlap by less than `SLACK_S` are none.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import msgspec

from tests.system.chaos.windows import Struck
from tests.system.crashes.checker import Violation

SLACK_S = 2.0
"""How late a busy machine may write down that a lease is over."""
_FENCE = re.compile(r"\(fence (\d+)\)")
_ENDS = {"controller.changed", "controller.lost", "node_running"}
_TAKES_AWAY = ("kill", "stop", "restart", "storm")


@dataclass(frozen=True, slots=True)
class Reign:
    """A time in which a node took itself for the controller; seconds since 1970."""

    node: str
    fence: int
    began: float
    ended: float


class Line(msgspec.Struct, frozen=True):
    """A line of a node's log."""

    time: datetime
    event: str
    node: str = ""
    message: str = ""


def read_log(path: Path) -> list[Line]:
    """Read what concerns controllers; half a last line is none."""
    decode = msgspec.json.Decoder(Line).decode
    text = path.read_bytes() if path.exists() else b""
    return [
        decode(line)
        for line in text[: text.rfind(b"\n") + 1].splitlines()
        if b'"controller.' in line or b'"node_running"' in line
    ]


def reigns(
    logs: Iterable[Sequence[Line]], struck: Iterable[Struck], ahead_s: float
) -> list[Reign]:
    """Read who was the controller when.

    Args:
        logs: Of each node.
        struck: What was done, in the machine's monotonic time.
        ahead_s: How far the wall clock is ahead of the monotonic one.
    """
    gone = [
        (one.whom, one.began + ahead_s)
        for one in struck
        if one.kind.startswith(_TAKES_AWAY)
    ]
    found: list[Reign] = []
    for log in logs:
        for at, line in enumerate(log):
            fence = _FENCE.search(line.message)
            if line.event != "controller.changed" or fence is None:
                continue
            began = line.time.timestamp()
            ends = [one.time.timestamp() for one in log[at + 1 :] if one.event in _ENDS]
            ends += [t for whom, t in gone if whom in {line.node, "all"} and t > began]
            ended = min(ends, default=float("inf"))
            found.append(Reign(line.node, int(fence[1]), began, ended))
    return sorted(found, key=lambda one: one.began)


def controllers(found: Sequence[Reign]) -> Iterator[Violation]:
    """One at a time, and each under a higher fence than all before."""
    for before, after in pairwise(found):
        if after.fence <= before.fence:
            words = (
                f"{after.node} has fence {after.fence}, {before.node} {before.fence}"
            )
            yield Violation("controller_fence", after.node, words)
    for at, one in enumerate(found):
        for other in found[at + 1 :]:
            both = min(one.ended, other.ended) - other.began
            if both > SLACK_S and other.node != one.node:
                words = f"{one.node} and {other.node}, for {both:.1f} s"
                yield Violation("two_controllers", other.node, words)
