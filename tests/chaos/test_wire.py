"""The network whose packets a process carries: namespaces, cuts of one direction, delay."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.system.chaos.wire import HOST, Rule, Wire, why_not

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]
SEND = """
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.sendto(b"hello", (sys.argv[1], int(sys.argv[2])))
"""
LISTEN = """
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(("", 7000)); one.settimeout(float(sys.argv[1]))
print("ready", flush=True)
try:
    one.recv(10); print("got", flush=True)
except TimeoutError:
    print("nothing", flush=True)
"""


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire(2, seed=1)
    yield made
    made.close()


def carried(wire: Wire, source: int, target: int, wait_s: float = 0.5) -> float | None:
    """Send one packet; how long it took, or None."""

    def run(node: int, code: str, *words: str) -> "subprocess.Popen[str]":
        prefix = [] if node == HOST else wire.prefix(node)
        return subprocess.Popen(
            [*prefix, sys.executable, "-c", code, *words],
            stdout=subprocess.PIPE,
            text=True,
        )

    with run(target, LISTEN, str(wait_s)) as hearer:
        assert hearer.stdout is not None
        assert hearer.stdout.readline() == "ready\n"
        with run(source, SEND, wire.names.address(target), "7000") as sender:
            sender.wait()
        began = time.monotonic()
        told = hearer.stdout.readline()
        return time.monotonic() - began if told == "got\n" else None


def test_nodes_and_clients_reach_each_other(wire: Wire) -> None:
    assert carried(wire, 0, 1) is not None
    assert carried(wire, HOST, 1) is not None
    assert carried(wire, 1, HOST) is not None


def test_a_cut_of_one_direction_leaves_the_other(wire: Wire) -> None:
    wire.rule([Rule(0, 1, loss=1.0)])
    assert carried(wire, 0, 1) is None
    assert carried(wire, 1, 0) is not None

    wire.rule([])
    assert carried(wire, 0, 1) is not None


def test_what_is_delayed_comes_late(wire: Wire) -> None:
    wire.rule([Rule(0, 1, delay_ms=400)])
    took = carried(wire, 0, 1, wait_s=3)
    assert took is not None
    assert took > 0.3


def test_nothing_is_left(wire: Wire) -> None:
    spaces = subprocess.check_output(["ip", "netns"], text=True)
    assert wire.names.space(0) in spaces

    wire.close()

    assert wire.names.space(0) not in subprocess.check_output(
        ["ip", "netns"], text=True
    )
