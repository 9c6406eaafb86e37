"""Records with sane defaults and fixed times; name only what the test is about."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from nexa_node.contract.access import Identity, RoleName
from nexa_node.contract.agents import Agent, Capability
from nexa_node.contract.checks import CheckResult, SelfTest
from nexa_node.contract.events import Event, Snapshot
from nexa_node.contract.ids import AgentId, NodeId, TaskId
from nexa_node.contract.messages import Address, Message
from nexa_node.contract.nodes import (
    Cluster,
    HostSample,
    Node,
    NodeStatus,
    Quorum,
    TaskCounts,
)
from nexa_node.contract.tasks import FINISHED, NewTask, Task, TaskSummary, summarize
from nexa_node.contract.version import CONSOLE_PROTOCOL, VERSION
from nexa_node.ports import TokenRecord

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
EARLIER = datetime(2026, 3, 1, 11, 59, 0, tzinfo=UTC)
TASK_ID = TaskId("01jn8qk000000000000000000a")
NODE_ID = NodeId("01jn8qk0000000000000node00")


async def nothing() -> AsyncIterator[bytes]:
    """A body without bytes."""
    for chunk in ():
        yield chunk


def capability(name: str = "wc", **overrides: Any) -> Capability:
    return Capability(**{"name": name, **overrides})


def agent(id: str = "wc-1", **overrides: Any) -> Agent:
    fields: dict[str, Any] = {
        "id": AgentId(id),
        "name": id,
        "state": "idle",
        "node": "alpha",
        "capabilities": (capability(),),
        "slots": 2,
        "inflight": 0,
        "connected": True,
        "since": EARLIER,
        "last_seen": NOW,
    }
    return Agent(**{**fields, **overrides})


def new_task(type: str = "wc", **overrides: Any) -> NewTask:
    return NewTask(**{"type": type, "data": "some words", **overrides})


def task(id: str = TASK_ID, **overrides: Any) -> Task:
    """A pending task; a `status` past that brings its agent and times along."""
    status = overrides.get("status", "pending")
    fields: dict[str, Any] = {
        "id": TaskId(id),
        "type": "wc",
        "status": status,
        "priority": "normal",
        "submitted": EARLIER,
        "submitter": "token:op1",
        "data": "some words",
    }
    if status not in ("pending", "cancelled", "expired"):
        fields |= {
            "agent": AgentId("wc-1"),
            "node": "alpha",
            "attempts": 1,
            "claim_epoch": 1,
            "started": EARLIER,
        }
    if status in FINISHED:
        fields["finished"] = NOW
    if status == "completed":
        fields["result"] = {"words": 2}
    if status in ("failed", "dead_lettered"):
        fields["error"] = {"message": "exit status 1"}
    return Task(**{**fields, **overrides})


def summary(id: str = TASK_ID, **overrides: Any) -> TaskSummary:
    return summarize(task(id, **overrides))


def message(id: str = "m-1", **overrides: Any) -> Message:
    fields: dict[str, Any] = {
        "id": id,
        "sender": "wc-1",
        "to": Address(agent=AgentId("wc-2")),
        "type": "note",
        "time": NOW,
        "data": "hello",
    }
    return Message(**{**fields, **overrides})


def sample(**overrides: Any) -> HostSample:
    fields: dict[str, Any] = {
        "time": NOW,
        "cpu": 0.25,
        "memory": 0.5,
        "memory_bytes": 8 * 1024**3,
        "memory_total_bytes": 16 * 1024**3,
        "disk": 0.4,
        "disk_free_bytes": 60 * 1024**3,
        "load_1m": 0.7,
        "net_rx_bytes_s": 1000.0,
        "net_tx_bytes_s": 2000.0,
        "rss_bytes": 90 * 1024**2,
        "loop_lag_ms": 0.4,
        "agents": 1,
        "tasks_pending": 0,
        "tasks_running": 0,
        "tasks_completed_s": 0.0,
        "tasks_failed_s": 0.0,
        "messages_s": 0.0,
    }
    return HostSample(**{**fields, **overrides})


def node(name: str = "alpha", **overrides: Any) -> Node:
    fields: dict[str, Any] = {
        "id": NODE_ID,
        "name": name,
        "url": "http://127.0.0.1:6392",
        "state": "running",
        "health": "healthy",
        "role": "single",
        "agents": 1,
        "version": VERSION,
        "started": EARLIER,
        "host": sample(),
    }
    return Node(**{**fields, **overrides})


def cluster(**overrides: Any) -> Cluster:
    fields: dict[str, Any] = {
        "name": "nexa",
        "verdict": "healthy",
        "reasons": (),
        "controller": "alpha",
        "quorum": Quorum(have=1, need=1),
        "nodes": (node(),),
    }
    return Cluster(**{**fields, **overrides})


def node_status(**overrides: Any) -> NodeStatus:
    fields: dict[str, Any] = {
        "id": NODE_ID,
        "name": "alpha",
        "state": "running",
        "url": "http://127.0.0.1:6392",
        "pid": 4242,
        "version": VERSION,
        "started": EARLIER,
        "cluster": "nexa",
        "health": "healthy",
        "console_protocol": CONSOLE_PROTOCOL,
        "whoami": "token:op1",
        "role": "operator",
        "tasks": TaskCounts(),
        "agents": 1,
        "host": sample(),
    }
    return NodeStatus(**{**fields, **overrides})


def event(id: str = "01jn8qk0000000000000event0", **overrides: Any) -> Event:
    fields: dict[str, Any] = {
        "id": id,
        "time": NOW,
        "kind": "agent.joined",
        "severity": "info",
        "subject": "agent/wc-1",
        "message": "wc-1 joined with the capability wc",
        "node": "alpha",
    }
    return Event(**{**fields, **overrides})


def check(id: str = "node.store", **overrides: Any) -> CheckResult:
    fields: dict[str, Any] = {
        "id": id,
        "group": id.partition(".")[0],
        "title": id.partition(".")[2].replace("_", " "),
        "status": "pass",
        "duration_ms": 12.0,
        "detail": "published, read back and deleted",
    }
    return CheckResult(**{**fields, **overrides})


def selftest(*checks: CheckResult, **overrides: Any) -> SelfTest:
    fields: dict[str, Any] = {
        "status": "pass",
        "started": EARLIER,
        "duration_ms": 120.0,
        "checks": checks or (check(),),
    }
    return SelfTest(**{**fields, **overrides})


def snapshot(**overrides: Any) -> Snapshot:
    fields: dict[str, Any] = {
        "seq": 0,
        "time": NOW,
        "node": node_status(),
        "cluster": cluster(),
        "agents": (agent(),),
        "tasks": (summary(),),
        "counts": TaskCounts(pending=1),
        "events": (event(),),
        "history": (sample(),),
        "selftest": selftest(),
    }
    return Snapshot(**{**fields, **overrides})


def identity(role: RoleName = "operator", **overrides: Any) -> Identity:
    fields: dict[str, Any] = {"id": f"token:{role}1", "role": role, "name": role}
    return Identity(**{**fields, **overrides})


def token_record(
    id: str = "op1", text: str = "nxa_op1_secret", **overrides: Any
) -> TokenRecord:
    fields: dict[str, Any] = {
        "id": id,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "role": "operator",
        "name": "ann",
        "created": EARLIER,
        "expires": None,
    }
    return TokenRecord(**{**fields, **overrides})
