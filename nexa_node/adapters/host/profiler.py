"""Where this process' main thread spends its CPU time, by the kernel's profiling timer."""

import asyncio
import signal
import threading
import time
from collections import Counter
from types import CodeType, FrameType

from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.ports import CpuProfile

INTERVAL_S = 0.004
"""CPU time between two samples: finer than the kernel's tick says no more."""
DEPTH_MAX = 100
STACKS_MAX = 1000

_Place = tuple[str, CodeType]


class TimerProfiler:
    """`ports.Profiler`. Samples only while the process uses a processor.

    A sample is taken at the next byte code after the timer's signal, so time in a long
    call of C stands at the line that made it. It costs well under 1 % of a core.
    """

    def __init__(self) -> None:
        """Nothing is sampled yet."""
        self._runs = False

    async def cpu(self, seconds: float) -> CpuProfile:
        """Sample for so long, and go on working meanwhile.

        Raises:
            Conflict: Somebody else samples now.
            Unavailable: The node does not run in its process' main thread.
        """
        if threading.current_thread() is not threading.main_thread():
            raise Unavailable("only a node that has its process for itself is profiled")
        if self._runs:
            raise Conflict(
                "this node is being profiled", remedy="wait until that has ended"
            )
        self._runs = True
        counts: Counter[tuple[_Place, ...]] = Counter()
        before = signal.signal(signal.SIGPROF, lambda _, frame: _count(counts, frame))
        used, began = time.process_time(), time.monotonic()
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
        try:
            await asyncio.sleep(seconds)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)
            self._runs = False
        return CpuProfile(
            seconds=time.monotonic() - began,
            cpu_s=time.process_time() - used,
            samples=counts.total(),
            stacks=tuple(
                (tuple(f"{module}:{code.co_qualname}" for module, code in stack), many)
                for stack, many in counts.most_common(STACKS_MAX)
            ),
        )


def _count(counts: Counter[tuple[_Place, ...]], frame: FrameType | None) -> None:
    stack: list[_Place] = []
    while frame is not None and len(stack) < DEPTH_MAX:
        stack.append((frame.f_globals.get("__name__", "?"), frame.f_code))
        frame = frame.f_back
    counts[tuple(reversed(stack))] += 1
