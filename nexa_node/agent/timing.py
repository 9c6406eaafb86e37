"""How long the library waits for what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. The defaults are the protocol's; tests shorten them."""

    backoff_base: float = 0.5
    """Ceiling of the wait before the first reconnect; doubles with each one."""
    backoff_cap: float = 30.0
    open_timeout: float = 10.0
    """For the connection, TLS and the upgrade together; and again for hello."""
    call_timeout: float = 10.0
    """For the answer to one call on a live connection."""
    report_every: float = 10.0
    """Between reports of state and load; a change is told within `report_soon`."""
    report_soon: float = 1.0
    ping_every: float = 10.0
    """Our own pings: a node that vanished without closing is noticed after two."""
    close_timeout: float = 2.0
    """For the closing handshake and for bye."""
    settle_patience: float = 5.0
    """When stopping: how long results that no node has accepted yet are kept."""
    cancel_patience: float = 5.0
    """When stopping: how long a cancelled handler may take to clean up."""
