"""One agent's connection as a machine without I/O: bytes in, events and bytes out.

Four verbs: `receive`, `tick`, `take_events`, and `take_output` (or `next_frame` for one
at a time). None of them raises, whatever the bytes. What the services decide comes back
by `welcome`, `answer`, `refuse`, `request`, `notify` and `close`.

What stays true: hello comes first; every request with an id is answered exactly once,
in a batch all together; a notification never; at most `inflight` calls are with the
services, and none is begun while the answers of earlier ones crowd the way out; what
waits to be sent is bounded, and over the bound the connection is slow.
"""

import re
from collections import deque
from dataclasses import dataclass
from typing import Any

import msgspec

from nexa_node.contract import errors
from nexa_node.contract.errors import (
    NexaError,
    error_object,
    from_error_object,
)
from nexa_node.contract.frames import (
    BATCH_LIMIT,
    NODE_METHODS,
    PRE_AUTH_LIMIT,
    Failure,
    Hello,
    Notification,
    Request,
    RequestId,
    Success,
    Welcome,
)
from nexa_node.contract.version import PROTOCOL
from nexa_node.core import rpc
from nexa_node.core.batches import Batch, no_room
from nexa_node.core.codec import Codec, NotEncodable
from nexa_node.core.flow import Outbound
from nexa_node.core.policies import SessionPolicy

WAITING_LIMIT = BATCH_LIMIT
"""Calls kept back beyond `inflight`: one whole batch."""
CHALLENGES_MAX = 3
"""Challenges that one connection may ask for."""
MISTAKES_LIMIT = 3
"""Malformed frames before hello that end the connection."""

_PROTOCOL = re.compile(r"(\d{1,4})\.(\d{1,4})(\.\d{1,4})?")


@dataclass(slots=True, eq=False)
class Call:
    """A request of the agent that wants exactly one answer."""

    id: RequestId | None
    method: str
    params: Any
    batch: Batch | None = None


@dataclass(frozen=True, slots=True)
class Greeted:
    """Hello: answer by `welcome` or `refuse`."""

    call: Call
    hello: Hello


@dataclass(frozen=True, slots=True)
class Asked:
    """A challenge was asked for, before hello: answer by `tell` or `decline`."""

    call: Call


@dataclass(frozen=True, slots=True)
class Called:
    """A request: answer by `answer` or `refuse`."""

    call: Call


@dataclass(frozen=True, slots=True)
class Notified:
    """A call that wants no answer."""

    method: str
    params: Any


