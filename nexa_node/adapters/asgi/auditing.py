"""What callers change through the port is written down before it is done.

A change that can't be written down is refused. What came of it is a second record with
the same request id; one that only has a first was cut off. The first says what is wanted,
the second what was the case and is now, each without secrets. Reads are not written down,
nor what agents and tasks do all day: that they have records of their own for.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Scope

from nexa_node.adapters.asgi.auth import address_of, caller_of, request_of
from nexa_node.adapters.asgi.operation import Call, Operation, Returned, Told
from nexa_node.adapters.asgi.refusals import Refusal
from nexa_node.contract.errors import Forbidden, NexaError
from nexa_node.core.audit import differing
from nexa_node.core.authorization import authorize
from nexa_node.services.audit_api import Auditor

LOOK_S = 1.0
"""A change does not wait longer to know what was the case before it."""
_READS = frozenset(("read", "verify"))
_DAILY = frozenset(
    (
        "messages:send", "objects:write", "sessions:open", "shared:write",
        "tasks:submit", "watchdog:call",
    )
)  # fmt: skip


Read = Callable[[], Awaitable[Call[Any, Any]]]
"""Reads the request; raises what is wrong with it."""
Do = Callable[[Call[Any, Any]], Awaitable[Returned]]
Look = Callable[[Operation, Call[Any, Any]], Awaitable[Returned]]
"""Says what is the case of that which a call changes; None if nobody can say."""


class Ledger:
    """Writes down what is changed through one port."""

    def __init__(self, auditor: Auditor, look: Look) -> None:
        """Write to `auditor`, and see by `look` what was the case before."""
        self._auditor = auditor
        self._look = look

    async def around(
        self, operation: Operation, scope: Scope, read: Read, do: Do
    ) -> Returned:
        """Do it, written down before and after if it changes something.

        Raises:
            Unavailable: It can't be written down; it was not done.
        """
        if not changes(operation, scope):
            return await self._watched(operation, scope, read, do)
        if not _may(operation, scope):
            if operation.open:
                return await do(await read())
            return await self._watched(operation, scope, read, do)
        fields = _fields(operation, scope)
        try:
            call = await read()
        except (NexaError, Refusal) as error:
            self._auditor.note(**fields, outcome="failed", reason=_why(error))
            raise
        wanted = {} if operation.open else _told(call.body)
        was = {} if operation.open else await self._was(operation, call)
        await self._auditor.record(**fields, outcome="begun", after=wanted)
        try:
            returned = await do(call)
        except Forbidden as error:
            self._deny(fields, error)
            raise
        except (NexaError, Refusal) as error:
            self._auditor.note(**fields, outcome="failed", reason=_why(error))
            raise
        now = {} if operation.open else _told(_record(returned)) or wanted
        before, after = differing(was, now)
        self._auditor.note(**fields, outcome="done", before=before, after=after)
        return returned

    async def _watched(
        self, operation: Operation, scope: Scope, read: Read, do: Do
    ) -> Returned:
        """Do what is not written down, unless it is denied."""
        try:
            return await do(await read())
        except Forbidden as error:
            if not operation.open:
                self._deny(_fields(operation, scope), error)
            raise
        except (NexaError, Refusal) as error:
            if changes(operation, scope) and not operation.open:
                fields = _fields(operation, scope)
                self._auditor.note(**fields, outcome="failed", reason=_why(error))
            raise

    def _deny(self, fields: dict[str, Any], error: Forbidden) -> None:
        denied = {**fields, "event": "authz_fail"}
        self._auditor.note(**denied, outcome="denied", reason=error.message)

    async def _was(self, operation: Operation, call: Call[Any, Any]) -> dict[str, Any]:
        """What is the case, if who calls may know it and it is told at once."""
        try:
            async with asyncio.timeout(LOOK_S):
                return _told(_record(await self._look(operation, call)))
        except (NexaError, Refusal, TimeoutError):
            return {}


def look_by(operations: Iterable[Operation]) -> Look:
    """See what is the case by the operation that reads what another one changes.

    It is the one on the same path, or the nearest above it that names one thing:
    `/v1/roles/{name}` of `POST /v1/roles` with a name, too.
    """
    reads = {one.path: one for one in operations if one.method == "GET" and one.handler}

    async def look(operation: Operation, call: Call[Any, Any]) -> Returned:
        path, parts = operation.path, dict(call.path)
        name = getattr(call.body, "name", None)
        if "{" not in path and isinstance(name, str):
            path, parts = f"{path}/{{name}}", {"name": name}
        while "{" in path:
            over, _, last = path.rpartition("/")
            if last.startswith("{"):
                if path in reads:
                    return await read(reads[path], call, parts)
                if over in reads:
                    listed = await read(reads[over], call, parts)
                    return _one_of(listed, parts.get(last.strip("{}"), ""))
            path = over
        return None

    async def read(
        operation: Operation, call: Call[Any, Any], parts: Mapping[str, str]
    ) -> Returned:
        assert operation.handler is not None
        query = operation.query()
        return await operation.handler(
            dataclasses.replace(call, path=parts, query=query, body=None)
        )

    return look


def _one_of(listed: Returned, name: str) -> msgspec.Struct | None:
    """The record of that id in a list; its first page is looked at."""
    items = getattr(_record(listed), "items", ())
    found = (one for one in items if _name(one) == name)
    return next(found, None)


def _name(record: object) -> str:
    """What a record is called in paths; a name beside an id is but a label."""
    return str(getattr(record, "id", getattr(record, "name", "")))


def changes(operation: Operation, scope: Scope) -> bool:
    """Say whether a call changes something that somebody will ask about."""
    if operation.method == "GET" or _is_dry(operation, scope):
        return False
    permission = operation.permission
    return permission.rpartition(":")[2] not in _READS and permission not in _DAILY


def _is_dry(operation: Operation, scope: Scope) -> bool:
    """Whether nothing will be done, by the word of the very key that says so."""
    if not operation.dangerous:
        return False
    query = scope.get("query_string", b"").decode("latin-1")
    return parse_qsl(query, keep_blank_values=True) == [("dry_run", "true")]


def _may(operation: Operation, scope: Scope) -> bool:
    caller = caller_of(scope)
    if caller is None or operation.permission in {"open", "any"}:
        return caller is not None
    return authorize(caller, operation.action).allowed


def _fields(operation: Operation, scope: Scope) -> dict[str, Any]:
    caller = caller_of(scope)
    known = caller is not None
    return {
        "event": operation.permission,
        "action": operation.permission,
        "actor": caller.id if known else "",
        "name": caller.name if known else "",
        "role": caller.role if known else "",
        "address": address_of(scope),
        "request": request_of(scope),
        "resource": f"{scope['method']} {scope['path']}",
    }


def _record(returned: Returned) -> object:
    return returned.record if isinstance(returned, Told) else returned


def _told(record: object) -> dict[str, Any]:
    """A record's fields; nothing of what is none, like bytes and streams."""
    if not isinstance(record, msgspec.Struct):
        return {}
    told = msgspec.to_builtins(record)
    return cast("dict[str, Any]", told) if isinstance(told, dict) else {}


def _why(error: NexaError | Refusal) -> str:
    if isinstance(error, Refusal):
        status = error.problem.status
        return f"{status} {HTTPStatus(status).phrase}: {error.problem.detail or ''}"
    return error.message
