"""The processes of a trial: a node with its store, agents, clients; and how they are killed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from nexa_tui.client.discovery import Target, local_nodes
from tests.system.conftest import Shell, environment, servers_under, stop_all, until
from tests.system.crashes.facts import Killed
from tests.system.crashes.plan import Kill

ROOT = Path(__file__).parents[3]
SLOTS = 8
BACK_WITHIN_S = 40.0
GONE_WITHIN_S = 10.0
COUNTED_WITHIN_S = 10.0


class Fleet:
    """Everything runs in one folder, and is gone when this is left."""

    def __init__(self, folder: Path, *, agents: int, flags: Iterable[str] = ()) -> None:
        self.folder = folder
        self.shell = Shell(environment(folder / "home"))
        self.surprises: list[str] = []
        """What ended although nobody killed it."""
        self._names = [f"crash-{number}" for number in range(agents)]
        self._agents: dict[str, subprocess.Popen[bytes]] = {}
        self._others: list[subprocess.Popen[bytes]] = []
        self._flags = tuple(flags)
        self._port = "0"
        self._node = 0
        self.url = self.token = ""

    def __enter__(self) -> Self:
        try:
            self._start_node()
            self._port = self.url.rpartition(":")[2]
            said = self.shell("token", "create", "--role", "agent", "--json")
            self.token = said.json()["token"]
            for name in self._names:
                self._start_agent(name)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Leave no process, whatever happened."""
        for process in [*self._agents.values(), *self._others]:
            process.kill()
            process.wait()
        try:
            stop_all(self.shell.environ)
        finally:
            # A store whose node was killed ends by itself, a moment later.
            _, stubborn = psutil.wait_procs(servers_under(self.shell.home), 5)
            for process in stubborn:
                process.kill()
            psutil.wait_procs(stubborn, GONE_WITHIN_S)

    def log_of(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    @property
    def agent_logs(self) -> list[Path]:
        return [self.log_of(name) for name in self._names]

    def program(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a module of this folder, with the address and the token of the node."""
        with (self.folder / f"{name}.err").open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", f"tests.system.crashes.{words[0]}", *words[1:]],
                cwd=ROOT,
                env={
                    **self.shell.environ,
                    "NEXA_URL": self.url,
                    "NEXA_TOKEN": self.token,
                },
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )

    def submitter(self, *words: str) -> subprocess.Popen[bytes]:
        started = self.program("submitter", "submitter", *words)
        self._others.append(started)
        return started

    def node(self) -> psutil.Process:
        """The node's process, as it is now."""
        return psutil.Process(self._node)

    def look(self) -> None:
        """Note what ended by itself, and start it again."""
        for name, process in self._agents.items():
            code = process.poll()
            if code is not None:
                self.surprises.append(f"agent {name} ended with {code}")
                self._start_agent(name)
        if not _lives(self._node):
            self.surprises.append(f"node {self._node} ended")
            self._start_node()

    def leaked(self) -> dict[str, int]:
        """How many tasks agents have, as their node counts, that nobody has to do."""
        end = time.monotonic() + COUNTED_WITHIN_S
        while left := {
            name: agent["inflight"]
            for name, agent in self.shell.agents().items()
            if agent["connected"] and agent["inflight"]
        }:
            if time.monotonic() > end:
                break
            time.sleep(0.1)  # until it is asked again
        return left

    def kill(self, kill: Kill) -> Killed:
        """Do it, and start again what was killed."""
        if kill.kind == "agent":
            who = self._names[kill.agent]
            at = time.monotonic()
            self._agents[who].kill()
            self._agents[who].wait()
            self._start_agent(who)
        elif kill.kind == "nats-server":
            store = self._store()
            who, at = str(store.pid), time.monotonic()
            store.kill()
            until(
                lambda: self._store().pid != store.pid or not _lives(self._node),
                "the node starts its store again",
                BACK_WITHIN_S,
            )
        else:
            who, at = self._kill_node(with_store=kill.kind == "node+nats-server")
        back = time.monotonic()
        return Killed(after=kill.after, kind=kill.kind, who=who, at=at, back=back)

    def _kill_node(self, *, with_store: bool) -> tuple[str, float]:
        victims = [psutil.Process(self._node)]
        if with_store:
            victims.append(self._store())
        who, at = " ".join(str(one.pid) for one in victims), time.monotonic()
        for victim in victims:
            victim.kill()
        _, left = psutil.wait_procs(victims, GONE_WITHIN_S)
        if left:
            raise AssertionError(f"killed, and still there: {left}")
        self._start_node()
        return who, at

    def _start_node(self) -> None:
        said = self.shell(
            *("node", "start", "--name", "alpha", "--port", self._port),
            *self._flags,
        )
        target = self._target()
        if said.code != 0 or target is None or target.pid is None:
            raise AssertionError(f"the node does not start: {said.err or said.out}")
        self.url, self._node = target.url, target.pid

    def _target(self) -> Target | None:
        return next(iter(local_nodes(self.shell.environ)), None)

    def _start_agent(self, name: str) -> None:
        words = ("worker", name, str(self.log_of(name)), str(SLOTS))
        self._agents[name] = self.program(name, *words)

    def _store(self) -> psutil.Process:
        """The node's nats-server, once there is one."""
        return until(self._find_store, "the node has a store", BACK_WITHIN_S)

    def _find_store(self) -> psutil.Process | None:
        try:
            for child in psutil.Process(self._node).children():
                if "nats-server" in child.name() and _lives(child.pid):
                    return child
        except psutil.NoSuchProcess:
            return None
        return None


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def tell(words: str) -> None:
    """Say how far it is, to whoever watches."""
    os.write(2, f"{words}\n".encode())
