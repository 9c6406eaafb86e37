"""`python -m nexa_node check` over `[[check]]`s: the process that the splash starts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nexa_node.contract.checks import CheckResult
from tests.node.adapters.probes.servers import closed_port

pytestmark = pytest.mark.system

CHECKS = """
[[check]]
name = "orders"
kind = "postgres"
target = "127.0.0.1:{port}"
required = true

[[check]]
name = "names"
kind = "dns"
target = "localhost"

[[check]]
name = "late"
kind = "exec"
command = ["sh", "-c", "sleep 300"]
timeout_ms = 200
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir(mode=0o700)
    return tmp_path


def settings(home: Path, text: str) -> Path:
    path = home / "config" / "nexa.toml"
    path.write_text(text)
    return path


def begun(home: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "nexa_node", "check", *arguments],
        env={**os.environ, "NEXA_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def results(child: "subprocess.Popen[bytes]") -> Iterator[CheckResult]:
    assert child.stdout is not None
    for line in child.stdout:
        yield msgspec.json.decode(line, type=CheckResult)


def test_each_configured_check_is_streamed_with_cause_and_remedy(home: Path) -> None:
    with closed_port() as port:
        path = settings(home, CHECKS.format(port=port))
        with begun(home) as child:
            told = list(results(child))

    last = {result.id: result for result in told}
    orders = last["connectivity.orders"]
    assert [one.status for one in told if one.id == orders.id] == [
        "pending",
        "running",
        "fail",
    ]
    assert orders.cause == f"connection refused: nothing listens on 127.0.0.1:{port}"
    assert f'correct target in [[check]] name = "orders" of {path}' in str(
        orders.remedy
    )
    assert last["connectivity.names"].status == "pass"
    assert last["connectivity.late"].cause == "no answer within 0.2 s"
    assert child.returncode == 1


def test_one_check_runs_alone(home: Path) -> None:
    settings(home, CHECKS.format(port=1))
    with begun(home, "--only", "connectivity.names") as child:
        told = list(results(child))

    assert {result.id for result in told} == {"connectivity.names"}
    assert child.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_ends_the_programs_it_started(home: Path, number: int) -> None:
    noted = home / "pid"
    script = f"echo $$ > {noted}.new; mv {noted}.new {noted}; exec sleep 300"
    settings(
        home,
        f'[[check]]\nname = "it"\nkind = "exec"\ntimeout_ms = 60000\n'
        f'command = ["sh", "-c", "{script}"]\n',
    )
    with begun(home, "--only", "connectivity.it") as child:
        assert [next(results(child)).status for _ in range(2)] == ["pending", "running"]
        until = time.monotonic() + 20
        while not noted.exists() and time.monotonic() < until:
            time.sleep(0.005)
        child.send_signal(number)
        code = child.wait(20)

    assert code == 130
    assert not running(int(noted.read_text()))


def running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
