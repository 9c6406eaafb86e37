"""What a handler gets, and what it may answer."""

from collections.abc import Awaitable, Callable

from nexa_node.agent.claims import Claim, EndReason, News
from nexa_node.contract.errors import (
    BudgetExceeded,
    Cancelled,
    DeadlineExceeded,
    LeaseLost,
    NexaError,
)
from nexa_node.contract.tasks import Json, Task, Usage

Handler = Callable[["Job"], Awaitable[Json] | Json]
"""Does a task. Returns anything JSON can hold, or raises `Failed`."""

_WORDS: dict[EndReason, tuple[type[NexaError], str]] = {
    "cancelled": (Cancelled, "was called off"),
    "lease_lost": (LeaseLost, "belongs to somebody else by now"),
    "deadline_exceeded": (DeadlineExceeded, "is past its deadline"),
    "budget_exceeded": (BudgetExceeded, "has used more than its budget"),
    "stopping": (Cancelled, "is given back, the agent is stopping"),
}


class Failed(Exception):
    """Raised by a handler: the task failed."""

    def __init__(self, error: Json, *, retryable: bool = True) -> None:
        """Say what failed.

        Args:
            error: Kept in the task's record; a sentence, or anything JSON can hold.
            retryable: Whether another attempt may succeed.
        """
        super().__init__(error if isinstance(error, str) else repr(error))
        self.error = error
        self.retryable = retryable


class Job:
    """One attempt at one task.

    The lease is renewed by itself for as long as the handler runs, never past the
    task's deadline. Everything here may be used from any thread.
    """

    def __init__(self, claim: Claim, tell: Callable[[Claim, News], None]) -> None:
        """Wrap `claim`; `tell` brings news to the link."""
        self._claim = claim
        self._tell = tell

    @property
    def usage(self) -> Usage | None:
        """What this attempt has spent so far: set it as it grows, at the latest at the end.

        It is told with progress, with each renewal of the lease, and with the end. Over
        the task's budget the job is cancelled, with the reason `budget_exceeded`.
        """
        return self._claim.usage

    @usage.setter
    def usage(self, spent: Usage | None) -> None:
        self._claim.usage = spent

    @property
    def task(self) -> Task:
        """The whole record."""
        return self._claim.task

    @property
    def id(self) -> str:
        """The task's id."""
        return self._claim.task.id

    @property
    def type(self) -> str:
        """The capability that is asked for."""
        return self._claim.task.type

    @property
    def data(self) -> Json:
        """What the submitter gave. Foreign: a node vouches for its size alone."""
        return self._claim.task.data

    @property
    def attempt(self) -> int:
        """1 for the first."""
        return self._claim.attempt

    @property
    def claim_epoch(self) -> int:
        """The fencing token, for stores that can use one."""
        return self._claim.epoch

    @property
    def cancelled(self) -> bool:
        """Whether to stop: whatever is returned from now on is dropped.

        An asynchronous handler is also interrupted by `asyncio.CancelledError`; a
        handler in a thread has to look here.
        """
        return self._claim.cancellation.is_set()

    @property
    def cancel_reason(self) -> EndReason | None:
        """Why, once `cancelled`."""
        return self._claim.cancellation.reason

    def wait_cancelled(self, timeout: float | None = None) -> bool:
        """Block this thread until the job is cancelled; False after `timeout` seconds."""
        return self._claim.cancellation.wait(timeout)

    def report(
        self, pct: float | None = None, note: str | None = None, partial: Json = None
    ) -> None:
        """Tell how far it is; for handlers in threads. Returns at once.

        Of several reports that could not be sent yet the newest is sent; a partial
        result is always sent, in order, to whoever watches the task.

        Args:
            pct: 0 to 100.
            note: One line for people.
            partial: A part of the result, or what there is of it.

        Raises:
            LeaseLost: The task belongs to somebody else by now.
            DeadlineExceeded: Its time is over.
            BudgetExceeded: It used more than its budget.
            Cancelled: It was called off, or the agent is stopping.
        """
        reason = self.cancel_reason
        if reason is not None:
            kind, words = _WORDS[reason]
            raise kind(f"task {self.id} {words}")
        self._tell(self._claim, News(pct=pct, note=note, partial=partial))

    async def progress(
        self, pct: float | None = None, note: str | None = None, partial: Json = None
    ) -> None:
        """Tell how far it is: `report`, for asynchronous handlers."""
        self.report(pct, note, partial)
