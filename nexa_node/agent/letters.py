"""Messages: each is handed up once, and acknowledged when it was handled.

Everything here runs on the link's event loop.
"""

import logging
from typing import Any

from nexa_node.agent.inbox import Inbox, Seen
from nexa_node.agent.line import Line
from nexa_node.agent.peer import Lost
from nexa_node.agent.upward import Upward
from nexa_node.agent.work import Spawn
from nexa_node.contract.errors import NexaError
from nexa_node.contract.frames import Ack, Deliver, Empty, Nack, Term

WAITING_LIMIT = 1000
"""Messages handed up and not handled yet; what comes on top is sent back for later."""
NACK_DELAY_MS = 5000
_log = logging.getLogger("nexa.agent")


class Letters:
    """The inbox, between the node and the handler."""

    def __init__(
        self, inbox: Inbox, line: Line, upward: Upward, *, spawn: Spawn, timeout: float
    ) -> None:
        """Begin where `inbox` is; calls wait for `timeout` seconds."""
        self._inbox = inbox
        self._line = line
        self._upward = upward
        self._spawn = spawn
        self._timeout = timeout
        self._waiting = 0

    def delivered(self, message: Deliver) -> None:
        """Take a message; one that was handled before is acknowledged again.

        A topic's needs no acknowledgement, and its subscription knows what is new.
        """
        if message.subscription is not None:
            self._inbox.pass_by(message.seq)
            self._upward.delivered(message)
            return
        match self._inbox.receive(message.seq):
            case Seen.OPEN:
                return
            case Seen.SETTLED:
                self._acknowledge(message.seq)
            case Seen.NEW if self._waiting >= WAITING_LIMIT:
                self._send_back(message.seq)
            case Seen.NEW:
                self._waiting += 1
                self._upward.delivered(message)

    def handled(self, seq: int) -> None:
        """The handler took the message."""
        self._waiting -= 1
        self._inbox.settle(seq)
        self._acknowledge(seq)

    def unhandled(self, seq: int, delay_ms: int = NACK_DELAY_MS) -> None:
        """The handler failed, or there is none: the message is to come again."""
        self._waiting -= 1
        self._send_back(seq, delay_ms)

    def dropped(self, seq: int, reason: str) -> None:
        """The handler wants it never again."""
        self._waiting -= 1
        self._inbox.settle(seq)
        if seq > 0:
            self._spawn(self._tell("inbox.term", Term(seq=seq, reason=reason)))

    def _acknowledge(self, seq: int) -> None:
        if seq > 0:
            self._spawn(self._tell("inbox.ack", Ack(seq=seq)))

    def _send_back(self, seq: int, delay_ms: int = NACK_DELAY_MS) -> None:
        self._inbox.refuse(seq)
        if seq > 0:
            self._spawn(self._tell("inbox.nack", Nack(seq=seq, delay_ms=delay_ms)))

    async def _tell(self, method: str, params: Any) -> None:
        peer = self._line.peer
        if peer is None:
            return
        try:
            await peer.call(method, params, Empty, timeout=self._timeout)
        except (Lost, NexaError, TimeoutError) as error:
            _log.debug("%s was not accepted: %r", method, error)
