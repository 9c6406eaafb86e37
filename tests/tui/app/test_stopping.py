"""A signal to stop is taken between two turns of the loop, never inside one."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from nexa_tui.app.stopping import take_in_turn


@pytest.fixture
def taken() -> Iterator[list[bool]]:
    """What a driver's handlers were, put back afterwards."""
    before = {one: signal.getsignal(one) for one in (signal.SIGTSTP, signal.SIGCONT)}
    yield []
    for one, handler in before.items():
        signal.signal(one, handler)


async def test_it_waits_until_what_runs_has_let_go_of_its_locks(
    taken: list[bool],
) -> None:
    lock, came = threading.Lock(), asyncio.Event()

    def stop(number: int, _frame: object) -> None:
        taken.append(number == signal.SIGTSTP and lock.acquire(blocking=False))
        came.set()

    signal.signal(signal.SIGTSTP, stop)
    take_in_turn(asyncio.get_running_loop())
    with lock:
        os.kill(os.getpid(), signal.SIGTSTP)
        assert taken == []
    await came.wait()

    assert taken == [True]


async def test_where_no_driver_took_them_they_stay_as_they_are(
    taken: list[bool],
) -> None:
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)

    take_in_turn(asyncio.get_running_loop())

    assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
