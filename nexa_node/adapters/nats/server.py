"""The supervised nats-server: started, watched, started again, ended.

Holds: at most one server has the store open; clients are told of a port only once our
own child listens there; a server that dies comes back after a growing pause. Alone or a
member of a cluster: `shift` makes one of the other.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import structlog

from nexa_node.adapters.nats import child, machine, private, serverlog
from nexa_node.adapters.nats.backups import adopt
from nexa_node.adapters.nats.binary import Binary, trusted_binary
from nexa_node.adapters.nats.config import (
    ALONE,
    Key,
    Layout,
    Member,
    new_key,
    render,
)
from nexa_node.adapters.nats.failures import (
    PortRefused,
    StoreFailed,
    damaged,
)
from nexa_node.contract.errors import NexaError
from nexa_node.contract.ids import slugify
from nexa_node.core.policies import StorePolicy

START_S = 120.0
"""A big store is read through before the server listens."""
BACKOFF_LIMIT_S = 10.0
STEADY_S = 60.0
"""Alive for so long, the next death is a new story."""
RESERVE_BYTES = 8 * 1024**2
"""With less free space nothing is written: a write that hits the end of the disk stops
its stream until the server is started anew."""
LOOK_S = 1.0
PORT_TRIES = 5
LAME_DUCK_S = 8.0
"""For a member to hand over what it leads, before it is ended like any other."""

_log = structlog.get_logger("nexa.store")


@dataclass(frozen=True, slots=True)
class _Shape:
    """What is started."""

    member: Member | None
    is_synced: bool = True


class Server:
    """One nats-server and its story."""

    def __init__(
        self,
        policy: StorePolicy,
        folder: Path,
        on_change: Callable[[str], None],
        member: Member | None = None,
    ) -> None:
        """Name what will be started; nothing is touched before `start`."""
        self._shape = _Shape(member)
        self.layout = _layout(folder, member)
        self.restarts = 0
        self.detail = "not started"
        self.trouble: NexaError | None = None
        """Why nothing can be written now; reading may go on."""
        self.warnings: list[str] = []
        """What the server said while it recovered the store, at its newest start."""
        self._policy = policy
        self._on_change = on_change
        self._up = asyncio.Event()
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._keys: tuple[Key, Key] | None = None
        self._tail = serverlog.Tail(self.layout.log)
        self._since = 0.0
        self._stuck = False
        self._turn = asyncio.Lock()

    @property
    def member(self) -> Member | None:
        """Its place among others; None while it is alone."""
        return self._shape.member

    @property
    def pid(self) -> int | None:
        """Of the server that runs now."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    @property
    def url(self) -> str:
        """Where it listens, while it does."""
        return f"nats://127.0.0.1:{self._port}"

    @property
    def seed(self) -> str:
        """What a client proves itself with."""
        if self._keys is None:
            raise StoreFailed("nats-server was not started")
        return self._keys[0].seed

    @property
    def system_seed(self) -> str:
        """What the system's user proves itself with."""
        if self._keys is None:
            raise StoreFailed("nats-server was not started")
        return self._keys[1].seed

    async def up(self) -> None:
        """Wait until the server listens."""
        await self._up.wait()

    async def start(self) -> None:
        """End a survivor, then start the server and wait until it listens.

        Raises:
            StoreFailed: It can't be; a subclass says which way.
        """
        await asyncio.to_thread(self._prepare_folders)
        survivor = await asyncio.to_thread(child.end_survivor, self.layout)
        if survivor is not None:
            self._tell(f"ended nats-server (pid {survivor}) of a node that was killed")
        await self._launch()

    async def run(self) -> None:
        """Watch it, and start it again whenever it ends. Until cancelled."""
        pause = self._policy.restart_backoff_ms / 1000
        while True:
            await self._watch()
            if time.monotonic() - self._since >= STEADY_S:
                pause = self._policy.restart_backoff_ms / 1000
            while not self._up.is_set():
                await asyncio.sleep(pause)
                pause = min(pause * 2, BACKOFF_LIMIT_S)
                async with self._turn:
                    if not self._up.is_set():
                        await self._relaunch()

    async def stop(self) -> None:
        """End it and forget it. A member hands over what it leads first."""
        self._up.clear()
        await self._end()
        self.detail = "stopped"

    async def shift(
        self,
        member: Member | None,
        *,
        is_synced: bool = True,
        between: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """End the server in order and start it as another one: alone, or a member.

        The one before must have been made for the folder it gets (`Member.store`).

        Args:
            member: Its place from now on; None: alone.
            is_synced: Whether each write is on the disk before it is answered.
            between: Called when the one before has ended, before the next one starts.

        Raises:
            StoreFailed: It can't be started so; it is tried again for ever, by `run`.
        """
        async with self._turn:
            self._up.clear()
            await self._end()
            if between is not None:
                await between()
            self._shape = _Shape(member, is_synced)
            self.layout = _layout(self.layout.folder, member)
            await asyncio.to_thread(private.make_folder, self.layout.store)
            await self._launch()

    async def reroute(self, member: Member) -> None:
        """Take in other routes, live; nothing but the routes may have changed.

        Raises:
            StoreFailed: The configuration can't be written.
        """
        async with self._turn:
            self._shape = _Shape(member, self._shape.is_synced)
            await asyncio.to_thread(self._configure)
            process = self._process
            if process is not None and process.returncode is None:
                process.send_signal(signal.SIGHUP)

    async def read_anew(self) -> None:
        """Have it read its configuration and its certificates anew, live."""
        async with self._turn:
            process = self._process
            if process is not None and process.returncode is None:
                process.send_signal(signal.SIGHUP)

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        if self.member is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGUSR2)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAME_DUCK_S):
                    await process.wait()
        await child.stop(process)
        await asyncio.to_thread(self.layout.pid_file.unlink, missing_ok=True)

    async def _relaunch(self) -> None:
        try:
            await self._launch()
        except NexaError as error:
            if error.message != self.detail:
                self._tell(f"nats-server can't be started again: {error.message}")
            self.detail = error.message
        else:
            self.restarts += 1
            self._tell(f"nats-server is back (pid {self.pid}, restart {self.restarts})")

    async def _launch(self) -> None:
        binary = await trusted_binary(self._policy)
        for _ in range(PORT_TRIES):
            self._port = self._port or machine.free_port()
            await asyncio.to_thread(self._configure)
            await asyncio.to_thread(self._clear)
            if await self._try(binary):
                return
            self._port = 0
        raise PortRefused(
            f"nats-server found its port on 127.0.0.1 taken {PORT_TRIES} times",
            remedy="see who opens ports here: ss -ltnp",
        )

    async def _try(self, binary: Binary) -> bool:
        """Start it once; False if somebody else has the port."""
        await asyncio.to_thread(self._tail.skip)
        process = await child.spawn(binary.path, self.layout)
        self._process = process
        try:
            listening = await self._until_listening(process)
        except BaseException:
            await child.stop(process)
            raise
        said = await asyncio.to_thread(self._said)
        if not listening:
            cause = serverlog.fatal(said) or f"exit status {process.returncode}"
            if "address already in use" in cause:
                self._check_route(cause)
                return False
            self._explain(cause)
        self.warnings = serverlog.warnings(said)
        self._since = time.monotonic()
        self._stuck, self.trouble = False, None
        self.detail = f"nats-server {binary.version} on 127.0.0.1:{self._port}"
        self._up.set()
        return True

    async def _until_listening(self, process: asyncio.subprocess.Process) -> bool:
        deadline = time.monotonic() + START_S
        while not await asyncio.to_thread(
            machine.listens, self.layout.ports, process.pid
        ):
            if process.returncode is not None:
                return False
            if time.monotonic() > deadline:
                raise StoreFailed(
                    f"nats-server did not listen {START_S:.0f} s after its start",
                    remedy=f"read {self.layout.log}",
                )
            await asyncio.sleep(0.003)
        return True

    def _explain(self, cause: str) -> NoReturn:
        if "space left" in cause:
            raise machine.disk_full(self.layout.store, cause)
        if "JetStream" in cause:
            raise damaged(self.layout.store, cause)
        raise StoreFailed(
            f"nats-server ended at once: {cause}", remedy=f"read {self.layout.log}"
        )

    def _check_route(self, cause: str) -> None:
        """A port for clients is soon found; the one for routes is known to others."""
        member = self.member
        if member is not None and f"{self._port}" not in cause:
            raise PortRefused(
                f"the address for the cluster's routes, {member.route}, is taken",
                remedy=f"see who has it: ss -ltnp 'sport = :{member.route.rpartition(':')[2]}'",
            )

    async def _watch(self) -> None:
        """Return when the server has ended, or is another one."""
        process = self._process
        if process is None:
            raise StoreFailed("nats-server was not started")
        while process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await process.wait()
            if process.returncode is None:
                await self._look(process)
        if self._turn.locked() or process is not self._process:
            async with self._turn:
                return
        self._up.clear()
        said = await asyncio.to_thread(self._said)
        cause = serverlog.fatal(said) if process.returncode > 0 else None
        how = machine.how_it_ended(process.returncode) + (f": {cause}" if cause else "")
        self.detail = f"nats-server (pid {process.pid}) ended: {how}"
        self._tell(self.detail)

    async def _look(self, process: asyncio.subprocess.Process) -> None:
        """Notice a full disk, and start anew a server that a full disk has stopped."""
        free = await asyncio.to_thread(machine.free_bytes, self.layout.store)
        failed = serverlog.write_error(await asyncio.to_thread(self._tail.lines))
        self._stuck = self._stuck or failed is not None
        if free < RESERVE_BYTES or failed is not None:
            if self.trouble is None:
                cause = failed or f"{free // 1024} KiB are left"
                self.trouble = machine.disk_full(self.layout.store, cause)
                self._tell(self.trouble.message)
        elif self._stuck and free < 2 * RESERVE_BYTES:
            return
        elif self.trouble is not None:
            self._tell("there is space on the disk again")
            if self._stuck:
                process.terminate()
            self.trouble = None

    def _prepare_folders(self) -> None:
        for folder in (self.layout.store, self.layout.work, self.layout.ports):
            private.make_folder(folder)
        self._keys = (
            new_key(self.layout.work / "app.seed"),
            new_key(self.layout.work / "sys.seed"),
        )

    def _clear(self) -> None:
        for stale in self.layout.ports.iterdir():
            stale.unlink(missing_ok=True)
        if self.member is None and adopt(self.layout.folder):
            self._tell("a restored store took the place of the one there was")

    def _configure(self) -> None:
        if self._keys is None:
            raise StoreFailed("nats-server has no credentials yet")
        member = self.member
        own = slugify(self.layout.folder.name, default="nexa")
        text = render(
            self.layout,
            name=own if member is None else member.name,
            member=member,
            is_synced=self._shape.is_synced,
            port=self._port,
            max_bytes=self._policy.max_bytes,
            app=self._keys[0],
            system=self._keys[1],
        )
        if private.read(self.layout.conf) != text.encode():
            private.write(self.layout.conf, text.encode())

    def _said(self) -> list[str]:
        return serverlog.whole(self.layout.output) + self._tail.lines()

    def _tell(self, text: str) -> None:
        _log.warning("store changed", detail=text)
        self._on_change(text)


def _layout(folder: Path, member: Member | None) -> Layout:
    return Layout(folder, ALONE if member is None else member.store)
