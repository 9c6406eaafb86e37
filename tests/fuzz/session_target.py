"""One fuzz input against the session machine, and what must be true of it afterwards.

An input is a line of settings and a line for each step, so that a corpus can be read
and written by hand:

    jo                settings: j JSON, m msgpack; s stranger, a has a token, o is open
    >{"jsonrpc": …    a frame, its bytes as they are
    p{"jsonrpc": …    a frame, put into msgpack if that is spoken
    x8163…            a frame in hexadecimal
    w a r             answer hello; answer, or refuse, the oldest call
    q n c             the node asks, tells, closes
    t T o             a second passes; ten do; what waits is sent
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from nexa_node.contract import errors
from nexa_node.contract.errors import Invalid
from nexa_node.contract.frames import (
    BATCH_LIMIT,
    METHODS,
    CancelledNotice,
    Empty,
    Limits,
    NodeRef,
    Welcome,
)
from nexa_node.contract.ids import TaskId, is_slug
from nexa_node.core import intake, rpc
from nexa_node.core.codec import JSON, MSGPACK, Codec
from nexa_node.core.policies import SessionPolicy
from nexa_node.core.session import Call, Called, Ended, Greeted, Notified, Session
from tests.builders import NOW

POLICY = SessionPolicy(
    frame_bytes=8192,
    data_bytes=1024,
    inflight=2,
    outbound_frames=64,
    outbound_bytes=65536,
)
WELCOME = Welcome(
    protocol="1.0",
    session="s",
    resume_token="t",
    epoch="e",
    resumed=False,
    next_seq=1,
    node=NodeRef(id="n", name="alpha"),
    cluster=(),
    heartbeat_ms=25_000,
    lease_ms=30_000,
    limits=Limits(frame=1, inflight=1, outbound=1),
    server_time=NOW,
)
HELLO = (
    b'{"jsonrpc":"2.0","id":0,"method":"session.hello","params":'
    b'{"protocol":"1.0","agent":{"id":"wc-1"}}}'
)
STEPS_MAX = 200
IDS = ("id", "namespace", "parent", "agent", "capability")
"""Members that become subjects and keys."""


class Wrong(AssertionError):
    """The machine did what it must never do."""


class Play:
    """One input's session, with services that answer when the input says so."""

    def __init__(self, codec: Codec, *, known: bool) -> None:
        self.codec = codec
        self.machine = Session(codec, POLICY, now=0.0, authenticated=known)
        self.now = 0.0
        self.greeting: Call | None = None
        self.calls: deque[Call] = deque()
        self.expected = 0
        """Answers that the agent is owed."""
        self.answers = 0
        self.asked = 0
        self.refused = 0
        self.deeds: dict[bytes, Callable[[], None]] = {
            b"t": lambda: self.pass_time(1.0),
            b"T": lambda: self.pass_time(10.0),
            b"w": self.welcome,
            b"a": self.answer,
            b"r": self.refuse,
            b"q": self.ask,
            b"n": self.tell,
            b"c": self.close,
        }

    def step(self, line: bytes) -> None:
        """Do one line."""
        match line[:1]:
            case b">":
                self.receive(line[1:])
            case b"p":
                self.receive(_packed(self.codec, line[1:]))
            case b"x":
                self.receive(_unhexed(line[1:]))
            case other:
                self.deeds.get(other, self.sent)()
        self.heard()

    def receive(self, data: bytes) -> None:
        closed, limit = self.machine.closing is not None, POLICY.frame_bytes
        if not closed and len(data) <= limit:
            items = rpc.read(self.codec, data, data_bytes=POLICY.data_bytes).items
            self.expected += sum(
                isinstance(item, rpc.Mistake)
                or (isinstance(item, rpc.Incoming) and item.wants_answer)
                for item in items
            )
        elif not closed:
            self.expected += 1
        self.machine.receive(data, self.now)

    def heard(self) -> None:
        for event in self.machine.take_events():
            match event:
                case Greeted(call, _):
                    self.greeting = call
                    _check_params(call.params)
                case Called(call):
                    if self.machine.closing is None and not self.machine.is_open:
                        raise Wrong(f"{call.method} before hello was answered")
                    self.calls.append(call)
                    _check_call(call.method, call.params)
                case Notified(method, params):
                    _check_call(method, params)
                case Ended():
                    if self.machine.closing != event:
                        raise Wrong("an end that is none")
                case _:
                    self.asked -= 1
        if len(self.calls) > POLICY.inflight:
            raise Wrong(f"{len(self.calls)} calls are with the services")

    def sent(self) -> None:
        while (frame := self.machine.next_frame()) is not None:
            self.answers += _answers_in(self.codec, frame)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.machine.tick(self.now)

    def welcome(self) -> None:
        if self.greeting is not None:
            call, self.greeting = self.greeting, None
            self.machine.welcome(call, WELCOME)

    def answer(self) -> None:
        if self.calls:
            self.machine.answer(self.calls.popleft(), Empty())

    def refuse(self) -> None:
        if self.greeting is not None:
            call, self.greeting = self.greeting, None
            self.machine.refuse(call, Invalid("no", details={"why": "\x00￿"}))
        elif self.calls:
            self.machine.refuse(self.calls.popleft(), Invalid("no"))

    def tell(self) -> None:
        notice = CancelledNotice(id=TaskId("t-1"), claim_epoch=1)
        self.machine.notify("task.cancelled", notice)

    def close(self) -> None:
        self.machine.close(errors.CLOSE_GOING_AWAY, "the input says so")

    def ask(self) -> None:
        asked = self.machine.request(
            "task.assign",
            {"task": {"id": "t-1"}, "claim_epoch": 1},
            about=self,
            timeout_s=5,
            now=self.now,
        )
        self.asked += asked
        self.refused += not asked

    def finish(self) -> None:
        """Answer all that is open; then what was owed was paid, and once."""
        self.sent()
        self.refuse()
        self.heard()
        while self.calls:
            self.answer()
            self.heard()
            self.sent()
        self.pass_time(100.0)
        self.heard()
        self.sent()
        # One that was refused may be told to be over, too: `Connection` knows that.
        if not -self.refused <= self.asked <= 0:
            raise Wrong(f"{self.asked} requests of the node were never settled")
        if self.answers > self.expected:
            raise Wrong(f"{self.answers} answers to {self.expected} requests")
        if self.machine.closing is None and self.answers != self.expected:
            raise Wrong(f"only {self.answers} answers to {self.expected} requests")
        waiting = self.machine._outbound  # pyright: ignore[reportPrivateUsage]
        if (waiting.frames, waiting.bytes) != (0, 0):
            raise Wrong("what was sent is still counted as waiting")


