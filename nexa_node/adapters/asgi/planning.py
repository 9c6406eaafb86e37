"""Dangerous operations: `dry_run` answers their plan, `plan` holds the call against it.

This stands around the handlers of all rows that are `dangerous`, so that none of them can
forget it. Between the look and the deed nothing else runs.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from nexa_node.adapters.asgi.operation import Call, Operation, Returned, Told
from nexa_node.adapters.asgi.paging import DryRunQuery
from nexa_node.contract.errors import Invalid
from nexa_node.core.plans import Deed


def has_plan_inside(answer: Any) -> bool:
    """Say whether a record of that type tells the plan in a member of its own."""
    return "plan" in getattr(answer, "__struct_fields__", ())


async def planned(
    operation: Operation,
    call: Call[Any, Any],
    do: Callable[[Call[Any, Any]], Awaitable[Returned]],
) -> Returned:
    """Do it, or say what it would be.

    Raises:
        Invalid: A dry run of a plan was asked for.
        Conflict: It is not as it was when the plan was made; nothing was done.
        NexaError: Whatever the operation itself raises.
    """
    query = call.query
    if not operation.dangerous or not isinstance(query, DryRunQuery):
        return await do(call)
    if query.dry_run and query.plan is not None:
        raise Invalid(
            "a plan is carried out, or made: not both",
            remedy="leave out dry_run, or plan",
            details={"field": "plan"},
        )
    if query.dry_run:
        return await _dry(operation, call, do)
    if query.plan is not None:
        deed = _deed(operation, call)
        await call.api.plan(call.identity, deed, agreed=query.plan)
    return await do(call)


async def _dry(
    operation: Operation,
    call: Call[Any, Any],
    do: Callable[[Call[Any, Any]], Awaitable[Returned]],
) -> Returned:
    if not has_plan_inside(operation.answer):
        return Told(await call.api.plan(call.identity, _deed(operation, call)), 200)
    told: Any = await do(call)  # what is wrong with the call is said as ever
    plan = await call.api.plan(call.identity, _deed(operation, call))
    return msgspec.structs.replace(told, plan=plan)


def _deed(operation: Operation, call: Call[Any, Any]) -> Deed:
    body = call.body if isinstance(call.body, msgspec.Struct) else None
    return Deed(operation.action, "/".join(call.path.values()), body)
