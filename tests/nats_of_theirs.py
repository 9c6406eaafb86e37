"""A NATS as a user runs it: nats-server with a configuration, accounts, TLS, keys."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nkeys

from nexa_node.adapters.nats.binary import trusted_binary
from nexa_node.core.policies import StorePolicy

BODY = """
jetstream {{ store_dir: "{store}", sync_interval: always }}
max_payload: 4MB
"""
"""What a server needs for nexa, with nobody to prove who they are."""
WAIT_S = 15.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def bundled() -> str:
    return str((await trusted_binary(StorePolicy())).path)


@dataclass
class Theirs:
    """One server; started and ended by the test."""

    folder: Path
    binary: str
    body: str = BODY
    port: int = field(default_factory=free_port)
    name: str = "theirs"
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def conf(self) -> Path:
        return self.folder / f"{self.name}.conf"

    def configure(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        store = self.folder / f"{self.name}-data"
        text = f'server_name: {self.name}\nlisten: "127.0.0.1:{self.port}"\n'
        self.conf.write_text(text + self.body.format(store=store))
        return self.conf

    def start(self) -> "Theirs":
        self.configure()
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "-c", str(self.conf)], stdout=log, stderr=log
            )
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(self.said())
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return self
            time.sleep(0.01)
        raise AssertionError(f"no server: {self.said()}")

    def said(self) -> str:
        return (self.folder / f"{self.name}.log").read_text()

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)
            self.process.wait(WAIT_S)


@contextlib.contextmanager
def running(folder: Path, binary: str, body: str = BODY) -> Iterator[Theirs]:
    server = Theirs(folder, binary, body)
    try:
        yield server.start()
    finally:
        server.stop()


@contextlib.contextmanager
def three(folder: Path, binary: str) -> Iterator[list[Theirs]]:
    """A cluster of three, as a user makes one."""
    ports = [free_port() for _ in range(3)]
    routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports)
    servers = [
        Theirs(
            folder,
            binary,
            BODY + f'cluster {{{{ name: theirs, listen: "127.0.0.1:{port}",'
            f" routes: [{routes}] }}}}\n",
            name=f"s{number}",
        )
        for number, port in enumerate(ports)
    ]
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.kill()


def new_user() -> tuple[str, str]:
    """A user's nkey: seed and public half."""
    made: Any = nkeys
    seed = bytes(made.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    public = bytes(made.from_seed(bytearray(seed)).public_key)
    return seed.decode(), public.decode()


def secret(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def version_of(binary: str) -> tuple[int, ...]:
    told = subprocess.run(
        [binary, "--version"], capture_output=True, text=True, check=True
    )
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", told.stdout)
    assert found is not None
    return tuple(int(part) for part in found.groups())