def run(data: bytes) -> None:
    """Play one input.

    Raises:
        Wrong: Something that must be true is not. Anything else that is raised is a
            fault, too: the machine never raises.
    """
    head, _, rest = data.partition(b"\n")
    codec = MSGPACK if b"m" in head else JSON
    play = Play(codec, known=b"s" not in head)
    if b"o" in head:
        play.step(b"p" + HELLO)
        play.step(b"w")
    for line in rest.split(b"\n")[:STEPS_MAX]:
        play.step(line)
    play.finish()


def _packed(codec: Codec, text: bytes) -> bytes:
    if codec.text:
        return text
    try:
        return msgspec.msgpack.encode(msgspec.json.decode(text))
    except (ValueError, OverflowError, RecursionError):
        return text


def _unhexed(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii", "ignore"))
    except ValueError:
        return text


def _answers_in(codec: Codec, frame: bytes) -> int:
    """Check a frame of the node's, and count the answers in it."""
    document: Any = codec.read(frame, Any)
    items = document if isinstance(document, list) else [document]
    if not 0 < len(items) <= BATCH_LIMIT + 1:
        raise Wrong(f"a batch of {len(items)}")
    answers = 0
    for item in items:
        if item["jsonrpc"] != "2.0" or ("method" in item and "error" in item):
            raise Wrong(f"no JSON-RPC: {item}")
        if "method" in item:
            continue
        if ("result" in item) == ("error" in item):
            raise Wrong(f"an answer has a result or an error: {item}")
        error = item.get("error")
        if error is not None and not (error["message"] and error["data"]["reason"]):
            raise Wrong(f"an error that says nothing: {item}")
        answers += 1
    return answers


def _check_call(method: str, params: Any) -> None:
    if type(params) is not METHODS[method][0]:
        raise Wrong(f"{method} got {type(params)}")
    _check_params(params)


def _check_params(params: Any) -> None:
    """What the services are given can be stored, and its ids are ids."""
    intake.check(params)
    stored = msgspec.json.encode(params)
    if b"\n" in stored:
        raise Wrong("a stored document has lines")
    _check_values(msgspec.to_builtins(params), "")


def _check_values(value: Any, name: str) -> None:
    match value:
        case dict():
            for key, item in value.items():
                is_payload = key in ("data", "result", "error", "partial", "labels")
                _check_values(item, "" if is_payload else key)
        case list() | tuple():
            for item in value:
                _check_values(item, "")
        case float():
            if not math.isfinite(value):
                raise Wrong(f"{name} is {value}")
        case str():
            # A message's own id is a key for duplicates, and no subject.
            if name in IDS and not is_slug(value) and " " in value:
                raise Wrong(f"{name} is no id: {value!r}")
        case _:
            pass
