"""Queues as operators see them: what waits in each, and who is there for it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nexa_node.contract.ids import Namespace
from nexa_node.contract.tasks import PRIORITIES, Priority, Queue
from nexa_node.core.policies import QueuePolicy
from nexa_node.core.queue_book import Backlog, Kind
from nexa_node.core.strategies import CLOSED_STATES
from nexa_node.ports import Clock
from nexa_node.services.directory.sight import Sight


@dataclass(slots=True)
class _Crew:
    """Who is there for one queue."""

    agents: int = 0
    slots: int = 0
    free: int = 0


class Queues:
    """Every capability that has tasks, or agents that are connected."""

    def __init__(
        self,
        *,
        backlogs: Callable[[], list[Backlog]],
        sight: Sight,
        clock: Clock,
        policies: Sequence[QueuePolicy] = (),
    ) -> None:
        """Join what it needs.

        Args:
            backlogs: What is in each queue now; `Directory.backlogs`.
            sight: Tells of the agents.
            clock: How long something has waited.
            policies: `[[queue]]`.
        """
        self._backlogs = backlogs
        self._sight = sight
        self._clock = clock
        self._strategies: dict[tuple[str, str], str] = {
            (each.namespace, each.name): each.strategy for each in policies
        }

    def queues(self, *, namespace: Namespace | None = None) -> tuple[Queue, ...]:
        """List queues by namespace and name, from memory."""
        backlogs = {each.kind: each for each in self._backlogs()}
        crews = self._crews()
        kinds: Iterable[Kind] = backlogs.keys() | crews.keys()
        return tuple(
            self._queue(kind, backlogs.get(kind), crews.get(kind, _Crew()))
            for kind in sorted(
                kinds, key=lambda each: (each.namespace, each.capability)
            )
            if namespace in (None, kind.namespace)
        )

    def _crews(self) -> dict[Kind, _Crew]:
        crews: dict[Kind, _Crew] = {}
        for agent in self._sight.all_agents():
            if not agent.connected:
                continue
            free = max(0, agent.slots - agent.inflight)
            for capability in agent.capabilities:
                kind = Kind(Namespace(agent.namespace), capability.name)
                crew = crews.setdefault(kind, _Crew())
                crew.agents += 1
                crew.slots += agent.slots
                crew.free += 0 if agent.state in CLOSED_STATES else free
        return crews

    def _queue(self, kind: Kind, backlog: Backlog | None, crew: _Crew) -> Queue:
        found = backlog or _nothing(kind)
        wait_s = None
        if found.oldest is not None:
            wait_s = max(0.0, self._clock.now().timestamp() - found.oldest)
        return Queue(
            name=kind.capability,
            namespace=kind.namespace,
            pending=found.pending,
            by_priority=found.by_priority,
            delayed=found.delayed,
            running=found.running,
            dead_lettered=found.dead_lettered,
            oldest_wait_s=wait_s,
            agents=crew.agents,
            slots=crew.slots,
            free_slots=crew.free,
            strategy=self._strategy(kind),
        )

    def _strategy(self, kind: Kind) -> str:
        default = QueuePolicy(name=kind.capability).strategy
        return self._strategies.get((kind.namespace, kind.capability), default)


def _nothing(kind: Kind) -> Backlog:
    none: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
    return Backlog(kind, 0, none, 0, 0, 0, None)
