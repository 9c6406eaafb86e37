"""Clocks of single processes: only the wall clock jumps, at once, there and back."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.chaos.clocks import Clocks, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]
TELL = """
import datetime, time
while input():
    before = time.monotonic()
    time.sleep(0.05)
    print(time.time(), datetime.datetime.now().timestamp(), before, flush=True)
"""


def test_the_wall_clock_jumps_and_nothing_else_does(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", TELL],
        env={**os.environ, **clocks.environ("alpha")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for ahead in (0.0, 3600.0, -60.0, 0.0):
            clocks.set("alpha", ahead)
            process.stdin.write("x\n")
            process.stdin.flush()
            wall, told, monotonic = map(float, process.stdout.readline().split())
            assert wall - time.time() == pytest.approx(ahead, abs=2)
            assert told == pytest.approx(wall, abs=1)
            assert monotonic == pytest.approx(time.monotonic(), abs=2)
        process.stdin.write("\n")


def test_without_a_clock_of_its_own_a_process_has_the_machines(tmp_path: Path) -> None:
    environ = {
        **os.environ,
        **Clocks(tmp_path).environ("alpha"),
        "CHAOS_CLOCK": "/none",
    }
    code = "import time; print(time.time())"

    told = float(subprocess.check_output([sys.executable, "-c", code], env=environ))

    assert told == pytest.approx(time.time(), abs=5)
