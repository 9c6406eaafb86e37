"""Real processes: a node in a folder of its own, and the commands an operator types."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from nexa_tui.client.discovery import Target, local_nodes
from nexa_tui.client.launch import start_node, stop_node
from nexa_tui.commands.dispatch import dispatch
from nexa_tui.commands.output import Call

WAIT_S = 20.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/system" in str(item.path):
            item.add_marker("system")


def until(condition: Callable[[], Any], what: str, seconds: float = WAIT_S) -> Any:
    """Wait for a condition, not for a time; what it answered."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def environment(home: Path, **more: str) -> dict[str, str]:
    """A clean environment on `home`: nothing of the machine's own nexa."""
    kept = {
        key: text for key, text in os.environ.items() if not key.startswith("NEXA_")
    }
    return {**kept, "NEXA_HOME": str(home), "TERM": "dumb", **more}


@dataclass
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.out, f"exit {self.code}, nothing on stdout: {self.err}"
        return msgspec.json.decode(self.out)


@dataclass
class Shell:
    """An operator's shell on one NEXA_HOME."""

    environ: dict[str, str]

    @property
    def home(self) -> Path:
        return Path(self.environ["NEXA_HOME"])

    def __call__(self, *words: str) -> Said:
        """Run a command in this process: fast, and counted by coverage."""
        out, err = io.StringIO(), io.StringIO()
        code = dispatch(list(words), Call(environ=self.environ, out=out, err=err))
        return Said(code, out.getvalue(), err.getvalue())

    def program(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command as a program of its own."""
        return subprocess.run(
            [sys.executable, "-m", "nexa_tui", *words],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )

    def spawn(self, *words: str) -> "subprocess.Popen[str]":
        """Start a program and leave it running; end it with `end`."""
        return subprocess.Popen(
            [sys.executable, "-m", "nexa_tui", *words],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def agent(
        self, name: str, capability: str, *command: str, options: tuple[str, ...] = ()
    ):
        return self.spawn(
            "agent",
            "run",
            "--id",
            name,
            "--capability",
            capability,
            *options,
            "--",
            *command,
        )

    def agents(self) -> dict[str, dict[str, Any]]:
        return {
            one["id"]: one for one in self("agents", "list", "--json").json()["items"]
        }

    def connected(self, name: str) -> bool:
        return self.agents().get(name, {}).get("connected", False)


def end(process: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> str:
    """End a spawned program and read what it said."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        said, _ = process.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    return said


def servers_under(home: Path) -> list[psutil.Process]:
    """Every process that was started for this folder and still runs."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["cmdline", "environ", "status"]):
        info = process.info
        words = " ".join(info["cmdline"] or [])
        environ = info["environ"] or {}
        if info["status"] == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
            continue
        if str(home) in words or environ.get("NEXA_HOME") == str(home):
            found.append(process)
    return found


def stop_all(environ: dict[str, str]) -> None:
    for target in local_nodes(environ):
        stop_node(target, environ=environ)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell on an empty folder; whatever was started in it is ended."""
    made = Shell(environment(tmp_path / "home"))
    yield made
    stop_all(made.environ)
    # A store whose node was killed ends by itself, a moment later.
    until(lambda: not servers_under(made.home), "nothing is left running", 5)


@pytest.fixture
def node(shell: Shell) -> Target:
    """A node of this test's own."""
    return start_node(shell.environ, flags=("--name", "alpha", "--port", "0"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell with a running node, for the tests of one module that don't hurt it."""
    made = Shell(environment(tmp_path_factory.mktemp("shared") / "home"))
    start_node(made.environ, flags=("--name", "shared", "--port", "0"))
    yield made
    stop_all(made.environ)
