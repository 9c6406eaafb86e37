"""One agent's socket, between the adapter that moves bytes and the session machine."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from nexa_node.contract.access import Identity
from nexa_node.contract.errors import NexaError
from nexa_node.contract.frames import Welcome
from nexa_node.core.session import (
    Asked,
    Call,
    Called,
    Ended,
    Greeted,
    Notified,
    Replied,
    Session,
)
from nexa_node.ports import Clock
from nexa_node.services.api import Close, Output

Replies = Callable[[Any, NexaError | None], None]
"""Told the agent's answer, or the error in its place; neither if the connection ended."""


class Desk(Protocol):
    """Who deals with what an agent says."""

    async def greet(self, connection: "Connection", greeted: Greeted) -> None:
        """Answer hello, with a welcome or a refusal. Must not raise."""
        ...

    def challenged(self, connection: "Connection", call: Call) -> None:
        """Give a challenge to somebody who has not said hello. Must not raise."""
        ...

    def call(self, connection: "Connection", call: Call) -> None:
        """Answer a call, now or later. Must not raise."""
        ...

    def notified(self, connection: "Connection", method: str, params: Any) -> None:
        """Take a notification. Must not raise."""
        ...

    def ended(self, connection: "Connection") -> None:
        """The connection is over, from either side; told once."""
        ...

    def roomy(self, connection: "Connection") -> None:
        """What could wait may be sent again."""
        ...


class Meter(Protocol):
    """Who counts what connections carry."""

    def opened(self) -> None:
        """A connection has begun."""
        ...

    def closed(self, code: int, lasted_s: float) -> None:
        """It is over, with that code of WebSocket's."""
        ...

    def received(self, size: int) -> None:
        """A frame of so many bytes came."""
        ...

    def sent(self, size: int) -> None:
        """One is being sent."""
        ...


class Unmeasured:
    """Counts nothing: a `Meter`."""

    def opened(self) -> None:
        """Not counted."""

    def closed(self, code: int, lasted_s: float) -> None:
        """Not counted."""

    def received(self, size: int) -> None:
        """Not counted."""

    def sent(self, size: int) -> None:
        """Not counted."""


UNMEASURED = Unmeasured()


@dataclass(slots=True)
class _Question:
    """What the agent was asked."""

    replies: Replies | None
    """None when whoever asked knows already that there will be no answer."""


