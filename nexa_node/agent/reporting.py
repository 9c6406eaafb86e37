"""Telemetry: `agent.report`, every ten seconds and soon after a change."""

import asyncio
import logging
import os
import resource
import sys
import time

from nexa_node.agent.line import Line
from nexa_node.agent.peer import Lost
from nexa_node.agent.timing import Timing
from nexa_node.agent.work import Work
from nexa_node.contract.agents import AgentMetrics, AgentState
from nexa_node.contract.errors import NexaError
from nexa_node.contract.frames import Empty, Report

_log = logging.getLogger("nexa.agent")


class Reporter:
    """Says how the agent is. Liveness does not depend on it: a lost report is lost."""

    def __init__(self, work: Work, line: Line, timing: Timing) -> None:
        """Report on `work`, over `line`."""
        self._work = work
        self._line = line
        self._timing = timing
        self._now = asyncio.Event()
        self._vitals = Vitals()

    def now(self) -> None:
        """Report at the next opportunity, whatever was told before."""
        self._now.set()

    async def run(self) -> None:
        """Report for ever, at most once in `report_soon` seconds."""
        told: Report | None = None
        told_at = float("-inf")
        while True:
            forced = await self._pause()
            report = self.report()
            now = time.monotonic()
            late = now - told_at >= self._timing.report_every
            if (forced or late or report != told) and await self._tell(report):
                told, told_at = report, now

    async def _pause(self) -> bool:
        """Wait a little; True when `now` ended it."""
        try:
            async with asyncio.timeout(self._timing.report_soon):
                await self._now.wait()
        except TimeoutError:
            return False
        self._now.clear()
        return True

    def report(self) -> Report:
        """State and load, as the tasks in hand have them."""
        claims = self._work.claims
        state: AgentState = "idle"
        if claims.draining:
            state = "draining"
        elif claims.working >= claims.slots:
            state = "busy"
        elif len(claims):
            state = "active"
        load = round(claims.working / claims.slots, 3)
        return Report(state=state, load=load, slots=claims.slots)

    async def tell_now(self) -> None:
        """Report at once; best effort."""
        await self._tell(self.report())

    async def _tell(self, report: Report) -> bool:
        peer = self._line.peer
        if peer is None:
            return False
        full = Report(
            state=report.state,
            load=report.load,
            slots=report.slots,
            metrics=self._vitals.measure(),
        )
        try:
            await peer.call(
                "agent.report", full, Empty, timeout=self._timing.call_timeout
            )
        except (Lost, NexaError, TimeoutError) as error:
            _log.debug("a report was not accepted: %r", error)
            return False
        return True


class Vitals:
    """What this process uses."""

    def __init__(self) -> None:
        """Measure from now on."""
        self._cpu = time.process_time()
        self._at = time.monotonic()

    def measure(self) -> AgentMetrics:
        """Say how much CPU and memory.

        CPU is a fraction of one core since the last call, memory the largest so far as
        a fraction of the machine's.
        """
        cpu, at = time.process_time(), time.monotonic()
        share = (cpu - self._cpu) / max(at - self._at, 1e-3)
        self._cpu, self._at = cpu, at
        return AgentMetrics(cpu=round(share, 4), memory=_memory_share())


def _memory_share() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return round(used / total, 4)
