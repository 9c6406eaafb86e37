"""What the recorder keeps, as those see it who compute from it: rules, queries, evidence.

One history holds the series of all nodes on one grid of ticks, ten seconds apart. Every
node has it, so an expression over the whole cluster is computed where it is asked, and a
dead node's past is still there. Every series carries `job="nexa"` and `instance=<node>`
besides its own labels; `up` is 1 for each node whose readings came, else 0.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # numpy is loaded by the first tick, not by the node's start
    from nexa_node.core.history import Sample
    from nexa_node.core.promql.samples import Source

OnTick = Callable[[int], object]
"""Told the time of a tick, milliseconds since 1970, once its samples can be read."""


class RulesTold(Protocol):
    """What Prometheus' API tells of rules and alerts, in its own shape.

    Times are RFC 3339, spans seconds, values text; see
    https://prometheus.io/docs/prometheus/2.42/querying/api/#rules.
    """

    async def groups(self) -> list[dict[str, Any]]:
        """The `groups` of `/api/v1/rules`: rules with `type` alerting or recording."""
        ...

    async def alerts(self) -> list[dict[str, Any]]:
        """The `alerts` of `/api/v1/alerts`: those that are pending or fire."""
        ...


class Samples(Protocol):
    """Satisfied by `recorder.Recorder`."""

    @property
    def node(self) -> str:
        """This node's name: the `instance` of its own series."""
        ...

    @property
    def local(self) -> "Source":
        """This node's own series and what it recorded: all that there is without others.

        May be read in any thread, while ticks go on.
        """
        ...

    @property
    def cluster(self) -> "Source":
        """The series of all nodes, this one's included; read in any thread."""
        ...

    @property
    def newest_ms(self) -> int | None:
        """The time of the newest tick; None before the first."""
        ...

    def on_tick(self, listener: OnTick) -> None:
        """Have `listener` called on the loop after each tick. It must not block.

        This is when to evaluate, and its argument is the moment to evaluate at: what all
        nodes measured at that moment is there.
        """
        ...

    def record(self, source: str, samples: "Sequence[Sample]", *, at_ms: int) -> None:
        """Publish what was computed at the tick `at_ms`: recording rules, `ALERTS`.

        Call it on the loop, after each evaluation. `samples` is all that `source` (a
        group of rules) says at that moment: a series it said before and says no more
        has ended, as Prometheus has it. Until the next call they are taken to go on, for
        five minutes at most; so an evaluation sees what the one before it recorded.
        Labels stay as they are; other nodes see them, too.

        Args:
            source: Who computed it; slug of your own choice, such as `group/nexa-nodes`.
            samples: The labels hold `__name__`; kind `gauge`.
            at_ms: As `on_tick` told it.
        """
        ...
