"""What one port's connections share: their limits, and the room before the gate."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import uvicorn
from starlette.types import ASGIApp

from nexa_node.core.policies import HttpPolicy, SessionPolicy

PATIENCE_S = 1.0
"""How long a connection is left alone even when too many wait."""
CERTIFICATE = "nexa.certificate"
"""In a connection's state: SHA-256 of the certificate the client showed, hexadecimal."""


@dataclass(eq=False, slots=True)
class WaitingRoom:
    """Connections that have not sent a complete header yet, the oldest first."""

    limit: int
    per_address: int | None = None
    """Of them, from one address."""
    _waiting: dict[object, tuple[float, Callable[[], None]]] = field(
        default_factory=dict[object, tuple[float, Callable[[], None]]]
    )
    _address_of: dict[object, str] = field(default_factory=dict[object, str])
    _near: dict[str, dict[object, None]] = field(
        default_factory=dict[str, dict[object, None]]
    )
    """Who waits from an address, the oldest first."""

    def enter(
        self,
        guest: object,
        now: float,
        dismiss: Callable[[], None],
        *,
        address: str = "",
    ) -> None:
        """Let `guest` wait; above a limit, the one who waited longest must go."""
        self._waiting[guest] = (now, dismiss)
        self._address_of[guest] = address
        near = self._near.setdefault(address, {})
        near[guest] = None
        if self.per_address is not None and len(near) > self.per_address:
            self._dismiss_oldest(near, now)
        elif len(self._waiting) > self.limit:
            self._dismiss_oldest(self._waiting, now)

    def leave(self, guest: object) -> None:
        """`guest` waits no longer. Idempotent."""
        if self._waiting.pop(guest, None) is None:
            return
        address = self._address_of.pop(guest)
        near = self._near[address]
        del near[guest]
        if not near:
            del self._near[address]

    def clear(self) -> None:
        """Send everybody away."""
        while self._waiting:
            guest, (_, dismiss) = next(reversed(self._waiting.items()))
            self.leave(guest)
            dismiss()

    def _dismiss_oldest(self, among: Iterable[object], now: float) -> None:
        oldest = next(iter(among))
        since, dismiss = self._waiting[oldest]
        if now - since >= PATIENCE_S:
            self.leave(oldest)
            dismiss()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)


@dataclass(slots=True, eq=False)
class TlsDoor:
    """What a port's connections share: the context of the moment, and the tally."""

    context: Callable[[], ssl.SSLContext]
    """Asked for each connection: a new certificate is shown to whoever comes next."""
    buffer: bytearray = field(default_factory=lambda: bytearray(64 * 1024))
    """What is read from the network, of all connections: each takes it out at once."""
    handshakes: Counter[str] = field(default_factory=Counter[str])
    """How they ended: `done`, `timeout`, `plain`, `refused`, `lost`."""


class Stall:
    """Watches a full write buffer: a peer may be slow, but it must take something."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        patience_s: float,
        stalled: Callable[[], None],
    ) -> None:
        """Watch nothing yet.

        Args:
            loop: Where time passes.
            patience_s: How long a peer may take nothing at all.
            stalled: Called when it did; at most once for each `begin`.
        """
        self._loop = loop
        self._patience_s = patience_s
        self._stalled = stalled
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """The buffer is full, or the last of it is to go: look from time to time."""
        self.end()
        left = transport.get_write_buffer_size()
        self._timer = self._loop.call_later(
            self._patience_s, self._look, transport, left
        )

    def end(self) -> None:
        """The buffer is no longer full, or nobody cares. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, transport: asyncio.Transport, before: int) -> None:
        self._timer = None
        if transport.get_write_buffer_size() < before:
            self.begin(transport)
        else:
            self._stalled()


class PortConfig(uvicorn.Config):
    """uvicorn's configuration, with the limits that uvicorn has none for."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        http: type[asyncio.Protocol],
        ws: type[asyncio.Protocol],
        policy: HttpPolicy,
        sessions: SessionPolicy,
        door: TlsDoor | None = None,
    ) -> None:
        """Set everything that is not left to the environment.

        Args:
            app: The application.
            http: The protocol of a fresh connection.
            ws: The protocol after an upgrade.
            policy: The port's limits.
            sessions: The agents' limits.
            door: How TLS is spoken; None without.
        """
        super().__init__(
            app,
            loop="none",
            http=http,
            ws=ws,
            ws_max_size=sessions.frame_bytes,
            ws_ping_interval=sessions.heartbeat_ms / 1000,
            ws_ping_timeout=None,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            # What uvicorn warns of is what strangers send: a log they could fill.
            log_level="error",
            access_log=False,
            interface="asgi3",
            workers=1,
            proxy_headers=False,
            server_header=False,
            forwarded_allow_ips=[],
            timeout_keep_alive=max(1, policy.keep_alive_ms // 1000),
            h11_max_incomplete_event_size=policy.header_bytes,
        )
        self.policy = policy
        self.door = door
        self.waiting_room = WaitingRoom(
            policy.waiting_sockets, policy.waiting_sockets_per_address
        )
