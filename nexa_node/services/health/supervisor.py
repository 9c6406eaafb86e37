"""All tasks of a node live in one TaskGroup, and this is where.

A service is a named loop. Loops start in the order they were added and stop in the
opposite one. A loop that crashes is logged, journaled and started again after a pause;
three crashes of one loop within a minute end the node, with an error that names it: a
node that limps is worse than one that its operator sees fall. A store that does not
answer is no crash: the loop waits for it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

import structlog

from nexa_node.contract.errors import NexaError, Unavailable
from nexa_node.ports import Clock
from nexa_node.services.api import Journal

CRASHES_MAX = 3
CRASH_WINDOW_S = 60.0
PAUSE_S = 0.5
PAUSE_MAX_S = 10.0
STOP_S = 5.0
"""For each service's `stop`; after that its loop is cancelled regardless."""

Run = Callable[[], Awaitable[None]]

log: Any = structlog.get_logger("nexa_node.supervisor")


class ServiceGaveUp(NexaError):
    """A loop crashes again and again; the node ends."""


@dataclass(frozen=True, slots=True)
class Service:
    """One named loop."""

    name: str
    run: Run
    stop: Run | None


class Supervisor:
    """Starts, restarts and stops services."""

    def __init__(self, *, clock: Clock, journal: Journal) -> None:
        """Begin without services."""
        self._clock = clock
        self._journal = journal
        self._services: list[Service] = []
        self._running: list[tuple[Service, asyncio.Task[None]]] = []
        self._group: asyncio.TaskGroup | None = None
        self._spawned: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._failure: ServiceGaveUp | None = None
        self.crashes = 0
        """Of all services, since the start."""

    def add(self, name: str, run: Run, *, stop: Run | None = None) -> None:
        """Add a service; before `run`, or while it runs: then it starts at once.

        Args:
            name: Unique; logged and journaled.
            run: Its loop. One that returns is done, and is not started again.
            stop: Awaited before its loop is cancelled, for at most five seconds.
        """
        service = Service(name, run, stop)
        self._services.append(service)
        if self._group is not None:
            self._start(service)

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do `work` beside the services, once. A crash of it is logged, and no more.

        Whoever spawned it may cancel the task; what is left at the end is cancelled.
        """
        if self._group is None or self._stopping.is_set():
            work.close()
            raise Unavailable("the node is not running", retry_after_ms=1000)
        task = self._group.create_task(self._do(name, work), name=name)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)
        return task

    def stop(self) -> None:
        """Have `run` end in order. Idempotent; may be called by a signal handler."""
        self._stopping.set()

    async def run(self) -> None:
        """Start all services, and stop them all when `stop` is called.

        Raises:
            ServiceGaveUp: A service crashed three times within a minute; the others have
                been stopped.
        """
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for service in list(self._services):
                    self._start(service)
                await self._stopping.wait()
                await self._stop_all()
        finally:
            self._group = None
            self._running.clear()
        if self._failure is not None:
            raise self._failure

    def _start(self, service: Service) -> None:
        assert self._group is not None
        task = self._group.create_task(self._keep(service), name=service.name)
        self._running.append((service, task))

    async def _stop_all(self) -> None:
        for service, task in reversed(self._running):
            if service.stop is not None:
                await self._stop_in_order(service)
            task.cancel()
            await asyncio.wait([task], timeout=STOP_S)
        for task in self._spawned:
            task.cancel()

    async def _stop_in_order(self, service: Service) -> None:
        assert service.stop is not None
        try:
            async with asyncio.timeout(STOP_S):
                await service.stop()
        except TimeoutError:
            log.warning("service_stop_slow", service=service.name, waited_s=STOP_S)
        except Exception:
            log.exception("service_stop_failed", service=service.name)

    async def _keep(self, service: Service) -> None:
        crashed: deque[float] = deque(maxlen=CRASHES_MAX)
        pause_s = PAUSE_S
        while True:
            began = self._clock.monotonic()
            try:
                await service.run()
                return
            except Exception as error:  # noqa: BLE001  # a loop's fault is the loop's own
                if not self._goes_on(service, error, crashed):
                    return
            if self._clock.monotonic() - began > CRASH_WINDOW_S:
                pause_s = PAUSE_S
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    def _goes_on(
        self, service: Service, error: Exception, crashed: deque[float]
    ) -> bool:
        """Note what ended a loop; say whether to start it again."""
        if _is_waiting(error):
            log.warning("service_waits", service=service.name, reason=str(error))
            return True
        now = self._clock.monotonic()
        crashed.append(now)
        self.crashes += 1
        told = f"{type(error).__name__}: {error}"
        log.error("service_crashed", service=service.name, exc_info=error)
        self._journal.record(
            "service.crashed",
            subject=f"service/{service.name}",
            message=f"{service.name} crashed: {told}",
            severity="critical",
        )
        if len(crashed) < CRASHES_MAX or now - crashed[0] > CRASH_WINDOW_S:
            return True
        self._failure = self._failure or ServiceGaveUp(
            f"the service {service.name} crashed {CRASHES_MAX} times within"
            f" {CRASH_WINDOW_S:.0f} s, at last with {told}",
            remedy="look at nexa logs --level error, then start the node again",
        )
        self.stop()
        return False

    async def _do(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            self.crashes += 1
            log.exception("work_crashed", work=name)


def _is_waiting(error: Exception) -> bool:
    """Whether nothing is wrong but that the store does not answer."""
    if isinstance(error, ExceptionGroup):
        group = cast("ExceptionGroup[Exception]", error)
        return group.split(Unavailable)[1] is None
    return isinstance(error, Unavailable)
