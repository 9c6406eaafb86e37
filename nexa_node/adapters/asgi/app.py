"""The node's port as one ASGI application: REST, the agents' and the consoles' sockets.

app = build_app(node, settings.http, host=settings.node.host)
"""

import functools
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import msgspec
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from nexa_node.adapters.asgi.agent_socket import AgentSocket
from nexa_node.adapters.asgi.answering import answer
from nexa_node.adapters.asgi.auditing import Ledger, look_by
from nexa_node.adapters.asgi.auth import WEBSOCKET, Gate, address_of, caller_of
from nexa_node.adapters.asgi.console_socket import ConsoleSocket
from nexa_node.adapters.asgi.openapi import document
from nexa_node.adapters.asgi.operation import Call, Operation, Query, Returned
from nexa_node.adapters.asgi.operations import OPERATIONS
from nexa_node.adapters.asgi.planning import planned
from nexa_node.adapters.asgi.reading import (
    header_of,
    read_body,
    read_chunks,
    read_form,
    read_idempotency_key,
    read_query,
)
from nexa_node.adapters.asgi.refusals import Refusal, unknown_method, unknown_path
from nexa_node.adapters.asgi.repeating import Repeats, digest
from nexa_node.contract.places import DEFAULT_HOST
from nexa_node.core.authorization import authorize
from nexa_node.core.policies import HttpPolicy
from nexa_node.services.access.login_audit import LoginAudit
from nexa_node.services.api import NodeApi
from nexa_node.services.audit_api import Auditor


@functools.cache
def describe() -> bytes:
    """Write the OpenAPI document. Done when it is first asked for, and once."""
    return msgspec.json.encode(document(OPERATIONS))


def build_app(
    api: NodeApi,
    policy: HttpPolicy,
    *,
    host: str = DEFAULT_HOST,
    auditor: Auditor | None = None,
    logins: LoginAudit | None = None,
    is_stale: Callable[[], bool] = lambda: False,
) -> ASGIApp:
    """Put HTTP and WebSocket in front of a node.

    Args:
        api: The node.
        policy: Limits, and further names the node may be called by.
        host: The host it is configured to listen on: a name it may be called by.
        auditor: Where changes are written down before they are done.
        logins: Told of who comes, and who does not get in.
        is_stale: Whether what the node tells may be old, for want of a quorum.

    Returns:
        An application that needs no lifespan events and raises nothing.
    """
    sockets: dict[str, ASGIApp] = {
        "/v1/agent": AgentSocket(api),
        "/v1/console": ConsoleSocket(api, policy, logins),
    }
    described = {one.path for one in OPERATIONS if one.websocket}
    assert sockets.keys() == described, "every socket is in the table, and no other"
    return Gate(
        _Doors(_routes(api, policy, auditor), sockets),
        api=api,
        policy=policy,
        host=host,
        open_operations=frozenset(
            (WEBSOCKET if one.websocket else one.method, one.path)
            for one in OPERATIONS
            if one.open
        ),
        logins=logins,
        is_stale=is_stale,
    )


class _Doors:
    """Requests to the routes, upgrades to the sockets."""

    def __init__(self, routes: Router, sockets: dict[str, ASGIApp]) -> None:
        self._routes = routes
        self._sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = self._sockets.get(scope["path"])
        if scope["type"] == "http":
            if socket is not None:
                raise Refusal(
                    426,
                    "upgrade_required",
                    f"{scope['path']} is a WebSocket",
                    headers={"upgrade": "websocket"},
                )
            await self._routes(scope, receive, send)
        elif socket is not None:
            await socket(scope, receive, send)
        else:
            raise unknown_path(scope["path"])


class _Resource:
    """All operations of one path."""

    def __init__(
        self,
        operations: Iterable[Operation],
        api: NodeApi,
        policy: HttpPolicy,
        ledger: Ledger | None,
        repeats: Repeats,
    ) -> None:
        self._by_method = {one.method: one for one in operations}
        self._api = api
        self._policy = policy
        self._ledger = ledger
        self._repeats = repeats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        operation = self._by_method.get(method)
        if operation is None:
            raise unknown_method(method, sorted(self._by_method))
        read = functools.partial(self._read, operation, scope, receive)
        do = functools.partial(self._do, operation, scope)
        if self._ledger is None:
            returned = await do(await read())
        else:
            returned = await self._ledger.around(operation, scope, read, do)
        await answer(operation, returned, scope, receive, send)

    async def _read(
        self, operation: Operation, scope: Scope, receive: Receive
    ) -> Call[Any, Any]:
        query = Query() if operation.form else read_query(scope, operation.query)
        key = None
        if operation.idempotent or operation.repeatable:
            key = read_idempotency_key(scope)
        body = None
        if operation.body is not None:
            body = await read_body(scope, receive, operation.body, self._policy)
        elif operation.form:
            body = await read_form(scope, receive, self._policy)
        elif operation.uploads:
            body = read_chunks(receive, self._policy)
        return Call(
            api=self._api,
            caller=caller_of(scope),
            path=scope["path_params"],
            query=query,
            body=body,
            describe=describe,
            address=address_of(scope),
            accept=header_of(scope, b"accept").lower(),
            idempotency_key=key,
            if_match=header_of(scope, b"if-match"),
            if_none_match=header_of(scope, b"if-none-match"),
        )

    async def _do(
        self, operation: Operation, scope: Scope, call: Call[Any, Any]
    ) -> Returned:
        assert operation.handler is not None
        key, body = call.idempotency_key, call.body
        do = functools.partial(planned, operation, call, operation.handler)
        if key is None or not _may(call, operation):
            return await do()
        seen = f"{call.if_match}\n{call.if_none_match}"
        where = scope["path"], scope["query_string"]
        asked = digest(operation.method, *where, body, seen)
        if operation.idempotent and getattr(body, "durable", True):
            return await self._repeats.apart(call.identity, key, asked, do)
        return await self._repeats.once(call.identity, key, asked, do)


def _routes(api: NodeApi, policy: HttpPolicy, auditor: Auditor | None) -> Router:
    ledger = None if auditor is None else Ledger(auditor, look_by(OPERATIONS))
    rest = [one for one in OPERATIONS if not one.websocket]
    by_path = groupby(sorted(rest, key=_path), key=_path)
    repeats = Repeats()
    return Router(
        [
            Route(path, _Resource(group, api, policy, ledger, repeats))
            for path, group in by_path
        ],
        redirect_slashes=False,
        default=_nothing_here,
    )


def _may(call: Call[Any, Any], operation: Operation) -> bool:
    """Whether an answer may be told again: a right may have gone since the first time."""
    return authorize(call.identity, operation.action).allowed


def _path(operation: Operation) -> str:
    return operation.path


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    raise unknown_path(scope["path"])
