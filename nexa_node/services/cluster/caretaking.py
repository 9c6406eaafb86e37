"""Caretaking: the duties that one node does for all, while it is the controller.

A duty is a coroutine that does what is due now and may be stopped anywhere: it is begun
when control is gained, repeated at its own beat, and cancelled when control is lost. Two
nodes that do the same for a moment must do no harm; the duties see to that by
compare-and-set.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nexa_node.contract.errors import NexaError
from nexa_node.ports import Clock
from nexa_node.services.api import Journal

LOOK_S = 0.25
"""How long it is not noticed, at most, that control was gained or lost."""


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to be done by one node, again and again."""

    name: str
    every_s: float
    do: Callable[[], Awaitable[object]]
    at_once: bool = True
    """When control is gained, not one beat later."""


class Caretaker:
    """Does the duties while this node is the controller."""

    def __init__(
        self,
        *duties: Duty,
        is_controller: Callable[[], bool],
        clock: Clock,
        journal: Journal,
    ) -> None:
        """Do nothing before `run`.

        Args:
            duties: What is to be done.
            is_controller: Whether this node has the lease, asked often.
            clock: The beats.
            journal: Told of duties that fail by a fault of ours.
        """
        self._duties = duties
        self._is_controller = is_controller
        self._clock = clock
        self._journal = journal

    def add(self, *duties: Duty) -> None:
        """Have more to do; before `run`."""
        self._duties = (*self._duties, *duties)

    async def run(self) -> None:
        """Do the duties whenever they are this node's, for ever. A service's loop."""
        while True:
            if self._is_controller():
                await self._be_controller()
            await self._clock.sleep(LOOK_S)

    async def _be_controller(self) -> None:
        async with asyncio.TaskGroup() as group:
            works = [group.create_task(self._keep(each)) for each in self._duties]
            while self._is_controller():
                await self._clock.sleep(LOOK_S)
            for work in works:
                work.cancel()

    async def _keep(self, duty: Duty) -> None:
        if not duty.at_once:
            await self._clock.sleep(duty.every_s)
        while True:
            try:
                await duty.do()
            except NexaError:
                pass  # the store does not answer: the next beat tries again
            except Exception as error:  # noqa: BLE001 - noted; the other duties go on
                self._note_fault(duty, error)
            await self._clock.sleep(duty.every_s)

    def _note_fault(self, duty: Duty, error: Exception) -> None:
        self._journal.record(
            "node.fault",
            subject=f"service/{duty.name}",
            message=f"{duty.name} failed: {type(error).__name__}: {error}",
            severity="critical",
        )
