"""The processes of a run: nodes that are one cluster, clients, and how they are reached.

Each node has a NEXA_HOME of its own, as on a machine of its own: maybe a file system of
its own, a network namespace of its own, a clock of its own.
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
import psutil

from nexa_tui.client.discovery import Target, local_nodes
from tests.system.chaos.clocks import Clocks
from tests.system.chaos.programs import ROOT, Program, Starting, unproxied
from tests.system.chaos.proxy import Proxies
from tests.system.chaos.wire import HOST, Wire
from tests.system.conftest import environment, servers_under, until

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta")
PORT = 6392
START_S = 60.0
GONE_S = 15.0
SETTLED_S = 60.0
FLAGS = {
    "leases.lease_ms": "5000",  # instead of half a minute for an agent that is gone
    "sessions.messages_per_s": "100000",
    "sessions.messages_burst": "100000",
    "sessions.connections_per_identity": "5000",
    "sessions.connections_per_address": "5000",
}


@dataclass(frozen=True)
class Shape:
    """What is built."""

    nodes: int = 3
    wired: bool = False
    """A network namespace for each node."""
    disk_bytes: int = 0
    """A file system in memory for each node, of so many bytes; 0: none."""
    clocks: bool = False
    """Clocks that can be set for each node."""
    proxied: bool = False
    """A TCP proxy between clients and each node."""
    seed: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)


class Town:
    """Everything lies in one folder, and is gone when this is left."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self.folder = folder
        self.shape = shape
        self.names = NAMES[: shape.nodes]
        self.surprises: list[str] = []
        """What ended although nobody ended it."""
        self.clients: dict[str, Program] = {}
        self.wire: Wire | None = None
        self.proxies = Proxies() if shape.proxied else None
        self._urls: list[str] = []
        self._ports: dict[int, str] = {}
        self._mounts: list[Path] = []
        self._clocks = Clocks(folder) if shape.clocks else None
        self.token = self.admin = ""

    # -- life ------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self._build()
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

    def _build(self) -> None:
        if self.shape.wired:
            self.wire = Wire(self.shape.nodes, self.shape.seed)
        for number in range(self.shape.nodes):
            self.home(number).mkdir(parents=True)
            if self.shape.disk_bytes:
                self._mount(self.home(number))
            token = b"" if number == 0 else self._join_token()
            said = self.begin(number, token=token).wait(START_S)
            if said:
                raise AssertionError(f"{self.names[number]} does not start: {said}")
            self._urls.append(self._client_url(number))
        self.admin = self.target(0).token or ""
        made = self.command(0, "token", "create", "--role", "agent", "--json")
        self.token = msgspec.json.decode(made)["token"]
        self.wait_healthy(SETTLED_S)

    def end(self) -> None:
        """Leave no process and no mount, whatever happened."""
        for client in self.clients.values():
            client.process.kill()
            client.process.wait()
        end = time.monotonic() + GONE_S
        while (left := self._processes()) and time.monotonic() < end:
            # Nodes first: they start their stores again.
            for process in sorted(left, key=lambda one: "nats" in one.name()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, GONE_S)
        if self.proxies is not None:
            self.proxies.close()
        for place in self._mounts:
            subprocess.run(["umount", "-l", place], check=False)
        if self.wire is not None:
            self.wire.close()

    def _processes(self) -> list[psutil.Process]:
        found = {
            process.pid: process
            for number in range(self.shape.nodes)
            for process in servers_under(self.home(number))
        }
        return list(found.values())

    def _mount(self, place: Path) -> None:
        size = f"size={self.shape.disk_bytes},mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", place], check=True)
        self._mounts.append(place)

    # -- nodes -----------------------------------------------------------------

    def home(self, number: int) -> Path:
        return self.folder / self.names[number]

    def node_folder(self, number: int) -> Path:
        return self.home(number) / "state" / "node" / self.names[number]

    def log(self, number: int) -> Path:
        return self.home(number) / "state" / "logs" / "node.jsonl"

    def environ(self, number: int) -> dict[str, str]:
        """A node's environment, and that of commands on its machine."""
        environ = unproxied(environment(self.home(number)))
        if self._clocks is not None:
            environ |= self._clocks.environ(self.names[number])
        return environ

    def prefix(self, number: int) -> list[str]:
        return [] if self.wire is None else self.wire.prefix(number)

    def begin(self, number: int, token: bytes = b"") -> Starting:
        """Have a node start; does not wait."""
        words = ["node", "start", "--name", self.names[number]]
        words += ["--port", self._ports.get(number, str(PORT if self.wire else 0))]
        settings = {**FLAGS, **self.shape.settings}
        if self.wire is not None:
            address = self.wire.names.address(number)
            settings |= {"node.host": address, "cluster.host": address}
            # What is on the wire is looked at, so it must be readable.
            settings |= {"tls.mode": "off", "tls.allow_plaintext": "true"}
        for key, value in settings.items():
            words += ["--set", f"{key}={value}"]
        if token:
            words += ["--join-file", "-"]
        process = subprocess.Popen(
            [*self.prefix(number), sys.executable, "-m", "nexa_tui", *words],
            env=self.environ(number),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(token.decode() + "\n")
        process.stdin.close()
        process.stdin = None
        return Starting(process)

    def start(self, number: int) -> None:
        """Start a node that is down, and wait until it is there."""
        end = time.monotonic() + START_S
        while said := self.begin(number).wait(START_S):
            if self.is_up(number):
                return
            if time.monotonic() > end:
                words = f"{self.names[number]} does not start again: {said}"
                self.surprises.append(words)
                return

    def command(self, number: int, *words: str) -> str:
        """An operator's command on a node's machine."""
        return subprocess.run(
            [*self.prefix(number), sys.executable, "-m", "nexa_tui", *words],
            env=self.environ(number),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_S,
            check=True,
        ).stdout

    def _join_token(self) -> bytes:
        told = self.command(0, "cluster", "join-token", "--json")
        return str(msgspec.json.decode(told)["token"]).encode()

    def target(self, number: int) -> Target:
        found = local_nodes(self.environ(number))
        if not found:
            raise AssertionError(f"{self.names[number]} does not run")
        return found[0]

    def is_up(self, number: int) -> bool:
        return bool(local_nodes(self.environ(number)))

    def node(self, number: int) -> psutil.Process | None:
        """A node's process, if it runs."""
        for target in local_nodes(self.environ(number)):
            with contextlib.suppress(psutil.NoSuchProcess):
                return psutil.Process(target.pid)
        return None

    def store(self, number: int) -> psutil.Process | None:
        """Its nats-server, if it runs."""
        node = self.node(number)
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in node.children() if node else ():
                if "nats-server" in child.name():
                    return child
        return None

    def family(self, number: int) -> list[psutil.Process]:
        return [one for one in (self.node(number), self.store(number)) if one]

    def _client_url(self, number: int) -> str:
        url = self.target(number).url
        host, _, port = url.removeprefix("http://").rpartition(":")
        self._ports[number] = port
        if self.proxies is not None:
            return self.proxies.add(self.names[number], host, int(port))
        return url

    def urls(self, begin: int = 0) -> list[str]:
        """Where clients reach the nodes, each client another one first."""
        at = begin % len(self._urls)
        return [*self._urls[at:], *self._urls[:at]]

    # -- what nodes say ----------------------------------------------------------

    def ask(self, number: int, path: str) -> Any:
        """GET something of one node; None if it does not answer well."""
        try:
            answer = httpx.get(
                f"{self.target(number).url}{path}",
                headers={
                    "Authorization": f"Bearer {self.admin or self.target(0).token}"
                },
                timeout=5.0,
                trust_env=False,
            )
        except (httpx.TransportError, AssertionError):
            return None
        return answer.json() if answer.status_code == 200 else None

    def health(self) -> list[str]:
        """What is not as it will be when all is well; by each node's own account."""
        wrong: list[str] = []
        copies = 1 if self.shape.nodes < 3 else 3
        for number, name in enumerate(self.names):
            told = self.ask(number, "/v1/cluster")
            if told is None:
                wrong.append(f"{name} does not answer")
            elif self.shape.nodes > 1 and told["quorum"]["have"] != self.shape.nodes:
                wrong.append(f"{name}: {told['quorum']['have']} vote")
            elif copies > 1 and any(
                sum(copy["current"] for copy in stream["replicas"]) < copies
                for stream in told["streams"]
                if stream["name"] != "KV_chaos"
            ):
                wrong.append(f"{name}: not every copy is in step")
            elif copies > 1:
                # How busy the machine is that all of them share is no news.
                why = [one for one in told["reasons"] if ": machine." not in one]
                wrong += [f"{name}: {one}" for one in why]
        return wrong

    def wait_healthy(self, seconds: float) -> list[str]:
        """Wait until all is well; what is not, then."""
        end = time.monotonic() + seconds
        while (wrong := self.health()) and time.monotonic() < end:
            time.sleep(0.2)  # until it is asked again
        return wrong

    # -- clocks ------------------------------------------------------------------

    def set_clock(self, number: int, ahead_s: float) -> None:
        """Set a node's wall clock; its monotonic one stays."""
        if self._clocks is not None:
            self._clocks.set(self.names[number], ahead_s)

    # -- clients -----------------------------------------------------------------

    def client(
        self,
        role: str,
        name: str,
        *words: str,
        beside: int = HOST,
        first: int | None = None,
    ) -> None:
        """Start a client; `beside` has it on a node's machine, `first` begin at a node."""
        begin = sum(map(ord, name)) if first is None else first
        environ = {
            **unproxied(environment(self.folder)),
            "NEXA_URL": " ".join(self.urls(begin)),
            "NEXA_TOKEN": self.token,
            "NEXA_CHAOS_ADMIN": self.admin,
        }
        prefix = [] if beside == HOST else self.prefix(beside)
        module = [sys.executable, "-m", "tests.system.chaos.clients", role, name]
        log = str(self.folder / f"{name}.jsonl")
        command = [*prefix, *module, log, str(self.shape.seed), *words]
        self.clients[name] = Program((command, environ), role, name, self.folder)
        self.clients[name].start()

    def logs(self) -> list[Path]:
        return sorted(self.folder.glob("*.jsonl"))

    def look(self) -> None:
        """Note clients that ended by themselves, and start them again."""
        for name, client in self.clients.items():
            code = client.process.poll()
            if code is not None and not client.is_down:
                self.surprises.append(
                    f"client {name} ended with {code}: {client.why()}"
                )
                client.start()

    def stop_clients(self, *roles: str, seconds: float = 120.0) -> None:
        """Have them finish what they have begun, and end."""
        chosen = [one for one in self.clients.values() if one.role in roles]
        for client in chosen:
            client.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + seconds
        for client in chosen:
            try:
                client.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.surprises.append(f"client {client.name} does not end")
                client.process.kill()
                client.process.wait()
            del self.clients[client.name]


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_gone(processes: list[psutil.Process]) -> None:
    until(lambda: not any(map(lives, processes)), f"{processes} are gone", GONE_S)
