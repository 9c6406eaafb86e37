"""One run of an agent, from the first connection to the end of its thread."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from nexa_node.agent.jobs import Jobs
from nexa_node.agent.link import Link
from nexa_node.agent.mailbox import Mailbox
from nexa_node.agent.relay import Relay
from nexa_node.agent.timing import Timing
from nexa_node.contract.errors import NexaError


class Running:
    """What runs while an agent runs. On the author's loop."""

    def __init__(self, link: Link, jobs: Jobs, timing: Timing) -> None:
        """Begin; the link is started by the caller, after `listen`."""
        self.link = link
        self.stopping = asyncio.Event()
        """Set when the agent is to stop."""
        self.error: NexaError | None = None
        """Why, if it was not us who wanted it."""
        self._hurry = asyncio.Event()
        self._jobs = jobs
        self._timing = timing
        self._ended = asyncio.Event()
        self._beside: set[asyncio.Task[None]] = set()
        self._mail: asyncio.Task[None] | None = None

    def listen(self, relay: Relay, mailbox: Mailbox) -> None:
        """Take what the link brings."""
        relay.on_assigned.append(self._jobs.start)
        relay.on_revoked.append(self._jobs.revoke)
        relay.on_delivered.append(mailbox.put)
        relay.on_ended.append(self._on_ended)
        self._mail = asyncio.get_running_loop().create_task(mailbox.run())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done beside the rest; it ends with the run."""
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def stop(self) -> None:
        """Begin to stop; called again, end the grace."""
        if self.stopping.is_set():
            self._hurry.set()
        self.stopping.set()

    async def finish(self, grace: float) -> None:
        """Take nothing new, let tasks end, give back the rest, say bye.

        Args:
            grace: Seconds for what runs; none are given once the link has ended.
        """
        self.stopping.set()
        with suppress(NexaError):
            await self.link.ask(self.link.drain())
        await self._jobs.finish(
            0.0 if self._ended.is_set() else grace,
            hurry=self._hurry,
            patience=self._timing.cancel_patience,
        )
        if not self._ended.is_set():
            self.link.post(self.link.begin_close, self._timing.settle_patience)
        await self._ended.wait()
        ending = [*self._beside, *([self._mail] if self._mail else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        self.link.join()

    def _on_ended(self, error: NexaError | None) -> None:
        self.error = self.error or error
        self._ended.set()
        self._hurry.set()
        self.stopping.set()
