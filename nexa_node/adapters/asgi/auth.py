"""The gate in front of every operation: where a call comes from, and who makes it.

What must stay true: without a valid token nothing but `open` operations answers, not
even to say that a path does not exist. A token is a header, never part of a URL. A web
page that makes a browser call us is recognised by `Host` (a name it let resolve to this
machine) or by `Origin`, and refused.
"""

import asyncio
import base64
import ipaddress
import re
import secrets
from collections.abc import Callable, Collection
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexa_node.adapters.asgi.answering import send_refusal
from nexa_node.adapters.asgi.limits import CERTIFICATE
from nexa_node.adapters.asgi.reading import header_of, headers_of
from nexa_node.adapters.asgi.refusals import Refusal, internal, refusal
from nexa_node.contract.access import Identity
from nexa_node.contract.errors import Draining, NexaError, RateLimited, Unauthorized
from nexa_node.core.policies import HttpPolicy
from nexa_node.services.access.login_audit import LoginAudit
from nexa_node.services.api import NodeApi

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s\[\]:@/,\\]+))(?::[0-9]{1,5})?")
_TOKEN = re.compile(r"[\x21-\x7e]{1,512}")
WEBSOCKET = "WEBSOCKET"
"""What stands for the method of an upgrade."""

_BASIC = ("/api/v1/", "/metrics", "/v1/prometheus/")
"""Where Basic authentication is taken: Grafana and promtool can do no other."""
_CALLER = "nexa.caller"
_REQUEST = "nexa.request"
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""What every answer carries, unless it says something of its own."""

log: Any = structlog.get_logger("nexa_node.http")


def caller_of(scope: Scope) -> Identity | None:
    """Who the gate found out makes this call."""
    return scope[_CALLER]


def request_of(scope: Scope) -> str:
    """The request's id: the caller's own, or one that was drawn."""
    return scope[_REQUEST]


def address_of(scope: Scope) -> str:
    """The caller's IP address: the socket's, never a header's."""
    client = scope.get("client")
    return client[0] if client else "unknown"


def bearer_token(scope: Scope) -> str | None:
    """The token of the `Authorization` header; None without the header.

    Where Prometheus' programs call, which know no other way, it may be the password of
    Basic authentication, with whatever user name.

    Raises:
        Unauthorized: A header that holds no single bearer token.
    """
    values = headers_of(scope, b"authorization")
    if not values:
        return None
    scheme, _, token = values[0].strip().partition(" ")
    token = token.strip()
    if scheme.lower() == "basic" and scope["path"].startswith(_BASIC):
        scheme, token = "bearer", _password(token)
    if len(values) > 1 or scheme.lower() != "bearer" or not _TOKEN.fullmatch(token):
        raise Unauthorized(
            "the Authorization header holds no bearer token",
            remedy="send the header Authorization: Bearer <token>",
        )
    return token


def _password(encoded: str) -> str:
    try:
        told = base64.b64decode(encoded[:2048], validate=True).decode("ascii")
    except ValueError:
        return ""
    return told.partition(":")[2]


def host_name(host: str) -> str:
    """The name in a `Host` header or an authority, without port and brackets.

    Empty of what is no authority: nobody is called so.
    """
    found = _AUTHORITY.fullmatch(host)
    return "" if found is None else (found[1] or found[2]).lower()


def host_is_ours(host: str, *, names: Collection[str], local: str | None) -> bool:
    """Say whether `host` is a name under which this node may be called.

    Args:
        host: The `Host` header.
        names: Configured names, lower case.
        local: The address of our end of this very connection.
    """
    name = host_name(host)
    if name == "localhost" or name in names:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    if address.is_loopback:
        return True
    try:
        return local is not None and address == ipaddress.ip_address(local)
    except ValueError:
        return False


def origin_is_ours(origin: str, host: str) -> bool:
    """Say whether a page of this very host makes the call."""
    scheme, _, authority = origin.lower().partition("://")
    return scheme in {"http", "https"} and authority == host.lower()


