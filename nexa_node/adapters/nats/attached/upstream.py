"""The servers that a node is attached to, and the connection that goes from one to the next."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from nexa_node.adapters.nats.attached.access import Address, addresses, read_access
from nexa_node.adapters.nats.attached.link import AttachedSession
from nexa_node.adapters.nats.binary import FLOOR, check_version
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.failures import BinaryTooOld
from nexa_node.adapters.nats.session import Session
from nexa_node.contract.errors import NexaError, Unavailable
from nexa_node.core.policies import StorePolicy

PAUSE_S, PAUSE_MAX_S = 0.05, 2.0
"""Between two rounds over all servers; it doubles."""
_JITTER = 0.5

_log = structlog.get_logger("nexa.store")


class Attachment:
    """What stands in the place of the supervised server: theirs, as far as it is seen."""

    member = None
    """It is no member of a cluster of nexa's making."""
    pid = None
    warnings: tuple[str, ...] = ()
    trouble: NexaError | None = None
    seed = ""

    def __init__(self, policy: StorePolicy, on_change: Callable[[str], None]) -> None:
        """Know the addresses; nobody is asked yet."""
        self.policy = policy
        self.addresses = addresses(policy)
        self.detail = "not attached yet"
        self.at: Address | None = None
        """Which one has the connection now, or had it last."""
        self.version = ""
        self.restarts = 0
        """How often the connection was made anew."""
        self._on_change = on_change
        self._next = 0

    @property
    def url(self) -> str:
        """The server in use, or the first one."""
        return str(self.at or self.addresses[0])

    async def up(self) -> None:
        """Return at once: whether they are up is found out by dialling."""

    async def read_anew(self) -> None:
        """Do nothing: credentials are read anew for each connection."""

    async def dial(self) -> AttachedSession:
        """Connect to the next server that takes us, for as long as it takes.

        Raises:
            StoreFailed: One can be reached, and will never do with these settings.
        """
        pause = PAUSE_S
        while True:
            failed: list[str] = []
            for _ in self.addresses:
                address = self.addresses[self._next % len(self.addresses)]
                self._next += 1
                try:
                    session = await dial(address, self.policy)
                except (OSError, TimeoutError) as error:
                    failed.append(f"{address}: {why(error)}")
                    continue
                self._came(address, session)
                return session
            self.detail = "no server of the attached NATS answers: " + "; ".join(failed)
            await asyncio.sleep(
                pause * random.uniform(1 - _JITTER, 1 + _JITTER)
            )  # only spreads nodes
            pause = min(2 * pause, PAUSE_MAX_S)

    def _came(self, address: Address, session: AttachedSession) -> None:
        before, self.at = self.at, address
        self.version = session.version
        name = session.link.info.server_name[:64]
        shown = name.encode("ascii", "backslashreplace").decode()
        self.detail = f"attached to nats-server {self.version} {shown} at {address}"
        # The next loss takes up the next one.
        self._next = self.addresses.index(address) + 1
        if before is not None:
            self.restarts += 1
            if before != address:
                self._on_change(
                    f"the store is reached by {address} now, not by {before}"
                )


async def dial(address: Address, policy: StorePolicy) -> AttachedSession:
    """Connect to one server of theirs.

    Raises:
        OSError, TimeoutError: It can't be reached now.
        StoreFailed: It can be reached, and will never do: too old, or it refuses us.
    """
    access = await asyncio.to_thread(read_access, policy)
    session = await AttachedSession.dial(address, access, policy.domain)
    try:
        check_attached_version(session.version, address)
    except BaseException:
        await session.close()
        raise
    return session


def check_attached_version(version: str, address: Address) -> None:
    """Refuse a server below the floor.

    Raises:
        BinaryTooOld: It is; says found and needed.
    """
    try:
        check_version(version, address)
    except BinaryTooOld as error:
        floor = ".".join(str(part) for part in FLOOR)
        raise BinaryTooOld(
            f"the NATS at {address} is nats-server {version or 'of no version'};"
            f" {floor} is the oldest that keeps what it is told",
            remedy=f"update it to {floor} or newer",
        ) from error


class AttachedConnection(Connection):
    """`Connection` that goes from one of their servers to the next."""

    def __init__(
        self,
        attachment: Attachment,
        prepare: Callable[[Session], Awaitable[None]],
    ) -> None:
        """Take what is needed; `open` connects."""
        self._attachment = attachment
        timeout_s = attachment.policy.request_timeout_ms / 1000
        super().__init__(attachment, prepare, timeout_s=timeout_s, direct=False)

    async def open(self) -> None:
        """Connect and prepare, once.

        Raises:
            StoreFailed: It is not what it should be; says what and the remedy.
            Unavailable: No connection in time.
        """
        try:
            async with asyncio.timeout(2 * self.timeout_s):
                await super().open()
        except TimeoutError as error:
            raise Unavailable(
                self._attachment.detail,
                remedy="start it, or correct [store] urls",
            ) from error

    async def _dial(self) -> Session:
        return await self._attachment.dial()


def why(error: Exception) -> str:
    """Say in one line why a server did not answer."""
    if isinstance(error, TimeoutError):
        return "no answer"
    told = (isinstance(error, OSError) and error.strerror) or str(error)
    return told[:200].encode("ascii", "backslashreplace").decode() or repr(error)[:200]
