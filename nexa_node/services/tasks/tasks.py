"""Tasks from outside: submitting, reading, calling off, and ending those in time.

A submission is answered when both the queue and the record have it. Whatever stops in
between, it is never half there for long: a message without a record makes its record
when it is handed out, a record without a message is put into the queue again.
"""

import asyncio
from collections.abc import Callable
from hashlib import sha256

from nexa_node.contract.errors import (
    DeadlineExceeded,
    Draining,
    Duplicate,
    NotFound,
    Unavailable,
)
from nexa_node.contract.ids import (
    DEFAULT_NAMESPACE,
    Namespace,
    TaskId,
    time_ordered_id,
)
from nexa_node.contract.tasks import NewTask, Submitted, Task
from nexa_node.core import intake, submitting, tasks
from nexa_node.core.policies import SessionPolicy
from nexa_node.core.tasks import Denied
from nexa_node.ports import Clock, TaskQueue
from nexa_node.services.directory.sight import Sight, TaskSeen
from nexa_node.services.tasks.deadlines import Deadlines
from nexa_node.services.tasks.ledger import Ledger
from nexa_node.services.tasks.repairs import Repairs

PASS_S = 0.25
"""How often deadlines are looked at."""


class Tasks:
    """What submitters may ask of tasks."""

    def __init__(
        self,
        *,
        queue: TaskQueue,
        ledger: Ledger,
        sight: Sight,
        clock: Clock,
        entropy: Callable[[int], bytes],
        policy: SessionPolicy,
        is_controller: Callable[[], bool] = lambda: True,
    ) -> None:
        """Nothing is watched before `run`.

        Args:
            queue: Where tasks wait.
            ledger: Their records.
            sight: Tells of tasks with a deadline, whoever took them.
            clock: Deadlines are by its wall clock.
            entropy: That many random bytes, for ids.
            policy: The size of a payload.
            is_controller: Whether this node ends for all nodes what is overdue.
        """
        self.repairs = Repairs(queue=queue, ledger=ledger, sight=sight)
        """Whose queue message may be missing; put again by `run`."""
        self._deadlines = Deadlines(
            ledger=ledger, sight=sight, clock=clock, is_ours=is_controller
        )
        self._queue = queue
        self._ledger = ledger
        self._sight = sight
        self._clock = clock
        self._entropy = entropy
        self._policy = policy
        self._draining = False
        self.check_quota: Callable[[Namespace], None] = lambda _: None
        """Raises `RateLimited` where a namespace has too many."""
        ledger.on_write(self._deadlines.remember)
        sight.on_task(self._deadlines.remember)

    async def run(self) -> None:
        """End what is overdue and finish cut off submissions, for ever."""
        await self._sight.caught_up()
        self.repairs.find_cut_off()
        while True:
            await self._clock.sleep(PASS_S)
            await self._deadlines.end_overdue()
            await self.repairs.put_again()

    def stop_taking(self) -> None:
        """Refuse new tasks: the node drains."""
        self._draining = True

    async def submit(
        self,
        submitter: str,
        new: NewTask,
        *,
        namespace: Namespace | None = None,
        begun: TaskSeen | None = None,
    ) -> Submitted:
        """Take a task; answered when it is safe in the store.

        With an `id` or an `idempotency_key` the same submission may be made again: it is
        stored once, and answered with `duplicate` and its status.

        Args:
            submitter: An agent's id, or `token:<id>`.
            new: What is asked for; checked here.
            namespace: Overrides what the submitter says: an agent's own.
            begun: Told the first record before it is stored: nothing has happened to
                the task yet. What it raises is raised.

        Raises:
            Invalid: It means nothing, or was delegated too often.
            NotFound: Its namespace has no task that is its parent. A finished one is
                fine.
            PayloadTooLarge: Its data is too large.
            DeadlineExceeded: Its time is over already.
            Duplicate: Its id belongs to another task.
            Draining: The node takes nothing new.
            RateLimited: Its namespace has as many as it may.
            Unavailable: The store does not answer; the same call may be made again.
        """
        if self._draining:
            raise Draining("the node takes no new tasks", retry_after_ms=1000)
        intake.check_task(new)
        intake.check_size("data", new.data, self._policy.data_bytes)
        where = namespace or new.namespace or DEFAULT_NAMESPACE
        self.check_quota(where)
        parent = None if new.parent is None else await self._parent(new.parent, where)
        task = self._first_record(
            new, submitter=submitter, namespace=where, parent=parent
        )
        if tasks.overdue(task, self._clock.now()) is not None:
            raise DeadlineExceeded("the task's time is over before it is submitted")
        if begun is not None:
            begun(task)
        if new.id is None and new.idempotency_key is None:
            return await self._store_fresh(task)
        return await self._store_named(task)

    async def get(self, task_id: TaskId, *, namespace: Namespace | None = None) -> Task:
        """Read a task, payloads included.

        Raises:
            NotFound: There is none, or none in `namespace`.
        """
        seen = await self._ledger.need(task_id)
        if namespace is not None and seen.value.namespace != namespace:
            raise NotFound(f"no task {task_id}", remedy="nexa task list")
        return seen.value

    async def cancel(
        self, task_id: TaskId, *, by: str, namespace: Namespace | None = None
    ) -> Task:
        """Call a task off, pending or running. Again is no error.

        Raises:
            NotFound: There is none.
            Conflict: It is finished.
        """

        def decide(task: Task) -> tasks.Verdict:
            if namespace is not None and task.namespace != namespace:
                return Denied(NotFound(f"no task {task_id}", remedy="nexa task list"))
            return tasks.cancel(task, by=by, now=self._clock.now())

        verdict = await self._ledger.settle(task_id, decide)
        if isinstance(verdict, Denied):
            raise verdict.error
        return verdict.task

    # -- submitting ------------------------------------------------------------

    def _first_record(
        self,
        new: NewTask,
        *,
        submitter: str,
        namespace: Namespace,
        parent: Task | None,
    ) -> Task:
        now = self._clock.now()
        task_id = new.id
        if task_id is None and new.idempotency_key is not None:
            task_id = _id_of_key(namespace, new.idempotency_key)
        if task_id is None:
            millis = int(now.timestamp() * 1000)
            task_id = TaskId(time_ordered_id(millis, self._entropy(10)))
        return submitting.submit(
            new,
            task_id=task_id,
            submitter=submitter,
            now=now,
            namespace=namespace,
            parent=parent,
        )

    async def _parent(self, task_id: TaskId, namespace: Namespace) -> Task:
        """A task of a namespace, from memory if it is there; maybe without payloads."""
        known = self._sight.task(task_id)
        if known is None:
            seen = await self._ledger.get(task_id)
            known = None if seen is None else seen.value
        if known is None or known.namespace != namespace:
            raise NotFound(
                f"no task {task_id} that could be the parent",
                remedy="leave parent out, or submit into the parent's namespace",
                details={"member": "parent"},
            )
        return known

    async def _store_fresh(self, task: Task) -> Submitted:
        """Queue and record at once: nobody else can know the id."""
        try:
            put, created = await asyncio.gather(
                self._queue.put(task), self._ledger.create(task), return_exceptions=True
            )
        except asyncio.CancelledError:
            self.repairs.later(task.id)
            raise
        if isinstance(put, BaseException):
            self.repairs.later(task.id)  # if the record is there
            raise put
        if isinstance(created, BaseException):
            raise created
        return Submitted(id=task.id, status="pending", duplicate=False)

    async def _store_named(self, task: Task) -> Submitted:
        """Record first, so that another task's id never reaches the queue."""
        try:
            revision = await self._ledger.create(task)
            if revision is not None:
                await self._queue.put(task)
        except (Unavailable, asyncio.CancelledError):
            self.repairs.later(task.id)  # if the record is there
            raise
        if revision is not None:
            return Submitted(id=task.id, status="pending", duplicate=False)
        known = (await self._ledger.need(task.id)).value
        if not _is_same(known, task):
            raise Duplicate(
                f"task {task.id} exists and is another",
                remedy="choose another id or idempotency_key",
                details=(
                    {"type": known.type, "status": known.status}
                    if known.namespace == task.namespace
                    else None
                ),
            )
        if known.status == "pending" and known.claim_epoch == 0:
            await self._queue.put(known)  # in case the first call got no further
        return Submitted(id=known.id, status=known.status, duplicate=True)


def _id_of_key(namespace: Namespace, key: str) -> TaskId:
    """An id that is the same for the same key, and no other's."""
    digest = sha256(f"{namespace}\0{key}".encode()).hexdigest()
    return TaskId(f"k{digest[:31]}")


def _is_same(known: Task, task: Task) -> bool:
    return (
        known.namespace == task.namespace
        and known.type == task.type
        and known.data == task.data
    )
