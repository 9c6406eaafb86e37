"""Opening a connection to a node, and what it means when that fails or ends.

Two kinds of trouble: what passes (`Trouble`: go on trying) and what does not (a
`NexaError`: stop, and say what mends it).
"""

import functools
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    SecurityError,
)
from websockets.typing import Subprotocol

from nexa_node.agent.credentials import TlsSource
from nexa_node.agent.endpoints import is_loopback
from nexa_node.agent.timing import Timing
from nexa_node.agent.wire import CODECS, Codec
from nexa_node.contract.errors import (
    CLOSE_FORBIDDEN,
    CLOSE_PROTOCOL_ERROR,
    CLOSE_REVOKED,
    CLOSE_TAKEN_OVER,
    CLOSE_UNAUTHORIZED,
    CLOSE_UNSUPPORTED_VERSION,
    Conflict,
    Forbidden,
    Invalid,
    NexaError,
    Unauthorized,
    UnsupportedVersion,
    may_reconnect,
)
from nexa_node.contract.frames import FRAME_LIMIT
from nexa_node.contract.tls_trouble import explain
from nexa_node.contract.version import SUBPROTOCOLS, VERSION

HOW_TO_GET_ONE = (  # a sentence
    "make a token with `nexa token create --role agent`; give it by NEXA_TOKEN_FILE"
)
_REASON_LIMIT = 123
_CLOSED: dict[int, tuple[type[NexaError], str, str]] = {
    CLOSE_UNAUTHORIZED: (Unauthorized, "the token is not valid", HOW_TO_GET_ONE),
    CLOSE_FORBIDDEN: (Forbidden, "the token does not allow this", HOW_TO_GET_ONE),
    CLOSE_UNSUPPORTED_VERSION: (
        UnsupportedVersion,
        "the node speaks another version of the protocol",
        "update nexa on one of the two sides",
    ),
    CLOSE_PROTOCOL_ERROR: (
        Invalid,
        "the node calls what this agent sent an error of the protocol",
        "update nexa on both sides; if it stays, report it with the node's log",
    ),
    CLOSE_REVOKED: (Unauthorized, "the token was revoked", HOW_TO_GET_ONE),
}


class Trouble(Exception):
    """No connection now; the next try may succeed."""

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        """Keep what happened, and how long the node asks to be left alone."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class _Connection(ClientConnection):
    """One that keeps what TLS said at the end.

    Who is refused in a handshake of TLS 1.3 learns it by the first read only, and there
    websockets would tell of an answer that is no HTTP.
    """

    def __init__(self, lost: list[ssl.SSLError], *words: Any, **named: Any) -> None:
        super().__init__(*words, **named)
        self._lost = lost

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep why."""
        if isinstance(exc, ssl.SSLError):
            self._lost.append(exc)
        super().connection_lost(exc)


async def dial(
    url: str,
    *,
    token: Callable[[], str | None],
    prefer: str,
    timing: Timing,
    tls: TlsSource = lambda: None,
) -> tuple[ClientConnection, Codec]:
    """Open a WebSocket to the node at `url`, with `token` in the header.

    Args:
        url: As `endpoints.agent_url` makes it.
        token: Asked for each connection, so that a renewed token is used.
        prefer: The subprotocol to offer first.
        timing: How long to try, and how often to ping.
        tls: Asked, with `wss`, for what is trusted and shown; None takes the system's.

    Raises:
        Trouble: It may work later.
        NexaError: It will not, until somebody changes something.
    """
    secret = token()
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    offered = sorted(SUBPROTOCOLS, key=lambda name: name != prefer)
    extra: dict[str, Any] = {}
    lost: list[ssl.SSLError] = []
    if url.startswith("wss:") and (context := tls()) is not None:
        extra["ssl"] = context
        extra["create_connection"] = functools.partial(_Connection, lost)
    try:
        connection = await connect(
            url,
            additional_headers=headers,
            subprotocols=[Subprotocol(name) for name in offered],
            user_agent_header=f"nexa-agent/{VERSION}",
            compression=None,
            max_size=2 * FRAME_LIMIT,
            open_timeout=timing.open_timeout,
            ping_interval=timing.ping_every,
            ping_timeout=timing.ping_every,
            close_timeout=timing.close_timeout,
            proxy=None if is_loopback(url) else True,
            **extra,
        )
    except InvalidStatus as error:
        told = _refusal(error.response.status_code, had_token=bool(secret))
        if b"tls_required" in (error.response.body or b""):
            told = Invalid(f"{url} speaks TLS only", remedy="write https:// or wss://")
        raise told from None
    except SecurityError as error:
        raise Forbidden(f"{url} sends us elsewhere: {error}") from None
    except ssl.SSLError as error:
        raise _tls_trouble(error, url) from None
    except (OSError, InvalidHandshake, TimeoutError) as error:
        if lost:
            raise _tls_trouble(lost[0], url) from None
        raise Trouble(_text(error)) from None
    codec = CODECS.get(connection.subprotocol or "")
    if codec is None:
        await connection.close(1002, "no subprotocol")
        raise UnsupportedVersion(
            f"what answers at {url} is no node of nexa, or speaks no {prefer}",
            remedy="check the address, and update nexa on one of the two sides",
        )
    return connection, codec


def closed(error: ConnectionClosed, *, incarnation: str) -> NexaError | Trouble:
    """Say what the end of a connection means.

    A NexaError when the agent must not come back: closes of 4500 and up, and 4409 when
    another agent of the same name took over. The reason of a 4409 may end in the
    other's incarnation, `taken_over:<incarnation>`; an older one than ours is a zombie
    that we fence by coming back, and our own is a hello that we gave up and that a slow
    node took all the same.
    """
    frame = error.rcvd
    if frame is None:
        return Trouble("the connection was lost")
    reason = frame.reason[:_REASON_LIMIT]
    if frame.code == CLOSE_TAKEN_OVER:
        other = reason.partition(":")[2].strip()
        if other == incarnation:
            return Trouble("a connection that was given up took over for a moment")
        if other and other < incarnation:
            return Trouble("an older process with this id took over for a moment")
        return Conflict(
            "another process connected with this agent's id",
            remedy="give each agent an id of its own (--id)",
        )
    told = f" ({reason})" if reason else ""
    if may_reconnect(frame.code):
        return Trouble(f"the node closed the connection: {frame.code}{told}")
    kind, message, remedy = _CLOSED.get(
        frame.code, (Invalid, f"the node closed for good with {frame.code}", None)
    )
    return kind(f"{message}{told}", remedy=remedy)


def _refusal(status: int, *, had_token: bool) -> NexaError | Trouble:
    if status == 401:
        what = "this token" if had_token else "an agent without a token"
        return Unauthorized(f"the node does not know {what}", remedy=HOW_TO_GET_ONE)
    if status == 403:
        return Forbidden("the token is not one for agents", remedy=HOW_TO_GET_ONE)
    if status in {400, 426}:
        return UnsupportedVersion(
            f"the node refused the connection with HTTP {status}: no common version",
            remedy="update nexa on one of the two sides",
        )
    if status == 404:
        return Trouble("what answers there has no /v1/agent: is it a node of nexa?")
    return Trouble(f"the node answered HTTP {status}")


def _tls_trouble(error: ssl.SSLError, url: str) -> Trouble:
    """It may pass: certificates are renewed, on either side."""
    told = explain(
        url,
        verify_code=getattr(error, "verify_code", None),
        reason=error.reason,
        text=getattr(error, "verify_message", "") or str(error),
    )
    return Trouble(f"{told.why} ({told.remedy})")


def _text(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return f"its name is not known: {error.strerror}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
