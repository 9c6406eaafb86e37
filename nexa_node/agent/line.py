"""Calls that survive the loss of a connection.

A `Line` is the one place that knows whether there is a connection now. Everything here
runs on the link's event loop.
"""

import asyncio
import random
from typing import Any, TypeVar

from nexa_node.agent.endpoints import full_jitter
from nexa_node.agent.peer import Lost, Peer
from nexa_node.agent.timing import Timing
from nexa_node.contract.errors import (
    Draining,
    NexaError,
    RateLimited,
    Unavailable,
)

T = TypeVar("T")
PASSING: tuple[type[NexaError], ...] = (Unavailable, Draining, RateLimited)
"""Answers after which the same call is made again, until its time is over."""
_BACKOFF_BASE_S = 0.1
_BACKOFF_CAP_S = 5.0


class Line:
    """The connection of the moment, or the wait for the next one."""

    def __init__(self, timing: Timing, chance: random.Random) -> None:
        """Begin without a connection."""
        self.peer: Peer | None = None
        self._timing = timing
        self._chance = chance
        self._changed = asyncio.Event()
        self._dead: NexaError | None = None

    def up(self, peer: Peer) -> None:
        """A node welcomed us."""
        self.peer = peer
        self._wake()

    def down(self) -> None:
        """The connection is gone; another one will come."""
        self.peer = None

    def end(self, error: NexaError) -> None:
        """No other connection will come: calls raise `error` from now on."""
        self.peer = None
        self._dead = self._dead or error
        self._wake()

    @property
    def ended(self) -> bool:
        """Whether there will be no other connection."""
        return self._dead is not None

    async def connected(self) -> Peer:
        """Wait for a connection.

        Raises:
            NexaError: There will be none.
        """
        while self.peer is None:
            if self._dead is not None:
                raise self._dead
            await self._changed.wait()
        return self.peer

    async def call(
        self,
        method: str,
        params: Any,
        result: type[T],
        *,
        patience: float | None,
        urgent: bool = False,
    ) -> T:
        """Make a call that may be made twice, until it is answered.

        It is made again after a lost connection, no answer, and answers that pass
        (`PASSING`).

        Args:
            method: Its name.
            params: Its parameters; they must make a second call harmless.
            result: What its answer is.
            patience: Seconds for all tries together; None for as long as it takes.
            urgent: Whether it goes before the author's own calls.

        Raises:
            NexaError: The node's answer; Unavailable when `patience` is over.
        """
        reason = "no node is connected"
        try:
            async with asyncio.timeout(patience):
                attempt = 0
                while True:
                    peer = await self.connected()
                    try:
                        return await peer.call(
                            method,
                            params,
                            result,
                            timeout=self._timing.call_timeout,
                            urgent=urgent,
                        )
                    except Lost:
                        reason = "the connection was lost"
                        self._forget(peer)
                        continue
                    except PASSING as error:
                        reason = error.message
                        wait = (error.retry_after_ms or 0) / 1000
                    except TimeoutError:
                        reason = "the node does not answer"
                        wait = 0.0
                    await asyncio.sleep(max(wait, self._pause(attempt)))
                    attempt += 1
        except TimeoutError:
            raise Unavailable(
                f"{method} failed after {patience:g} s: {reason}",
                remedy="see whether a node runs: nexa node status",
            ) from None

    async def once(
        self, method: str, params: Any, result: type[T], *, patience: float
    ) -> T:
        """Make a call that must not be made twice; wait for a connection before it.

        Raises:
            NexaError: The node's answer; Unavailable when the connection was lost
                before it, or none came within `patience` seconds.
        """
        try:
            async with asyncio.timeout(patience):
                peer = await self.connected()
                return await peer.call(method, params, result, timeout=patience)
        except Lost:
            raise Unavailable(
                f"the connection was lost before {method} was answered",
                remedy="it may have taken effect: see before you try again",
            ) from None
        except TimeoutError:
            raise Unavailable(f"{method} was not answered in {patience:g} s") from None

    def _pause(self, attempt: int) -> float:
        return full_jitter(
            attempt, self._chance, base=_BACKOFF_BASE_S, cap=_BACKOFF_CAP_S
        )

    def _forget(self, peer: Peer) -> None:
        if self.peer is peer:
            self.down()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
