"""The attempts behind a task, as its record keeps them."""

from datetime import datetime

import msgspec

from nexa_node.contract.ids import AgentId
from nexa_node.contract.tasks import Json, Task

HISTORY_LIMIT = 32
"""Attempts kept, the newest: a task may be rejected without end."""
HISTORY_ERROR_LIMIT = 2048
"""Bytes of an attempt's error kept in the history; the record must fit into a frame."""


def closed(task: Task, outcome: str, now: datetime, *, error: Json = None) -> Task:
    """Close the newest attempt in the history."""
    if not task.history:
        return task
    last = msgspec.structs.replace(
        task.history[-1], ended=now, outcome=outcome, error=_shortened(error)
    )
    return msgspec.structs.replace(task, history=(*task.history[:-1], last))


def began(task: Task, now: datetime) -> datetime:
    """Say when the newest attempt began, as well as is known."""
    if task.started is not None:
        return task.started
    return task.history[-1].started if task.history else now


def last_of(task: Task, agent: AgentId, epoch: int) -> str | None:
    """Say how a claim ended, if the newest attempt was its own."""
    if not task.history:
        return None
    last = task.history[-1]
    if last.claim_epoch != epoch or last.agent != agent:
        return None
    return last.outcome


def _shortened(error: Json) -> Json:
    if error is None:
        return None
    text = msgspec.json.encode(error)
    if len(text) <= HISTORY_ERROR_LIMIT:
        return error
    return text[:HISTORY_ERROR_LIMIT].decode(errors="ignore") + "…"