class Connection:
    """`api.AgentConnection`."""

    def __init__(
        self,
        machine: Session,
        desk: Desk,
        *,
        clock: Clock,
        identity: Identity | None,
        address: str,
        meter: Meter = UNMEASURED,
    ) -> None:
        """Join the two; `identity` is the upgrade's, if it brought one."""
        self.identity = identity
        self.address = address
        self.owner: object | None = None
        """The desk's: whose connection it is, since hello."""
        self._machine = machine
        self._desk = desk
        self._clock = clock
        self._wake = asyncio.Event()
        self._room: asyncio.Event | None = None
        """Once something had to wait for it: there is room for more answers."""
        self._handling = False
        self._greeting = False
        self._over = False
        self._meter = meter
        self._opened = self.heard = clock.monotonic()
        """When its last frame came."""
        self._heard_at: Callable[[], float] | None = None
        meter.opened()

    def watch_life(self, heard_at: Callable[[], float]) -> None:
        """Know whom to ask when the peer gave its last sign of life: pongs, too."""
        self._heard_at = heard_at

    @property
    def last_heard(self) -> float:
        """When it gave its last sign of life, monotonic."""
        return self.heard if self._heard_at is None else self._heard_at()

    @property
    def is_over(self) -> bool:
        """Whether nothing can be said on it any more."""
        return self._over or self._machine.closing is not None

    @property
    def is_roomy(self) -> bool:
        """Whether what can wait may be sent now."""
        return not self.is_over and self._machine.is_roomy

    @property
    def needs_ticks(self) -> bool:
        """Whether some time-out runs.

        Not while hello is being answered: a store that is slow is no fault of the
        agent's, and its calls end by time-outs of their own.
        """
        return self._machine.needs_ticks and not (self._over or self._greeting)

    async def receive(self, data: bytes) -> None:
        """Take one frame; returns when the next one should be read.

        While too much waits to be sent nothing more is read: then who asks faster than
        it reads is slowed down, and not closed for what the node did not write yet.
        """
        if self._over:
            return
        self.heard = self._clock.monotonic()
        self._meter.received(len(data))
        self._machine.receive(data, self.heard)
        greeted = self._handle()
        while greeted is not None:
            self._greeting = True
            try:
                await self._desk.greet(self, greeted)
            finally:
                self._greeting = False
            greeted = self._handle()
        if self._machine.is_crowded and not self._over:
            if self._room is None:
                self._room = asyncio.Event()
            self._room.clear()
            await self._room.wait()

    async def next_output(self) -> Output | Close:
        """Wait for the next frame to send, or for the end."""
        while True:
            had_room = self._machine.is_roomy
            frame = self._machine.next_frame()
            if frame is not None:
                self._left(had_room=had_room)
                self._meter.sent(len(frame))
                return Output(frame, text=self._machine.codec.text)
            if self._machine.closing is not None:
                return Close(self._machine.closing.code, self._machine.closing.reason)
            self._wake.clear()
            await self._wake.wait()

    async def lost(self) -> None:
        """The socket is gone."""
        self._end()

    def tick(self) -> None:
        """Let time pass."""
        self._machine.tick(self._clock.monotonic())
        self._handle()

    def welcome(self, call: Call, welcome: Welcome) -> None:
        """Answer hello."""
        self._machine.welcome(call, welcome)
        self._handle()

    def tell(self, call: Call, result: Any) -> None:
        """Answer what was asked before hello."""
        self._machine.tell(call, result)
        self._handle()

    def decline(self, call: Call, error: NexaError) -> None:
        """Refuse what was asked before hello."""
        self._machine.decline(call, error)
        self._handle()

    def answer(self, call: Call, result: Any) -> None:
        """Answer a call."""
        self._machine.answer(call, result)
        self._handle()

    def refuse(self, call: Call, error: NexaError) -> None:
        """Answer a call with an error."""
        self._machine.refuse(call, error)
        self._handle()

    def notify(self, method: str, params: Any) -> bool:
        """Tell the agent something; False when the connection has ended."""
        if self._over:
            return False
        told = self._machine.notify(method, params)
        self._handle()
        return told

    def request(
        self, method: str, params: Any, *, replies: Replies, timeout_s: float
    ) -> bool:
        """Ask the agent something; False when the connection has ended."""
        if self._over:
            return False
        now = self._clock.monotonic()
        question = _Question(replies)
        asked = self._machine.request(
            method, params, about=question, timeout_s=timeout_s, now=now
        )
        if not asked:  # a full queue ended it: the machine tells that of all questions
            question.replies = None
        self._handle()
        return asked

    def close(self, code: int, reason: str) -> None:
        """End it; what was said before is still sent."""
        self._machine.close(code, reason)
        self._handle()

    def _left(self, *, had_room: bool) -> None:
        """A frame left: whatever waited for that goes on."""
        if not had_room and self._machine.is_roomy:
            self._desk.roomy(self)
        if self._room is not None and not self._machine.is_crowded:
            self._room.set()
        if self._machine.has_events:
            self._handle()

    def _handle(self) -> Greeted | None:
        """Pass on what happened; what happens meanwhile is passed on by the same call."""
        self._wake.set()
        if self._handling:
            return None
        greeted: Greeted | None = None
        self._handling = True
        try:
            while events := self._machine.take_events():
                for event in events:
                    if isinstance(event, Greeted):
                        greeted = event
                    else:
                        self._pass_on(event)
        finally:
            self._handling = False
        return greeted

    def _pass_on(self, event: Asked | Called | Notified | Replied | Ended) -> None:
        match event:
            case Asked(call):
                self._desk.challenged(self, call)
            case Called(call):
                self._desk.call(self, call)
            case Notified(method, params):
                self._desk.notified(self, method, params)
            case Replied(about, result, error):
                if about.replies is not None:
                    about.replies(result, error)
            case Ended():
                self._end()

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        self._machine.close(1006, "the socket is gone")
        self._handle()
        self._wake.set()
        if self._room is not None:
            self._room.set()
        closing = self._machine.closing
        lasted_s = self._clock.monotonic() - self._opened
        self._meter.closed(1006 if closing is None else closing.code, lasted_s)
        self._desk.ended(self)
