"""Machines of a test: each a NEXA_HOME of its own, with one node, all of one cluster."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil

from nexa_tui.client.discovery import Target, local_nodes
from tests.system.conftest import Shell, environment, servers_under, stop_all, until


class Town:
    """Machines, each with a NEXA_HOME of its own, and a node by its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.shells: dict[str, Shell] = {}

    def __getitem__(self, name: str) -> Shell:
        return self.shells[name]

    def found(self, name: str, *words: str) -> Shell:
        """Start a node that is alone; `words` are more of the command's."""
        shell = self.shells[name] = Shell(environment(self._folder / name))
        started = shell(
            "node", "start", "--name", name, "--port", "0", "--json", *words
        )
        assert started.code == 0, started.err
        return shell

    def token(self, at: str) -> str:
        return str(self[at]("cluster", "join-token", "--json").json()["token"])

    def join(
        self, name: str, at: str, token: str | None = None, words: tuple[str, ...] = ()
    ) -> Shell:
        """Start a node that joins the one at `at`; `words` are more of the command's."""
        shell = self.shells[name] = Shell(environment(self._folder / name))
        given = token or self.token(at)
        started = shell.program(
            "node", "start", "--name", name, "--port", "0", "--join-file", "-", *words,
            input=given + "\n",
        )  # fmt: skip
        assert started.returncode == 0, started.stderr
        return shell

    def target(self, name: str) -> Target:
        """Where a node of this town answers, and with which token."""
        (target,) = local_nodes(self[name].environ)
        return target

    def status(self, at: str) -> Any:
        return self[at]("cluster", "status", "--json").json()

    def nodes(self, at: str) -> dict[str, Any]:
        return {one["name"]: one for one in self.status(at)["nodes"]}

    def copies(self, at: str) -> set[int]:
        """How many copies in step the streams have."""
        return {
            sum(copy["current"] for copy in stream["replicas"])
            for stream in self.status(at)["streams"]
        }

    def kill(self, name: str) -> None:
        """The node and its store at once, as a machine that loses its power."""
        target = self.target(name)
        assert target.pid is not None
        node = psutil.Process(target.pid)
        family = [node, *node.children(recursive=True)]
        for process in family:
            process.kill()
        _, alive = psutil.wait_procs(family, 10)
        assert not alive

    def upgrade(self, name: str, folder: Path) -> None:
        """Have a node's machine run the nexa in `folder` from its next start on."""
        old = self[name]
        self.shells[name] = Shell({**old.environ, "PYTHONPATH": str(folder)})

    def again(self, name: str) -> None:
        started = self[name]("node", "start", "--name", name, "--port", "0")
        assert started.code == 0, started.err

    def end(self) -> None:
        for shell in self.shells.values():
            for target in local_nodes(shell.environ):
                if target.pid is not None:
                    os.kill(target.pid, signal.SIGTERM)
        for shell in self.shells.values():
            stop_all(shell.environ)
            until(lambda home=shell.home: not servers_under(home), "all is gone", 10)