@dataclass(frozen=True, slots=True)
class Replied:
    """The agent answered a request of ours, or the time for it is over.

    With neither a result nor an error the connection ended first.
    """

    about: Any
    """What `request` was given."""
    result: Any
    error: NexaError | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The machine closed the connection."""

    code: int
    reason: str


Event = Greeted | Asked | Called | Notified | Replied | Ended


@dataclass(slots=True)
class _Asked:
    method: str
    about: Any
    until: float


class Session:
    """The node's side of one connection."""

    def __init__(
        self, codec: Codec, policy: SessionPolicy, *, now: float, authenticated: bool
    ) -> None:
        """Wait for hello.

        Args:
            codec: The encoding both sides chose.
            policy: Limits.
            now: Monotonic, as all times here.
            authenticated: The upgrade brought an identity, so frames may be large.
        """
        self.codec = codec
        self.closing: Ended | None = None
        """Why it is over, once it is: send what is left, then close."""
        self._policy = policy
        self._authenticated = authenticated
        self._hello_until = now + policy.hello_timeout_ms / 1000
        self._greeting: Call | None = None
        self._is_open = False
        self._mistakes = 0
        self._challenges = 0
        self._events: list[Event] = []
        self._output: deque[bytes] = deque()
        self._outbound = Outbound(policy.outbound_frames, policy.outbound_bytes)
        self._inflight = 0
        self._answer_bytes = 0
        """What the next answer may have, going by the largest of late."""
        self._waiting: deque[Call] = deque()
        self._asked: dict[int, _Asked] = {}
        self._last_id = 0

    @property
    def is_open(self) -> bool:
        """Whether hello was answered with a welcome, and it has not ended."""
        return self._is_open and self.closing is None

    @property
    def is_roomy(self) -> bool:
        """Whether what can wait may be sent now."""
        return self._outbound.roomy

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits to be sent that nothing more should be read."""
        return self._outbound.crowded(self._inflight, self._answer_bytes)

    @property
    def has_events(self) -> bool:
        """Whether `take_events` has something to give."""
        return bool(self._events)

    @property
    def needs_ticks(self) -> bool:
        """Whether some time-out runs."""
        return self.closing is None and (not self._is_open or bool(self._asked))

    def receive(self, data: bytes, now: float) -> None:
        """Take one frame. Answers what is wrong with it, or ends; never raises.

        Args:
            data: The frame.
            now: Monotonic; when it came.
        """
        if self.closing is not None:
            return
        limit = self._policy.frame_bytes if self._authenticated else PRE_AUTH_LIMIT
        if len(data) > limit:
            self._too_large(len(data), limit)
            return
        frame = rpc.read(self.codec, data, data_bytes=self._policy.data_bytes)
        batch = Batch(missing=1) if frame.is_batch else None
        for item in frame.items:
            self._take(item, batch)
        if batch is not None:
            self._join(batch, None)

    def tick(self, now: float) -> None:
        """Let time pass: end a connection without hello, give up on answers."""
        if self.closing is not None:
            return
        if not self._is_open and now >= self._hello_until:
            self.close(
                errors.CLOSE_UNAUTHORIZED,
                f"no valid session.hello within {self._policy.hello_timeout_ms} ms",
            )
            return
        for number, asked in [
            each for each in self._asked.items() if each[1].until <= now
        ]:
            del self._asked[number]
            told = errors.DeadlineExceeded(f"no answer to {asked.method} in time")
            self._events.append(Replied(asked.about, None, told))

    def take_events(self) -> list[Event]:
        """Take what happened since the last time, in order."""
        events, self._events = self._events, []
        return events

    def take_output(self) -> list[bytes]:
        """Take every frame that is to be sent, in order."""
        frames: list[bytes] = []
        while (frame := self.next_frame()) is not None:
            frames.append(frame)
        return frames

    def next_frame(self) -> bytes | None:
        """Take the next frame that is to be sent; None when there is none now.

        What it made room for is among the events then.
        """
        if not self._output:
            return None
        frame = self._output.popleft()
        self._outbound.sent(len(frame))
        if self._waiting and self._is_open:
            self._admit()
        return frame

    def welcome(self, call: Call, welcome: Welcome) -> None:
        """Answer hello: the session is open, and what waited behind hello goes on."""
        if self.closing is not None:
            return
        self._greeting = None
        self._is_open = self._authenticated = True
        self._reply(call, _success(call, welcome))
        self._admit()

    def answer(self, call: Call, result: Any) -> None:
        """Answer a call."""
        self._reply(call, _success(call, result))
        self._done(call)

    def refuse(self, call: Call, error: NexaError) -> None:
        """Answer a call with an error."""
        self._reply(call, Failure(id=call.id, error=error_object(error)))
        self._done(call)

    def tell(self, call: Call, result: Any) -> None:
        """Answer what was asked before hello."""
        self._reply(call, _success(call, result))

    def decline(self, call: Call, error: NexaError) -> None:
        """Refuse what was asked before hello."""
        self._reply(call, Failure(id=call.id, error=error_object(error)))

    def request(
        self, method: str, params: Any, *, about: Any, timeout_s: float, now: float
    ) -> bool:
        """Ask the agent something; `Replied` tells the answer, or that none came.

        Returns:
            False when the connection has ended: there will be no `Replied`.
        """
        self._last_id += 1
        number = self._last_id
        self._asked[number] = _Asked(method, about, now + timeout_s)
        if self._send(Request(id=number, method=method, params=params)):
            return True
        self._asked.pop(number, None)
        return False

    def notify(self, method: str, params: Any) -> bool:
        """Tell the agent something; False when the connection has ended."""
        return self._send(Notification(method=method, params=params))

    def close(self, code: int, reason: str) -> None:
        """End it: what was said before is still sent, nothing after. Idempotent."""
        if self.closing is not None:
            return
        self.closing = Ended(code, reason)
        self._waiting.clear()
        for asked in self._asked.values():
            self._events.append(Replied(asked.about, None, None))
        self._asked.clear()
        self._events.append(self.closing)

    # -- reading ---------------------------------------------------------------

    def _take(self, item: rpc.Item, batch: Batch | None) -> None:
        match item:
            case rpc.Incoming():
                self._take_incoming(item, batch)
            case rpc.Reply():
                self._take_reply(item)
            case rpc.Mistake():
                self._take_mistake(item, batch)

    def _take_incoming(self, item: rpc.Incoming, batch: Batch | None) -> None:
        call = Call(item.id, item.method, item.params, batch)
        if not item.wants_answer:
            is_heard = self._is_open and item.method != "session.hello"
            if item.error is None and is_heard:
                self._events.append(Notified(item.method, item.params))
            return
        if batch is not None:
            batch.missing += 1
        if item.error is not None:
            self._join_or_send(batch, Failure(id=item.id, error=item.error))
        elif item.method == "session.hello":
            self._greet(call)
        elif item.method == "session.challenge":
            self._challenge(call)
        else:
            self._take_call(call)

    def _take_reply(self, reply: rpc.Reply) -> None:
        asked = self._asked.pop(reply.id, None) if isinstance(reply.id, int) else None
        if asked is None:
            return
        result, error = None, None
        if reply.error is not None:
            error = from_error_object(reply.error)
        else:
            result, error = self._read_result(asked, reply.result)
        self._events.append(Replied(asked.about, result, error))

    def _read_result(
        self, asked: _Asked, result: msgspec.Raw
    ) -> tuple[Any, NexaError | None]:
        kind = NODE_METHODS[asked.method][1]
        try:
            return self.codec.read(result, kind), None
        except msgspec.ValidationError as error:
            return None, errors.Invalid(f"the answer to {asked.method}: {error}")

    def _take_mistake(self, mistake: rpc.Mistake, batch: Batch | None) -> None:
        if batch is not None:
            batch.missing += 1
        self._join_or_send(batch, Failure(id=mistake.id, error=mistake.error))
        if not self._is_open:
            self._mistakes += 1
            if self._mistakes >= MISTAKES_LIMIT:
                self.close(errors.CLOSE_PROTOCOL_ERROR, "malformed frames before hello")

    def _too_large(self, size: int, limit: int) -> None:
        told = errors.PayloadTooLarge(
            f"a frame of {size:,} bytes; {limit:,} are allowed here",
            details={"size": size, "limit": limit},
        )
        self._send(Failure(id=None, error=error_object(told)))
        if not self._authenticated:
            self.close(errors.CLOSE_PROTOCOL_ERROR, "too large before session.hello")

    # -- hello and calls -------------------------------------------------------

    def _greet(self, call: Call) -> None:
        if self._is_open or self._greeting is not None:
            told = errors.Invalid("session.hello was said before on this connection")
            self._reply(call, Failure(id=call.id, error=error_object(told)))
            return
        hello: Hello = call.params
        if not _speaks(hello.protocol):
            told = errors.UnsupportedVersion(
                f"protocol {hello.protocol[:16]!a}: this node speaks {PROTOCOL}",
                details={"supported": [PROTOCOL]},
            )
            self._reply(call, Failure(id=call.id, error=error_object(told)))
            self.close(errors.CLOSE_UNSUPPORTED_VERSION, told.message)
            return
        self._greeting = call
        self._events.append(Greeted(call, hello))

    def _challenge(self, call: Call) -> None:
        self._challenges += 1
        if self._is_open or self._greeting is not None:
            self.decline(call, errors.Invalid("session.hello was said already"))
        elif self._challenges > CHALLENGES_MAX:
            self.decline(call, errors.RateLimited("enough challenges were given"))
            self.close(errors.CLOSE_UNAUTHORIZED, "too many challenges")
        else:
            self._events.append(Asked(call))

    def _take_call(self, call: Call) -> None:
        if not self._is_open and self._greeting is None:
            told = errors.Unauthorized(f"{call.method}: say session.hello first")
            self._reply(call, Failure(id=call.id, error=error_object(told)))
        elif self._may_begin():
            self._inflight += 1
            self._events.append(Called(call))
        elif len(self._waiting) < WAITING_LIMIT:
            self._waiting.append(call)
        else:
            told = errors.RateLimited(
                f"more than {self._policy.inflight} calls wait for their answers",
                retry_after_ms=100,
            )
            self._reply(call, Failure(id=call.id, error=error_object(told)))

    def _done(self, call: Call) -> None:
        if call is self._greeting:
            self._greeting = None
            self._refuse_waiting()
            return
        self._inflight -= 1
        self._admit()

    def _may_begin(self) -> bool:
        return (
            self._is_open
            and self._inflight < self._policy.inflight
            and not self.is_crowded
        )

    def _admit(self) -> None:
        while self._waiting and self._may_begin():
            self._inflight += 1
            self._events.append(Called(self._waiting.popleft()))

    def _refuse_waiting(self) -> None:
        while self._waiting:
            self._take_call(self._waiting.popleft())

    # -- writing ---------------------------------------------------------------

    def _reply(self, call: Call, outgoing: Success | Failure) -> None:
        self._join_or_send(call.batch, outgoing)

    def _join_or_send(self, batch: Batch | None, outgoing: Success | Failure) -> None:
        frame = self._encoded(outgoing)
        self._answer_bytes = max(len(frame), self._answer_bytes * 7 // 8)
        if batch is None:
            self._queue(frame)
            return
        limit = self._policy.frame_bytes
        if not batch.has_room(frame, limit):
            told = no_room(len(frame), limit)
            frame = self.codec.write(Failure(id=outgoing.id, error=error_object(told)))
        self._join(batch, frame)

    def _join(self, batch: Batch, frame: bytes | None) -> None:
        batch.add(frame)
        if batch.missing == 0 and batch.answers:
            for answers in batch.arrays(self._policy.frame_bytes):
                self._queue(self.codec.join(answers))

    def _encoded(self, outgoing: Success | Failure) -> bytes:
        """Encode an answer; one that cannot be, or is too large, becomes an error."""
        try:
            frame = self.codec.write(outgoing)
        except NotEncodable as error:
            return self.codec.write(
                rpc.failure(outgoing.id, errors.INTERNAL_ERROR, "internal", str(error))
            )
        if len(frame) <= self._policy.frame_bytes:
            return frame
        told = errors.PayloadTooLarge(
            f"the answer is {len(frame):,} bytes: ask for less at once, with a limit"
        )
        return self.codec.write(Failure(id=outgoing.id, error=error_object(told)))

    def _send(self, outgoing: Request | Notification | Failure) -> bool:
        try:
            return self._queue(self.codec.write(outgoing))
        except NotEncodable:
            return False

    def _queue(self, frame: bytes) -> bool:
        if self.closing is not None:
            return False
        if self._outbound.add(len(frame)):
            self._output.append(frame)
            return True
        self._waiting.clear()
        self.take_output()
        self.close(errors.CLOSE_SLOW, "the agent reads too slowly: resume when it can")
        return False


def _success(call: Call, result: Any) -> Success:
    known: Any = call.id  # JSON-RPC answers a request whose id is null with null
    return Success(id=known, result=result)


def _speaks(protocol: str) -> bool:
    found = _PROTOCOL.fullmatch(protocol)
    return found is not None and found[1] == PROTOCOL.partition(".")[0]
