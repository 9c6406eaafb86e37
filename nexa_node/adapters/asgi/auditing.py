"""What callers change through the port is written down before it is done.

A change that can't be written down is refused. What came of it is a second record with
the same request id; one that only has a first was cut off. Reads are not written down,
nor what agents and tasks do all day: that they have records of their own for.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Scope

from nexa_node.adapters.asgi.auth import address_of, caller_of, request_of
from nexa_node.adapters.asgi.operation import Operation, Returned
from nexa_node.adapters.asgi.refusals import Refusal
from nexa_node.contract.errors import Forbidden, NexaError
from nexa_node.core.authorization import authorize
from nexa_node.services.audit_api import Auditor

_READS = frozenset(("read", "verify"))
_DAILY = frozenset(
    (
        "messages:send", "objects:write", "sessions:open", "shared:write",
        "tasks:submit", "watchdog:call",
    )
)  # fmt: skip


class Ledger:
    """Writes down what is changed through one port."""

    def __init__(self, auditor: Auditor) -> None:
        """Write to `auditor`."""
        self._auditor = auditor

    async def around(
        self,
        operation: Operation,
        scope: Scope,
        do: Callable[[], Awaitable[Returned]],
    ) -> Returned:
        """Do it, written down before and after if it changes something.

        Raises:
            Unavailable: It can't be written down; it was not done.
        """
        fields = _fields(operation, scope)
        if changes(operation, scope) and _may(operation, scope):
            await self._auditor.record(**fields, outcome="begun")
        elif operation.open:
            return await do()
        try:
            returned = await do()
        except Forbidden as error:
            denied = {**fields, "event": "authz_fail"}
            self._auditor.note(**denied, outcome="denied", reason=error.message)
            raise
        except (NexaError, Refusal) as error:
            if changes(operation, scope):
                self._auditor.note(**fields, outcome="failed", reason=_why(error))
            raise
        if changes(operation, scope):
            self._auditor.note(**fields, outcome="done")
        return returned


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


def _why(error: NexaError | Refusal) -> str:
    if isinstance(error, Refusal):
        status = error.problem.status
        return f"{status} {HTTPStatus(status).phrase}: {error.problem.detail or ''}"
    return error.message