class Gate:
    """An ASGI application around another one; see the module."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        api: NodeApi,
        policy: HttpPolicy,
        host: str,
        open_operations: frozenset[tuple[str, str]],
        logins: LoginAudit | None = None,
        is_stale: Callable[[], bool] = lambda: False,
    ) -> None:
        """Stand in front of `app`.

        Args:
            app: Called with an identity in its scope.
            api: Asked who holds a token.
            policy: Names the node may be called by, and the headers' limit.
            host: The host the node is configured to listen on.
            open_operations: (method, path) of what needs no token.
            logins: Told of tokens that are refused.
            is_stale: Whether what is read may be old; said in a header then.
        """
        self._app = app
        self._api = api
        self._names = frozenset(name.lower() for name in (*policy.names, host) if name)
        self._header_bytes = policy.header_bytes
        self._open = open_operations
        self._logins = logins
        self._is_stale = is_stale

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or serve one WebSocket; raises nothing."""
        if scope["type"] == "lifespan":
            await _no_lifespan(receive, send)
            return
        scope[_REQUEST] = _request_id(scope)
        answering = _Answering(scope, send, self._is_stale)
        try:
            self._check_source(scope)
            scope[_CALLER] = await self._authenticate(scope)
            await self._app(scope, receive, answering)
        except Refusal as refused:
            await answering.refuse(refused)
        except NexaError as error:
            if scope["type"] == "websocket" and _CALLER in scope:
                self._note_refused(scope, error)
            await answering.refuse(refusal(error))
        except asyncio.CancelledError:
            # Only a stopping server cancels this task, and then it ends here anyway.
            await answering.refuse(refusal(Draining("the node is stopping")))
        except OSError:
            pass  # the caller is gone
        except Exception:  # the edge: a fault answers one call with 500
            log.exception(
                "request_failed",
                request_id=scope[_REQUEST],
                method=scope.get("method", WEBSOCKET),
                path=scope["path"],
            )
            await answering.refuse(internal())

    def _check_source(self, scope: Scope) -> None:
        if sum(len(key) + len(value) for key, value in scope["headers"]) > (
            self._header_bytes
        ):
            raise Refusal(
                431,
                "header_too_large",
                f"the request's header is larger than {self._header_bytes} bytes",
            )
        host = header_of(scope, b"host")
        server = scope.get("server")
        local = server[0] if server else None
        if not host_is_ours(host, names=self._names, local=local):
            raise Refusal(
                421,
                "misdirected",
                f"this node is not called {host[:100]!r}",
                remedy="add the name to [http] names in nexa.toml",
            )
        origin = header_of(scope, b"origin")
        if origin and not origin_is_ours(origin, host):
            raise Refusal(
                403,
                "forbidden",
                f"pages of {origin[:100]!r} may not call this node",
                remedy="call it from a program, or from its own page /docs",
            )

    async def _authenticate(self, scope: Scope) -> Identity | None:
        token = bearer_token(scope)
        # A token is what somebody says; a certificate comes with the connection.
        shown = scope.get("state", {}).get(CERTIFICATE) if token is None else None
        method = scope.get("method", WEBSOCKET)
        called = "GET" if method == "HEAD" else method, scope["path"]
        # What is open stays so to one with a certificate that was revoked.
        claimed = token is not None or (shown is not None and method == WEBSOCKET)
        if not claimed and called in self._open:
            return None
        try:
            if shown is not None:
                return await self._api.authenticate_certificate(
                    shown, address=address_of(scope)
                )
            return await self._api.authenticate(token, address=address_of(scope))
        except (Unauthorized, RateLimited) as error:
            if token is not None or shown is not None:
                self._note_refused(scope, error)
            raise

    def _note_refused(self, scope: Scope, error: NexaError) -> None:
        if self._logins is not None:
            self._logins.refused(
                error,
                address=address_of(scope),
                request=scope[_REQUEST],
                resource=f"{scope.get('method', WEBSOCKET)} {scope['path']}",
                identity=scope.get(_CALLER),
            )


class _Answering:
    """`send`, with the headers every answer carries; knows whether one has begun."""

    def __init__(self, scope: Scope, send: Send, is_stale: Callable[[], bool]) -> None:
        self._scope = scope
        self._send = send
        self._is_stale = is_stale
        self._begun = False

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if kind.endswith("response.start"):
            self._begun = True
            message["headers"] = self._dressed(message.get("headers", ()))
        elif kind == "websocket.accept":
            self._begun = True
        await self._send(message)

    async def refuse(self, refused: Refusal) -> None:
        """Answer with an error, unless an answer has begun: then that is cut short."""
        try:
            if not self._begun:
                await send_refusal(refused, self._scope, self)
            elif self._scope["type"] == "websocket":
                await self._send({"type": "websocket.close", "code": 1011})
        except OSError:
            return  # the caller is gone

    def _dressed(self, headers: Any) -> list[tuple[bytes, bytes]]:
        dressed: list[tuple[bytes, bytes]] = list(headers)
        given = {name for name, _ in dressed}
        dressed += [pair for pair in SECURITY_HEADERS if pair[0] not in given]
        dressed.append((b"x-request-id", self._scope[_REQUEST].encode()))
        if self._scope.get("method") == "GET" and self._is_stale():
            dressed.append((b"nexa-stale", b"true"))
        if self._unknown_and_done():
            dressed.append((b"connection", b"close"))
        return dressed

    def _unknown_and_done(self) -> bool:
        """Whether to end the connection of somebody who has not said who they are.

        Not with a body on its way: closing then could lose the answer.
        """
        if self._scope["type"] != "http" or self._scope.get(_CALLER) is not None:
            return False
        return not (
            header_of(self._scope, b"content-length").strip("0")
            or header_of(self._scope, b"transfer-encoding")
        )


def _request_id(scope: Scope) -> str:
    given = header_of(scope, b"x-request-id")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


async def _no_lifespan(receive: Receive, send: Send) -> None:
    """Nothing begins or ends with the application: the node does that itself."""
    while (message := await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    assert message["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})
