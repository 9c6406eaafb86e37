"""Counting as things happen: each meter listens to one part of the node.

The parts know nothing of metrics; they tell whoever listens. A meter is joined to them
once, in the wiring. Types of agents and of tasks come from outside and are bounded.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping

from nexa_node.contract import errors
from nexa_node.contract.checks import SelfTest
from nexa_node.contract.errors import NexaError, PayloadTooLarge, RateLimited
from nexa_node.contract.ids import AgentId
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.contract.tasks import FINISHED, Task, Usage
from nexa_node.core.exposition import Counter, Family, Sample
from nexa_node.core.instruments import Instruments
from nexa_node.core.replies import is_reserved
from nexa_node.ports import Arrived, Clock, TopicMessage
from nexa_node.services.sessions.live import AgentKey, LiveAgent

SECONDS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
    300.0,
)  # fmt: skip
"""Bounds of what takes from milliseconds to minutes."""
RTT_BOUNDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
)  # fmt: skip
BYTES = (256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0)
WEBSOCKET, REST = "websocket", "rest"
DESTINATIONS = ("agent", "capability", "topic", "broadcast", "answer")
NO_TYPE = "none"
"""Of an agent that can do nothing."""
REMEMBERED = 10_000
"""Agents and tasks that a meter remembers."""
_CLOSED = {
    1000: "normal",
    1001: "normal",
    1005: "normal",
    1006: "lost",
    errors.CLOSE_SLOW: "slow",
    errors.CLOSE_TAKEN_OVER: "taken_over",
    errors.CLOSE_HEARTBEAT: "heartbeat",
    errors.CLOSE_GOING_AWAY: "going_away",
    errors.CLOSE_UNAUTHORIZED: "unauthorized",
    errors.CLOSE_FORBIDDEN: "forbidden",
    errors.CLOSE_UNSUPPORTED_VERSION: "unsupported_version",
    errors.CLOSE_PROTOCOL_ERROR: "protocol_error",
    errors.CLOSE_REVOKED: "revoked",
}
REASONS = (*dict.fromkeys(_CLOSED.values()), "ended", "other")
_REFUSED = ("rate_limit", "inbox_full", "too_large", "no_receiver", "other")
_DROPPED = ("no_room", *_REFUSED)


def type_of(agent: LiveAgent) -> str:
    """An agent's type: the first capability it names."""
    return next(iter(agent.candidates), NO_TYPE)


def destination_of(to: Address) -> str:
    """What kind of address a message has."""
    if is_reserved(to.topic or to.agent or ""):
        return "answer"
    if to.topic is not None:
        return "topic"
    if to.broadcast:
        return "broadcast"
    return "agent" if to.agent is not None else "capability"


class ConnectionMeter:
    """`connection.Meter` of agents' connections, and the same of consoles'."""

    def __init__(self, instruments: Instruments) -> None:
        """Count nothing yet."""
        kinds = ("agent", "console")
        self._opened = instruments.counter(
            "nexa_connections_opened_total",
            "Connections begun.",
            ("transport", "kind"),
            [(WEBSOCKET, kind) for kind in kinds],
        )
        self._closed = instruments.counter(
            "nexa_connections_closed_total",
            "Connections ended, by why.",
            ("transport", "kind", "reason"),
            [(WEBSOCKET, kind, reason) for kind in kinds for reason in REASONS],
        )
        self._lasted = instruments.histogram(
            "nexa_connection_duration_seconds",
            "How long agents' connections lasted.",
            SECONDS,
            ("transport",),
            [(WEBSOCKET,)],
        )
        self._sizes = instruments.histogram(
            "nexa_message_size_bytes",
            "Sizes of the frames that agents sent (in) and were sent (out).",
            BYTES,
            ("direction",),
            [("in",), ("out",)],
        )
        self._in, self._out = self._sizes.child("in"), self._sizes.child("out")
        instruments.read(self._bytes)

    def opened(self) -> None:
        """An agent's connection has begun."""
        self._opened.add(WEBSOCKET, "agent")

    def closed(self, code: int, lasted_s: float) -> None:
        """It is over."""
        self._closed.add(WEBSOCKET, "agent", _CLOSED.get(code, "other"))
        self._lasted.observe(lasted_s, WEBSOCKET)

    def received(self, size: int) -> None:
        """A frame of so many bytes came."""
        self._in.observe(size)

    def sent(self, size: int) -> None:
        """One is being sent."""
        self._out.observe(size)

    def _bytes(self) -> Iterator[Family]:
        """What the sizes add up to; not counted twice."""
        for name, way, sizes in (
            ("received", "sent", self._in),
            ("sent", "were sent", self._out),
        ):
            yield Counter(
                f"nexa_message_bytes_{name}_total",
                f"Bytes of the frames that agents {way}.",
                (Sample(sizes.total, {"transport": WEBSOCKET}),),
            )

    def console_opened(self) -> None:
        """A console's has begun."""
        self._opened.add(WEBSOCKET, "console")

    def console_closed(self, reason: str) -> None:
        """A console's is over."""
        self._closed.add(WEBSOCKET, "console", reason)


