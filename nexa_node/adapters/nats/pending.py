"""Answers to the queue that nobody waits for: acknowledged, given back, dropped.

They leave together, soon. One that gets lost does no harm: the task comes again, and its
record says what is to be done.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection, Refused
from nexa_node.adapters.nats.message import Msg
from nexa_node.adapters.nats.session import Session
from nexa_node.contract.errors import NexaError

WAITING_MAX = 10_000
"""Answers that may wait; above that the oldest is dropped, and its task comes again."""
RECENT_S = 1.0
"""An acknowledgement so old has been heard."""
ACK, NAK, KEEP, TERM = b"+ACK", b"-NAK", b"+WPI", b"+TERM"

Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Run something to its end in the background."""

_log = structlog.get_logger("nexa.store")


class Answers:
    """What is still to be said to the queue."""

    def __init__(self, connection: Connection, spawn: Spawn) -> None:
        """Nothing is to be said."""
        self._connection = connection
        self._spawn = spawn
        self._waiting: deque[Coroutine[Any, Any, None]] = deque()
        self._saying = False
        self._session: Session | None = None
        self._recent: deque[tuple[float, int]] = deque(maxlen=WAITING_MAX)
        """When which position was acknowledged on this session, the last second's."""
        self._unsure: list[int] = []

    def ack(self, session: Session, message: Msg) -> None:
        """Take a message off the queue for good.

        A server that was killed forgets what it had just delivered, ignores its
        acknowledgement and does not say so: then it is removed by its position, and so
        is what was acknowledged in the second before the session was lost.
        """
        position = read_position(message.reply)
        if session.is_lost:
            self._soon(self._remove(position))
            return
        if session is not self._session:
            self._session = session
            self._recent.clear()
            session.on_end(lambda: self._lost(session))
        session.answer(message, ACK)
        now = asyncio.get_running_loop().time()
        self._recent.append((now, position))
        while self._recent[0][0] < now - RECENT_S:
            self._recent.popleft()

    def resume(self) -> None:
        """There is a new session: remove what may not have been heard on the last."""
        unsure, self._unsure = self._unsure, []
        for position in unsure:
            self._soon(self._remove(position))

    def _lost(self, session: Session) -> None:
        if session is self._session:
            since = asyncio.get_running_loop().time() - RECENT_S
            self._unsure += [position for at, position in self._recent if at >= since]
            self._recent.clear()
            self._session = None

    def give_back(self, message: Msg) -> None:
        """Have it handed out again, at once."""
        self._soon(self._request(message.reply, NAK))

    def drop(self, message: Msg) -> None:
        """Have it handed out never again."""
        self._soon(self._request(message.reply, TERM))

    def _soon(self, answer: Coroutine[Any, Any, None]) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft().close()
        self._waiting.append(answer)
        if not self._saying:
            self._saying = True
            self._spawn(self._say())

    async def _say(self) -> None:
        try:
            while self._waiting:
                await self._waiting.popleft()
        finally:
            self._saying = False
            for answer in self._waiting:
                answer.close()
            self._waiting.clear()

    async def _request(self, reply: str, word: bytes) -> None:
        try:
            await self._connection.request(reply, word)
        except NexaError as error:
            _log.warning("a task comes again by itself, later", cause=error.message)

    async def _remove(self, position: int) -> None:
        try:
            await self._connection.call(
                f"STREAM.MSG.DELETE.{topology.TASKQ}",
                wire.DeleteMessage(seq=position),
                wire.Answer,
            )
        except Refused as refused:
            if refused.error.err_code not in wire.NO_MESSAGE:
                _log.warning("a finished task comes again", cause=str(refused))
        except NexaError as error:
            _log.warning("a finished task comes again", cause=error.message)


def read_position(reply: str) -> int:
    """Read a message's place in the stream from where it is acknowledged."""
    words = reply.split(".")
    return int(words[5] if len(words) < 11 else words[7])
