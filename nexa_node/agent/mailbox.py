"""Messages on the author's side: one after the other through one handler."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable

from nexa_node.agent.letters import WAITING_LIMIT, Letters
from nexa_node.contract.frames import Deliver

MessageHandler = Callable[[Deliver], Awaitable[None] | None]
"""Handles one message. When it returns, the message is acknowledged; when it raises,
the message comes again later. A handler that is no coroutine must not block."""

_log = logging.getLogger("nexa.agent")


class Mailbox:
    """Runs the handler for each message, in the order of the inbox."""

    def __init__(
        self,
        handler: MessageHandler | None,
        letters: Letters,
        post: Callable[..., None],
    ) -> None:
        """Tell `letters`, through `post`, what became of each message."""
        self._handler = handler
        self._letters = letters
        self._post = post
        self._queue: asyncio.Queue[Deliver] = asyncio.Queue(WAITING_LIMIT)
        self._warned = False

    def put(self, message: Deliver) -> None:
        """Take a message in; the link lets no more than `WAITING_LIMIT` wait."""
        if self._handler is None:
            if not self._warned:
                _log.warning("messages arrive and on_message has no handler; they stay")
            self._warned = True
            self._post(self._letters.unhandled, message.seq)
            return
        self._queue.put_nowait(message)

    async def run(self) -> None:
        """Handle messages, for ever."""
        while True:
            message = await self._queue.get()
            if await self._handle(message):
                self._post(self._letters.handled, message.seq)
            else:
                self._post(self._letters.unhandled, message.seq)

    async def _handle(self, message: Deliver) -> bool:
        assert self._handler is not None
        try:
            answer = self._handler(message)
            if inspect.isawaitable(answer):
                await answer
        except Exception:  # noqa: BLE001  # the author's code may raise anything
            _log.exception("message %s: the handler failed", message.id)
            return False
        return True
