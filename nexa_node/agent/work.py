"""Assignments, leases and results: what the link does for each task in hand.

Everything here runs on the link's event loop and never waits for a handler, so leases
are renewed while a handler blocks its own loop.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from nexa_node.agent.claims import (
    Again,
    Claim,
    Claims,
    EndReason,
    News,
    Refused,
    Taken,
)
from nexa_node.agent.line import Line
from nexa_node.agent.peer import Lost, Peer
from nexa_node.agent.session import Session
from nexa_node.agent.timing import Timing
from nexa_node.agent.upward import Upward
from nexa_node.contract.errors import (
    BudgetExceeded,
    Cancelled,
    DeadlineExceeded,
    LeaseLost,
    NexaError,
    NotFound,
    Rejected,
)
from nexa_node.contract.frames import (
    Assign,
    CancelledNotice,
    Complete,
    Credit,
    Empty,
    Fail,
    Leased,
    Progress,
    Release,
    RequestId,
)

Outcome = Complete | Fail | Release
Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine beside the others; it must not raise."""

BUSY_RETRY_MS = 500
ACCEPTED = {"accepted": True}
"""Spelled out: the contract's Struct leaves defaults away on the wire."""
_METHODS: dict[type[Outcome], str] = {
    Complete: "task.complete",
    Fail: "task.fail",
    Release: "task.release",
}
_GONE: dict[type[NexaError], EndReason] = {
    LeaseLost: "lease_lost",
    NotFound: "lease_lost",
    Cancelled: "cancelled",
    DeadlineExceeded: "deadline_exceeded",
    BudgetExceeded: "budget_exceeded",
}
_log = logging.getLogger("nexa.agent")


