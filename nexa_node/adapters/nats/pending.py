"""Answers to the queue that nobody waits for: acknowledged, given back, dropped.

They leave together, soon. One that gets lost does no harm: the task comes again, and its
record says what is to be done.
"""

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

    def ack(self, session: Session, message: Msg) -> None:
        """Take a message off the queue for good.

        A server that was killed forgets what it had just delivered, ignores its
        acknowledgement and does not say so: then it is removed by its position.
        """
        if session.is_lost:
            self._soon(self._remove(read_position(message.reply)))
        else:
            session.answer(message, ACK)

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
