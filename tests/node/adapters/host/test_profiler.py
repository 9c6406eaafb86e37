"""The profiler: what works is found, what waits is not."""

import asyncio
import signal
import threading
import time

import pytest

from nexa_node.adapters.host.profiler import TimerProfiler
from nexa_node.contract.errors import Conflict, Unavailable


def spin(until: float) -> None:
    while time.process_time() < until:
        pass


async def test_a_function_at_work_is_found_and_its_callers_with_it() -> None:
    before = signal.getsignal(signal.SIGPROF)
    profiler = TimerProfiler()
    looking = asyncio.create_task(profiler.cpu(0.5))
    await asyncio.sleep(0)
    spin(time.process_time() + 0.2)
    with pytest.raises(Conflict):
        await profiler.cpu(0.1)
    found = await looking

    here = [
        stack for stack, _ in found.stacks if stack[-1].endswith("test_profiler:spin")
    ]
    assert here
    assert any("test_a_function_at_work" in frame for frame in here[0])
    assert found.samples >= 5
    assert found.cpu_s >= 0.2
    assert signal.getsignal(signal.SIGPROF) == before
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)


async def test_outside_of_the_main_thread_it_says_so() -> None:
    told: list[Exception] = []

    def elsewhere() -> None:
        try:
            asyncio.run(TimerProfiler().cpu(0.1))
        except Unavailable as error:
            told.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert told