class Work:
    """The agent's tasks, between the node and the handlers."""

    def __init__(
        self,
        claims: Claims,
        session: Session,
        line: Line,
        upward: Upward,
        *,
        timing: Timing,
        spawn: Spawn,
    ) -> None:
        """Begin with what `claims` holds."""
        self.claims = claims
        self.changed = asyncio.Event()
        """Set whenever the number of tasks in hand, or the draining, changes."""
        self._session = session
        self._line = line
        self._upward = upward
        self._timing = timing
        self._spawn = spawn
        self._look = asyncio.Event()
        self._quiet: dict[Claim, asyncio.Future[None]] = {}

    async def assigned(self, peer: Peer, request: RequestId, assign: Assign) -> None:
        """Answer an assignment; a new one is told upward before its answer is sent."""
        ahead = self._session.until(assign.task.deadline, now=_utc_now())
        offer = self.claims.offer(assign, now=time.monotonic(), ahead=ahead)
        self._tell_superseded(assign)
        match offer:
            case Taken(claim):
                self._upward.assigned(claim)
                self._touch()
                await peer.answer(request, ACCEPTED)
            case Again():
                self._refund()
                await peer.answer(request, ACCEPTED)
            case Refused(reason, message):
                if reason == "unable":
                    self._refund()
                refusal = Rejected(
                    message,
                    retry_after_ms=BUSY_RETRY_MS if reason == "busy" else None,
                    details={"reason": reason},
                )
                await peer.refuse(request, refusal)

    def cancelled(self, notice: CancelledNotice) -> None:
        """The node called a task off."""
        claim = self.claims.find(notice.id, notice.claim_epoch)
        if claim is not None:
            self._revoke(claim, "cancelled")

    def reconnected(self) -> None:
        """Ask the new connection what is still ours; grant credits anew."""
        self.claims.reconnected(time.monotonic())
        self._look.set()
        if self._session.credits and self.claims.free:
            self._spawn(self._grant(self.claims.free))

    def drain(self) -> None:
        """Take nothing new from now on."""
        self.claims.draining = True
        self.changed.set()

    def news(self, claim: Claim, news: News) -> None:
        """Tell the node of progress: every partial result, else only the newest."""
        claim.tell(news)
        self._look.set()

    def settle(self, claim: Claim, outcome: Outcome | None) -> None:
        """The handler is done: tell the node until it accepts; None tells nothing.

        Only the first outcome of a claim counts, and none once the claim is lost.
        """
        if claim.settling or self.claims.find(claim.task.id, claim.epoch) is not claim:
            return
        if outcome is not None and not claim.owned:
            _log.warning(
                "task %s: %s is dropped: %s",
                claim.task.id,
                "its result" if isinstance(outcome, Complete) else "its end",
                claim.cancellation.reason,
            )
            outcome = None
        if outcome is None:
            self._drop(claim)
            return
        claim.settling = True
        self._touch()
        self._credit(claim)
        self._spawn(self._settle(claim, outcome))

    async def idle(self) -> None:
        """Wait until nothing is in hand."""
        while len(self.claims):
            self.changed.clear()
            await self.changed.wait()

    async def keep_leases(self) -> None:
        """Renew leases and notice their ends, for ever."""
        while True:
            self._look.clear()
            now = time.monotonic()
            for claim, reason in self.claims.ended(now):
                self._revoke(claim, reason)
            peer = self._line.peer
            if peer is not None:
                for claim in self.claims.due(now):
                    claim.renewing = True
                    self._spawn(self._renew(peer, claim))
            pause = self.claims.next_look(now, connected=peer is not None)
            try:
                async with asyncio.timeout(pause):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def _renew(self, peer: Peer, claim: Claim) -> None:
        news = claim.news.popleft() if claim.news else News()
        asked = time.monotonic()
        progress = Progress(
            id=claim.task.id,
            claim_epoch=claim.epoch,
            pct=news.pct,
            note=news.note,
            partial=news.partial,
            usage=claim.usage,
        )
        timeout = min(self._timing.call_timeout, claim.lease_s / 3)
        try:
            await peer.call(
                "task.progress", progress, Leased, timeout=timeout, urgent=True
            )
        except (Lost, TimeoutError):
            if news != News():
                claim.news.appendleft(news)
            claim.renew_at = asked + claim.lease_s / 6
        except NexaError as error:
            claim.renew_at = asked + claim.lease_s / 6
            self._not_renewed(claim, error)
        else:
            self.claims.renewed(claim, asked=asked)
        finally:
            claim.renewing = False
            self._look.set()
            told = self._quiet.get(claim)
            if told is not None and not claim.news and not told.done():
                told.set_result(None)

    def _not_renewed(self, claim: Claim, error: NexaError) -> None:
        reason = _GONE.get(type(error))
        if reason is None:
            _log.warning("task %s: lease not renewed: %s", claim.task.id, error)
        elif not claim.settling:
            self._revoke(claim, reason)

    async def _partials_told(self, claim: Claim) -> None:
        """Wait until what waits to be told is: a result comes after its parts."""
        if not any(news.partial is not None for news in claim.news):
            return
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._quiet[claim] = told
        try:
            async with asyncio.timeout(self._timing.call_timeout):
                await told
        except TimeoutError:
            _log.warning("task %s: partial results were not told", claim.task.id)
        finally:
            self._quiet.pop(claim, None)

    async def _settle(self, claim: Claim, outcome: Outcome) -> None:
        try:
            await self._partials_told(claim)
            await self._tell(claim, outcome)
        except NexaError as error:
            if type(error) in _GONE:
                _log.warning(
                    "task %s: its result is dropped: %s", claim.task.id, error.reason
                )
            else:
                _log.error(
                    "task %s: the node refused its end: %s", claim.task.id, error
                )
        finally:
            self._drop(claim)

    async def _tell(self, claim: Claim, outcome: Outcome) -> None:
        try:
            await self._ask(outcome)
        except NexaError as error:
            if type(error) in _GONE or isinstance(outcome, Release):
                raise
            if self._line.ended:
                raise
            refused = f"the node refused the result: {error.message}"
            await self._ask(
                Fail(
                    id=claim.task.id,
                    claim_epoch=claim.epoch,
                    error=refused,
                    retryable=False,
                )
            )

    async def _ask(self, outcome: Outcome) -> None:
        await self._line.call(
            _METHODS[type(outcome)], outcome, Empty, patience=None, urgent=True
        )

    def _revoke(self, claim: Claim, reason: EndReason) -> None:
        if claim.cancellation.is_set():
            return
        claim.cancellation.set(reason)
        _log.info("task %s is to stop: %s", claim.task.id, reason)
        self._upward.revoked(claim)

    def _tell_superseded(self, assign: Assign) -> None:
        for claim in self.claims.all():
            older = claim.task.id == assign.task.id and claim.epoch < assign.claim_epoch
            if older and claim.cancellation.is_set():
                self._upward.revoked(claim)

    def _drop(self, claim: Claim) -> None:
        self.claims.drop(claim)
        self._touch()
        self._credit(claim)

    def _credit(self, claim: Claim) -> None:
        """Grant one more task in the place of this one, once."""
        if claim.credited:
            return
        claim.credited = True
        self._refund()

    def _refund(self) -> None:
        if self._session.credits and not self.claims.draining:
            self._spawn(self._grant(1))

    def _touch(self) -> None:
        self.changed.set()
        self._look.set()

    async def _grant(self, n: int) -> None:
        peer = self._line.peer
        if peer is None:
            return
        try:
            await peer.notify("flow.credit", Credit(scope="tasks", n=n))
        except (Lost, NexaError) as error:
            _log.debug("credit was not sent: %s", error)


def _utc_now() -> datetime:
    return datetime.now(UTC)
