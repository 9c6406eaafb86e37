"""Real servers for the probes to look at, and small ones that misbehave on purpose."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nexa_node.adapters.probes.connectivity import probe
from nexa_node.core.policies import CheckSpec
from nexa_node.services.health.self_test import Outcome
from tests import debian

PLACE = "/etc/nexa.toml"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def look(kind: str, target: str = "", **settings: Any) -> Outcome:
    """Look at `target` as a `[[check]]` named `it` would."""
    spec = CheckSpec(name="it", kind=kind, target=target, **settings)
    async with asyncio.timeout(20):
        return await probe(spec, environ=dict(os.environ), place=PLACE)


def secret(folder: Path, text: str, *, mode: int = 0o600) -> str:
    """Write a password file."""
    path = folder / "secret"
    path.write_text(text + "\n")
    path.chmod(mode)
    return str(path)


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that is bound, so nobody else takes it, and refuses all connections."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@asynccontextmanager
async def serving(
    talk: Talk, *, context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve on a port of loopback; on leaving, every connection must be over."""
    open_now = 0

    async def connected(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal open_now
        open_now += 1
        try:
            with contextlib.suppress(OSError, EOFError):
                await talk(reader, writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            open_now -= 1

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        async with asyncio.timeout(10):
            while open_now:
                await asyncio.sleep(0.005)


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Say nothing, until the other side hangs up."""
    await reader.read()


def saying(*answers: bytes) -> Talk:
    """Say one thing at once and one after each line that comes, then be silent."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answers[0])
        for answer in answers[1:]:
            if not await reader.readline():
                return
            writer.write(answer)
        await reader.read()

    return talk


async def hanging_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection at once."""
    writer.close()


def program(name: str, *, package: str) -> str:
    """Find a server of this machine; CI must have it."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    if found is None and debian.install(package):
        return program(name, package=package)
    if found is None:
        why = f"{name} is not installed; apt-get install -y {package}"
        if os.environ.get("NEXA_TEST_SKIP_SERVERS") == "1":
            pytest.skip(why)
        pytest.fail(f"{why}, or set NEXA_TEST_SKIP_SERVERS=1 to leave these tests out")
    return found


@dataclass(frozen=True)
class Running:
    """A server that takes connections."""

    port: int
    folder: Path
    password: str

    @property
    def at(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def folder_of(user: str | None) -> Iterator[Path]:
    """A folder that `user` may use, too."""
    folder = Path(tempfile.mkdtemp(prefix="nexa-server-", dir="/tmp"))
    try:
        if user is not None:
            owner = pwd.getpwnam(user)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lesser_user() -> str | None:
    """Somebody else than root, for servers that refuse to be root."""
    if os.getuid() != 0:
        return None
    known = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@contextmanager
def started(
    command: Callable[[int], Sequence[str]],
    *,
    folder: Path,
    ready: str,
    user: str | None = None,
) -> Iterator[int]:
    """Start a server on a free port, wait for `ready` in what it says; end it after."""
    for _ in range(5):  # somebody may take the port in between
        with closed_port() as port:
            pass
        log = folder / f"server-{port}.log"
        with log.open("wb") as out:
            child = subprocess.Popen(
                command(port),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
            )
        try:
            if _came_up(child, log, ready):
                yield port
                return
        finally:
            _end(child)
    pytest.fail(f"{command(0)[0]} does not start: {log.read_text()[-2000:]}")


def _came_up(child: "subprocess.Popen[bytes]", log: Path, ready: str) -> bool:
    until = time.monotonic() + 30
    while time.monotonic() < until and child.poll() is None:
        if ready in log.read_text(errors="replace"):
            return True
        time.sleep(0.01)
    return False


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)


@contextmanager
def postgres(certificate: bytes, key: bytes) -> Iterator[Running]:
    """A PostgreSQL with the user `app`, who has a password and a database."""
    user, password = lesser_user(), "right-1"
    initdb = program("initdb", package="postgresql")
    with folder_of(user) as folder:
        owner = pwd.getpwnam(user) if user else None
        for name, data in (
            ("pw", password.encode()),
            ("crt", certificate),
            ("key", key),
        ):
            path = folder / name
            path.write_bytes(data)
            path.chmod(0o600)
            if owner is not None:
                os.chown(path, owner.pw_uid, owner.pw_gid)
        subprocess.run(
            [initdb, "-D", str(folder / "data"), "-U", "app", "-A", "scram-sha-256",
             f"--pwfile={folder / 'pw'}", "--no-sync", "--no-instructions", "-E", "UTF8",
             "--locale=C"],
            cwd=folder, user=user, group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None, check=True, capture_output=True,
        )  # fmt: skip
        settings = {
            "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
            "fsync": "off", "shared_buffers": "16MB", "max_connections": "20",
            "ssl": "on", "ssl_cert_file": folder / "crt", "ssl_key_file": folder / "key",
        }  # fmt: skip
        options = [f"--{name}={value}" for name, value in settings.items()]
        binary = program("postgres", package="postgresql")
        with started(
            lambda port: [
                binary,
                "-D",
                str(folder / "data"),
                "-p",
                str(port),
                *options,
            ],
            folder=folder,
            ready="ready to accept connections",
            user=user,
        ) as port:
            yield Running(port, folder, password)


@contextmanager
def redis(certificate: bytes = b"", key: bytes = b"") -> Iterator[Running]:
    """A Redis with a password; under TLS if there is a certificate."""
    binary = program("redis-server", package="redis-server")
    with folder_of(None) as folder:
        (folder / "crt").write_bytes(certificate)
        (folder / "key").write_bytes(key)

        def command(port: int) -> list[str]:
            tls = [
                "--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no",
                "--tls-cert-file", str(folder / "crt"),
                "--tls-key-file", str(folder / "key"),
                "--tls-ca-cert-file", str(folder / "crt"),
            ]  # fmt: skip
            return [
                binary, *(tls if certificate else ["--port", str(port)]),
                "--bind", "127.0.0.1", "--save", "", "--requirepass", "right-1",
                "--databases", "4",
            ]  # fmt: skip

        with started(command, folder=folder, ready="Ready to accept") as port:
            yield Running(port, folder, "right-1")


@contextmanager
def nats(binary: str, *options: str) -> Iterator[Running]:
    """A nats-server."""
    with (
        folder_of(None) as folder,
        started(
            lambda port: [binary, "-a", "127.0.0.1", "-p", str(port), *options],
            folder=folder,
            ready="Server is ready",
        ) as port,
    ):
        yield Running(port, folder, "right-1")
