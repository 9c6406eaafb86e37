"""Messages and log lines for scenes and tests of the console."""

from datetime import timedelta
from typing import Any

from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.logs import LogLine
from nexa_node.contract.messages import Posted
from nexa_node.contract.tasks import TaskSummary
from tests.builders import NOW, summary

_SENT: tuple[tuple[str, str, str, Any], ...] = (
    ("orders.eu.created", "shop-1", "order.created", {"id": 4711, "total": 99.5, "items": ["lamp"]}),
    ("orders.eu.paid", "bank-2", "order.paid", {"id": 4711, "by": "card"}),
    ("reports.daily", "token:k3v9", "report", "# Sales\n12 orders, 3 of them open"),
    ("orders.us.created", "shop-2", "order.created", {"id": 4712, "total": 12.0, "items": []}),
    ("sensors.hall-4", "probe-7", "reading", {"celsius": 21.4, "humid": 0.41}),
    ("orders.eu.failed", "bank-2", "order.failed", {"id": 4713, "why": "card declined \x1b[31m"}),
)  # fmt: skip
POSTED = tuple(
    Posted(
        seq=9000 + n, id=f"m{n:03}", sender=sender, topic=topic, type=kind,
        time=NOW - timedelta(seconds=2.5 * (30 - n)), data=data,
        reply_to="shop-1" if kind == "order.paid" else None,
    )
    for n in range(30)
    for topic, sender, kind, data in (_SENT[n % len(_SENT)],)
)  # fmt: skip
DEAD: tuple[TaskSummary, ...] = tuple(
    summary(
        TaskId(f"01jn8qkdead{n:04}0000000kx{n:02}"), type=kind, status="dead_lettered",
        attempts=5, agent=AgentId(f"{kind}-1"), submitted=NOW - timedelta(minutes=9 + 7 * n),
        started=NOW - timedelta(minutes=8 + 7 * n), finished=NOW - timedelta(minutes=7 + 7 * n),
        error={"message": why},
    )
    for n, (kind, why) in enumerate(
        (("grep", "exit status 2: no such file"), ("translate", "the model is not loaded"),
         ("wc", "killed by signal 9"))
    )
)  # fmt: skip
_LOGGED: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("info", "nexa.tasks", "task_completed", {"task": "01jn8qk0kx14", "agent": "sha256-3", "ms": 41.2}),
    ("debug", "nexa.store", "batch_written", {"messages": 12, "ms": 1.9}),
    ("info", "nexa.sessions", "session_opened", {"agent": "wc-2", "address": "192.0.2.14"}),
    ("warning", "nexa.sessions", "beat_missed", {"agent": "grep-1", "silent_s": 6.2}),
    ("info", "nexa.cluster", "member_seen", {"member": "gamma", "rtt_ms": 0.7}),
    ("error", "nexa.notify", "delivery_failed", {"receiver": "mail", "why": "connection refused"}),
    ("info", "uvicorn.error", "connection open", {}),
    ("critical", "nexa.store", "disk_full", {"exception": "Traceback:\n  OSError: [Errno 28]\n"}),
)  # fmt: skip


def logged(count: int, *, first: int = 0) -> tuple[LogLine, ...]:
    """So many lines of three nodes, a second and a half apart; the last one is of now."""
    return tuple(_line(n, count + first) for n in range(first, first + count))


def _line(n: int, count: int) -> LogLine:
    level, component, event, fields = _LOGGED[(n * 5 + n // 7) % len(_LOGGED)]
    time = NOW - timedelta(seconds=1.5 * (count - 1 - n))
    return LogLine(
        seq=int(time.timestamp() * 1e6) + n % 7,
        time=time,
        level=level,  # pyright: ignore[reportArgumentType]  # one of the five
        node=("alpha", "beta", "gamma")[n % 3],
        component=component,
        event=event,
        fields=fields,
    )


LOGS = logged(400)
