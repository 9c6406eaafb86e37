"""Messages on the author's side: one after the other through one handler."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from nexa_node.agent.letters import Letters
from nexa_node.agent.subscriptions import Subscriptions
from nexa_node.contract.frames import Deliver

MessageHandler = Callable[[Deliver], Awaitable[Any] | Any]
"""Handles one message. When it returns, the message is acknowledged, and if somebody
wants an answer, what it returned is the answer; when it raises, the message comes again
later. A handler that is no coroutine must not block."""


TOPICS_LIMIT = 10_000
"""Messages of topics that wait for their handler; what comes on top is lost, and said."""


class Later(Exception):
    """Raised by a handler of messages: not now, deliver it again after a while."""

    def __init__(self, seconds: float = 5.0) -> None:
        """Say after how long."""
        super().__init__(f"again in {seconds:g} s")
        self.delay_ms = round(seconds * 1000)


class Drop(Exception):
    """Raised by a handler of messages: never deliver it again."""

    def __init__(self, reason: str) -> None:
        """Say why; it becomes an event of the cluster."""
        super().__init__(reason)
        self.reason = reason


_log = logging.getLogger("nexa.agent")


class Mailbox:
    """Runs the handler for each message, in the order of the inbox."""

    def __init__(
        self,
        handler: MessageHandler | None,
        subscriptions: Subscriptions,
        letters: Letters,
        post: Callable[..., None],
        reply: Callable[[Deliver, Any], Awaitable[Any]],
    ) -> None:
        """Tell `letters`, through `post`, what became of each message."""
        self._handler = handler
        self._subscriptions = subscriptions
        self._reply = reply
        self._letters = letters
        self._post = post
        self._queue: asyncio.Queue[tuple[Deliver, MessageHandler]] = asyncio.Queue()
        self._warned = False

    def put(self, message: Deliver) -> None:
        """Take a message in; the link lets no more than `WAITING_LIMIT` wait."""
        if message.subscription is not None:
            found = self._subscriptions.find(message)
            if found is not None and self._queue.qsize() >= TOPICS_LIMIT:
                _log.error("topic %s: handled too slowly, one is lost", found.topic)
            elif found is not None:
                self._queue.put_nowait((message, found.handler))
            return
        if self._handler is None:
            if not self._warned:
                _log.warning("messages arrive and on_message has no handler; they stay")
            self._warned = True
            self._post(self._letters.unhandled, message.seq)
            return
        self._queue.put_nowait((message, self._handler))

    async def run(self) -> None:
        """Handle messages, for ever."""
        while True:
            message, handler = await self._queue.get()
            became, *told = await self._handle(message, handler)
            if message.subscription is None:
                self._post(became, message.seq, *told)

    async def _handle(
        self, message: Deliver, handler: MessageHandler
    ) -> tuple[Callable[..., None], *tuple[Any, ...]]:
        """Have one handled; what to tell the link, and what to say with it."""
        try:
            answer = handler(message)
            if inspect.isawaitable(answer):
                answer = await answer
            if answer is not None and message.reply_to is not None:
                await self._reply(message, answer)
        except Later as later:
            return self._letters.unhandled, later.delay_ms
        except Drop as drop:
            return self._letters.dropped, drop.reason
        except Exception:  # noqa: BLE001  # the author's code may raise anything
            _log.exception("message %s: the handler failed", message.id)
            return (self._letters.unhandled,)
        return (self._letters.handled,)