class AgentMeter:
    """Agents' processes that came back as new ones. An `Audience`."""

    def __init__(self, instruments: Instruments) -> None:
        """Know nobody yet."""
        self._restarts = instruments.counter(
            "nexa_agent_restarts_total",
            "Agents that came back as a new process: after a bye, or without one.",
            ("agent_type", "reason"),
            [(NO_TYPE, reason) for reason in ("lost", "stopped")],
        )
        self._known: OrderedDict[AgentKey, str] = OrderedDict()

    def joined(self, agent: LiveAgent, *, restarted: bool) -> None:
        """It is connected."""
        kind = type_of(agent)
        for reason in ("lost", "stopped"):
            self._restarts.add(kind, reason, by=0)
        before = self._known.get(agent.key)
        if restarted and before is not None:
            self._restarts.add(kind, before)
        self._note(agent, "lost")

    def changed(self, agent: LiveAgent) -> None:
        """Nothing that is counted."""

    def away(self, agent: LiveAgent) -> None:
        """Its connection is lost."""
        self._note(agent, "lost")

    def left(self, agent: LiveAgent, *, in_order: bool) -> None:
        """It is gone."""
        self._note(agent, "stopped" if in_order else "lost")

    def _note(self, agent: LiveAgent, ended: str) -> None:
        self._known[agent.key] = ended
        self._known.move_to_end(agent.key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


class MessageMeter:
    """Messages on their way."""

    def __init__(self, instruments: Instruments, clock: Clock) -> None:
        """Count nothing yet."""
        self._clock = clock
        everywhere = [(one,) for one in DESTINATIONS]
        self._received = instruments.counter(
            "nexa_messages_received_total",
            "Messages taken in, by the way they came and the kind of their address.",
            ("transport", "destination"),
            [(way, one) for way in (WEBSOCKET, REST) for one in DESTINATIONS],
        )
        self._sent = instruments.counter(
            "nexa_messages_sent_total",
            "Messages passed to agents.",
            ("transport", "destination"),
            [(WEBSOCKET, one) for one in DESTINATIONS],
        )
        self._dropped = instruments.counter(
            "nexa_messages_dropped_total",
            "Messages refused, and signals whose receiver had no room for them.",
            ("destination", "reason"),
            [(one, reason) for one in DESTINATIONS for reason in _DROPPED],
        )
        self._dead = instruments.counter(
            "nexa_messages_dead_lettered_total",
            "Messages given up: by their receiver, and tasks whose attempts ended.",
            ("destination", "reason"),
            [("agent", "terminated"), ("task", "attempts")],
        )
        self._again = instruments.counter(
            "nexa_messages_redelivered_total",
            "Messages passed to an agent once more.",
            ("destination",),
            everywhere,
        )
        took = instruments.histogram(
            "nexa_message_delivery_duration_seconds",
            "From a message's being taken in to its first being passed to an agent.",
            SECONDS,
            ("destination",),
            everywhere,
        )
        self._took = {one: took.child(one) for one in DESTINATIONS}

    def taken(self, message: NewMessage, sender: str) -> None:
        """A message was taken in."""
        way = REST if sender.startswith("token:") else WEBSOCKET
        self._received.add(way, destination_of(message.to))

    def refused(self, message: NewMessage, error: NexaError) -> None:
        """A message was not taken."""
        self._dropped.add(destination_of(message.to), _why(error))

    def missed(self, arrived: Arrived) -> None:
        """A signal's receiver had no room for it."""
        self._dropped.add(_place_of(arrived), "no_room")

    def told(self, arrived: Arrived, attempts: int) -> None:
        """A message was passed to an agent."""
        place = _place_of(arrived)
        self._sent.add(WEBSOCKET, place)
        if attempts > 1:
            self._again.add(place)
            return
        now = self._clock.now()
        took_s = (now - arrived.message.time).total_seconds()
        self._took[place].observe(max(0.0, took_s))

    def given_up(self) -> None:
        """A receiver gave a message up."""
        self._dead.add("agent", "terminated")

    def task_given_up(self) -> None:
        """A task used up its attempts."""
        self._dead.add("task", "attempts")


class TaskMeter:
    """Tasks this node writes the records of."""

    def __init__(
        self, instruments: Instruments, clock: Clock, dead: Callable[[], None]
    ) -> None:
        """Count nothing yet; `dead` is told of each dead letter."""
        self._clock = clock
        self._dead = dead
        self._finished = instruments.counter(
            "nexa_tasks_total",
            "Tasks this node saw finish.",
            ("agent_type", "outcome"),
            [(NO_TYPE, outcome) for outcome in sorted(FINISHED)],
        )
        self._took = instruments.histogram(
            "nexa_task_duration_seconds",
            "From a task's being submitted to its end.",
            SECONDS,
            ("agent_type", "outcome"),
        )
        self._waited = instruments.histogram(
            "nexa_task_queue_wait_seconds",
            "From the moment a task could be handed out to its being so.",
            SECONDS,
            ("agent_type",),
        )
        self._tokens = instruments.counter(
            "nexa_llm_tokens_total",
            "Tokens that attempts at tasks spent.",
            ("provider", "model", "token_type", "agent_type"),
            [("unknown", "unknown", kind, NO_TYPE) for kind in ("input", "output")],
        )
        self._cost = instruments.counter(
            "nexa_llm_cost_usd_total",
            "What attempts at tasks cost, in US dollars.",
            ("provider", "model", "agent_type"),
            [("unknown", "unknown", NO_TYPE)],
        )
        self._seen: set[str] = set()
        self._claimed: OrderedDict[tuple[str, int], None] = OrderedDict()

    def written(self, task: Task) -> None:
        """A record was written; `Ledger.on_write`."""
        if task.type not in self._seen and len(self._seen) < REMEMBERED:
            self._seen.add(task.type)
            for outcome in sorted(FINISHED):
                self._finished.add(task.type, outcome, by=0)
        if task.status == "assigned":
            self._handed_out(task)
        if task.status in FINISHED:
            self._end(task)

    def _handed_out(self, task: Task) -> None:
        """Once for each claim: records of one are written several times."""
        key = task.id, task.claim_epoch
        if key in self._claimed:
            return
        self._claimed[key] = None
        if len(self._claimed) > REMEMBERED:
            self._claimed.popitem(last=False)
        could = max(task.submitted, task.not_before or task.submitted)
        waited_s = (self._clock.now() - could).total_seconds()
        self._waited.observe(max(0.0, waited_s), task.type)

    def _end(self, task: Task) -> None:
        self._finished.add(task.type, task.status)
        end = task.finished or self._clock.now()
        took_s = (end - task.submitted).total_seconds()
        self._took.observe(max(0.0, took_s), task.type, task.status)
        if task.status == "dead_lettered":
            self._dead()

    def spent(self, task: Task, agent: AgentId, usage: Usage) -> None:
        """An attempt is over, and used so much; `Ledger.on_spent`, once for each.

        The sum of a record grows with each life of a task: it would count twice what was
        used before a redrive.
        """
        del agent
        provider, model = model_of(usage.model)
        for kind, spent in (
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
        ):
            self._tokens.add(provider, model, kind, task.type, by=spent)
        self._cost.add(provider, model, task.type, by=usage.cost_usd)


class SelfTestMeter:
    """How long checks take."""

    def __init__(self, instruments: Instruments) -> None:
        """Count nothing yet."""
        self._took = instruments.histogram(
            "nexa_selftest_duration_seconds",
            "How long each check of the self-test took.",
            SECONDS,
            ("check",),
        )

    def ran(self, selftest: SelfTest) -> None:
        """A run is over; `SelfTests`' sink."""
        for check in selftest.checks:
            if check.status in ("pass", "warn", "fail"):
                self._took.observe((check.duration_ms or 0.0) / 1000, check.id)


class RttMeter:
    """How fast this node's nats-server answers."""

    def __init__(self, instruments: Instruments) -> None:
        """Count nothing yet."""
        self._took = instruments.histogram(
            "nexa_nats_rtt_seconds",
            "Round trips through this node's nats-server.",
            RTT_BOUNDS,
        )

    def took(self, milliseconds: float) -> None:
        """One round trip."""
        self._took.observe(milliseconds / 1000)


def model_of(told: str | None) -> tuple[str, str]:
    """Provider and model of what an agent names: `provider/model`, or a model alone."""
    provider, slash, model = (told or "unknown").partition("/")
    return (provider, model) if slash else ("unknown", provider)


def _why(error: NexaError) -> str:
    if isinstance(error, RateLimited):
        details: Mapping[str, object] = error.details or {}
        return "inbox_full" if details.get("reason") == "inbox_full" else "rate_limit"
    if isinstance(error, PayloadTooLarge):
        return "too_large"
    if isinstance(error, errors.NoAgentAvailable | errors.NotFound):
        return "no_receiver"
    return "other"


def _place_of(arrived: Arrived) -> str:
    if isinstance(arrived, TopicMessage):
        return "topic"
    return destination_of(arrived.message.to)
