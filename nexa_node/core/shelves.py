"""What a node knows of agents and events, arranged to be listed."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from itertools import islice

from nexa_node.contract.agents import Agent
from nexa_node.contract.events import Event
from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId, Namespace
from nexa_node.contract.rest import Page
from nexa_node.core.cursors import decode_cursor, encode_cursor, page_size
from nexa_node.core.ordering import Key, Order


def agent_key(agent: Agent) -> str:
    """Under which an agent is registered."""
    return f"{agent.namespace}.{agent.id}"


def offers(agent: Agent, capability: str) -> bool:
    """Whether an agent says that it can do such tasks."""
    return any(one.name == capability for one in agent.capabilities)


class AgentShelf:
    """Agents, by namespace and id."""

    def __init__(self) -> None:
        """Begin empty."""
        self._agents: dict[str, Agent] = {}
        self._keys: list[str] = []

    def __len__(self) -> int:
        """How many there are."""
        return len(self._agents)

    def __contains__(self, key: object) -> bool:
        """Whether an agent is there."""
        return key in self._agents

    def __iter__(self) -> Iterator[Agent]:
        """All of them, by key."""
        return (self._agents[key] for key in self._keys)

    def put(self, agent: Agent) -> None:
        """Store the newest record of an agent."""
        key = agent_key(agent)
        if key not in self._agents:
            insort(self._keys, key)
        self._agents[key] = agent

    def remove(self, key: str) -> Agent | None:
        """Forget an agent; None if it was not there."""
        agent = self._agents.pop(key, None)
        if agent is not None:
            del self._keys[bisect_left(self._keys, key)]
        return agent

    def keys(self) -> tuple[str, ...]:
        """Of all agents."""
        return tuple(self._keys)

    def get(self, namespace: Namespace, agent_id: AgentId) -> Agent | None:
        """One agent."""
        return self._agents.get(f"{namespace}.{agent_id}")

    def of(self, namespace: Namespace) -> tuple[Agent, ...]:
        """All agents of a namespace, by id."""
        at = bisect_left(self._keys, f"{namespace}.")
        end = bisect_left(self._keys, f"{namespace}/")
        return tuple(self._agents[key] for key in self._keys[at:end])

    def find(self, agent_id: AgentId) -> Agent | None:
        """The agent of that id: in the default namespace, else in the first that has it."""
        found = self._agents.get(f"{DEFAULT_NAMESPACE}.{agent_id}")
        if found is not None:
            return found
        return next((agent for agent in self if agent.id == agent_id), None)

    def page(
        self,
        *,
        capability: str | None = None,
        state: str | None = None,
        namespace: Namespace | None = None,
        limit: int,
        cursor: str | None = None,
    ) -> Page[Agent]:
        """List agents that match all that is given, by namespace and id.

        Raises:
            Invalid: The cursor is none of ours.
        """
        after = decode_cursor(cursor)
        at = 0 if after is None else bisect_right(self._keys, after[1])
        rest = (self._agents[key] for key in islice(self._keys, at, None))
        matching = (
            agent
            for agent in rest
            if state in (None, agent.state)
            and namespace in (None, agent.namespace)
            and (capability is None or offers(agent, capability))
        )
        size = page_size(limit)
        found = tuple(islice(matching, size + 1))
        if len(found) <= size:
            return Page(items=found)
        return Page(
            items=found[:size],
            next_cursor=encode_cursor((0.0, agent_key(found[size - 1]))),
        )


class EventShelf:
    """The newest events, up to a number."""

    def __init__(self, size: int) -> None:
        """Begin empty; keep up to `size`."""
        self._size = size
        self._events: dict[str, Event] = {}
        self._order = Order()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._events)

    def put(self, event: Event) -> bool:
        """Add an event; False if it is there already, or older than all that fit."""
        if event.id in self._events:
            return False
        self._events[event.id] = event
        self._order.add(_event_key(event))
        if len(self._events) > self._size:
            oldest = next(self._order.oldest_first())
            self._order.discard(oldest)
            del self._events[oldest[1]]
        return event.id in self._events

    def newest(
        self, limit: int, sees: Callable[[Event], bool] | None = None
    ) -> tuple[Event, ...]:
        """The newest, newest last; only those for which `sees` says yes."""
        keys = self._order.newest_first()
        events = filter(sees, (self._events[event_id] for _, event_id in keys))
        return tuple(islice(events, limit))[::-1]

    def page(
        self,
        *,
        kind: str | None = None,
        severity: str | None = None,
        limit: int,
        cursor: str | None = None,
    ) -> Page[Event]:
        """List events, newest first.

        Args:
            kind: A prefix.
            severity: Exactly this one.
            limit: How many at most.
            cursor: Of the page before.

        Raises:
            Invalid: The cursor is none of ours.
        """
        keys = self._order.newest_first(before=decode_cursor(cursor))
        matching = (
            event
            for event in (self._events[event_id] for _, event_id in keys)
            if event.kind.startswith(kind or "") and severity in (None, event.severity)
        )
        size = page_size(limit)
        found = tuple(islice(matching, size + 1))
        if len(found) <= size:
            return Page(items=found)
        return Page(
            items=found[:size],
            next_cursor=encode_cursor(_event_key(found[size - 1])),
        )


def _event_key(event: Event) -> Key:
    return event.time.timestamp(), event.id
