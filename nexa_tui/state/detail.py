"""One record in full, as labelled lines; every foreign word in them is clean.

Widths are the widget's business: a line here may be long, and is folded there.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from nexa_node.contract.agents import Agent
from nexa_node.contract.checks import CheckResult
from nexa_node.contract.events import Event
from nexa_node.contract.nodes import Node
from nexa_node.contract.tasks import (
    Attempt,
    Budget,
    Explanation,
    Json,
    Task,
    TaskSummary,
    Usage,
)
from nexa_tui.state.formats import age, clock, date, duration, percent, rate, size
from nexa_tui.state.listing import Look, since
from nexa_tui.state.severity import Kind, StyleKey, mark
from nexa_tui.state.text import clean, clean_lines

JSON_LINES_MAX = 400


class Field(msgspec.Struct, frozen=True):
    """One labelled line; without a label it goes on from the one before."""

    label: str
    text: str
    style: StyleKey = "text"


class Heading(msgspec.Struct, frozen=True):
    """The beginning of a part."""

    title: str


class Words(msgspec.Struct, frozen=True):
    """A line that needs no label, under a heading."""

    text: str
    style: StyleKey = "text"


Line = Field | Heading | Words


def task_lines(
    task: Task | TaskSummary, look: Look, explanation: Explanation | None = None
) -> tuple[Line, ...]:
    """A task: what it is, how it goes, its result or error, every attempt."""
    return tuple(_task(task, look, explanation))


def agent_lines(
    agent: Agent, tasks: Sequence[TaskSummary], look: Look
) -> tuple[Line, ...]:
    """An agent: what it can do, what it does, what it did last."""
    return tuple(_agent(agent, tasks, look))


def node_lines(node: Node, look: Look) -> tuple[Line, ...]:
    """A node and its machine."""
    return tuple(_node(node, look))


def event_lines(event: Event, look: Look) -> tuple[Line, ...]:
    """An event with its data."""
    return (
        _state("severity", "event", event.severity, look),
        Field("what", clean(event.message, 1000), "strong"),
        Field("kind", clean(event.kind)),
        Field("subject", clean(event.subject)),
        Field("node", clean(event.node)),
        Field("time", moment(event.time, look)),
        Field("id", clean(event.id), "muted"),
        *_json("data", event.data),
    )


def check_lines(check: CheckResult, look: Look) -> tuple[Line, ...]:
    """A check: what was found, why it is so, what mends it."""
    lines: list[Line] = [_state("state", "check", check.status, look)]
    if check.duration_ms is not None:
        lines.append(Field("took", duration(check.duration_ms).strip()))
    for label, text, style in (
        ("found", check.detail, "text"),
        ("cause", check.cause, "warn"),
        ("mend it", check.remedy, "strong"),
    ):
        if text:
            first, *rest = clean_lines(text, 1000, 50)
            lines.append(Field(label, first, style))
            lines.extend(Field("", line, style) for line in rest)
    lines.append(Field("id", clean(check.id), "muted"))
    lines.append(Field("again", f"nexa selftest --only {clean(check.id)}", "muted"))
    return tuple(lines)


def _task(
    task: Task | TaskSummary, look: Look, explanation: Explanation | None
) -> Iterator[Line]:
    yield _state("state", "task", task.status, look)
    yield Field("type", clean(task.type), "strong")
    yield Field("id", clean(task.id))
    yield Field("priority", task.priority)
    yield Field("agent", clean(task.agent or "-"))
    yield Field("submitted", moment(task.submitted, look))
    if task.started:
        yield Field("started", moment(task.started, look))
    if task.finished:
        took = since(task.started, task.finished)
        ran = "" if took is None else f", after {duration(took * 1000).strip()}"
        yield Field("finished", moment(task.finished, look) + ran)
    if task.pct is not None:
        yield Field("progress", percent(task.pct / 100).strip())
    if task.note:
        yield Field("note", clean(task.note, 500))
    if explanation is not None:
        yield from _why(explanation)
    if isinstance(task, Task):
        yield from _payloads(task, look)
    elif task.summary:
        yield Heading("says")
        yield Words(clean(task.summary, 500))


def _why(explanation: Explanation) -> Iterator[Line]:
    yield Heading("why it is where it is")
    yield Field("verdict", clean(explanation.verdict, 500), "strong")
    for one in explanation.considered:
        style = "ok" if one.eligible else "muted"
        yield Field(clean(one.agent, 20), clean(one.reason, 300), style)


def _payloads(task: Task, look: Look) -> Iterator[Line]:
    yield Field("submitter", clean(task.submitter), "muted")
    yield from _spent(task)
    if task.error is not None:
        yield from _json("error", task.error, "crit")
    if task.result is not None:
        yield from _json("result", task.result)
    if task.data is not None:
        yield from _json("data", task.data, "muted")
    if task.history:
        yield Heading("attempts")
        for attempt in task.history:
            yield _attempt(attempt, look)
    if task.labels:
        yield from _json("labels", task.labels, "muted")


def _spent(task: Task) -> Iterator[Line]:
    """What it has used, and what it may."""
    usage, budget = task.usage or Usage(), task.budget or Budget()
    tokens, cost = usage.input_tokens + usage.output_tokens, usage.cost_usd
    if budget.tokens is not None:
        style = _style(tokens > budget.tokens)
        yield Field("tokens", f"{tokens:,} of {budget.tokens:,}", style)
    elif task.usage is not None:
        yield Field("tokens", f"{tokens:,}")
    if budget.cost_usd is not None:
        told = f"{cost:,.4f} of {budget.cost_usd:,.4f} USD"
        yield Field("cost", told, _style(cost > budget.cost_usd))
    elif cost:
        yield Field("cost", f"{cost:,.4f} USD")
    if usage.model:
        yield Field("model", clean(usage.model), "muted")


def _style(over: bool) -> StyleKey:
    return "crit" if over else "text"


def _attempt(attempt: Attempt, look: Look) -> Field:
    seconds = since(attempt.started, attempt.ended or look.now)
    took = duration(None if seconds is None else seconds * 1000).strip()
    outcome = clean(attempt.outcome or "running", 40)
    told = "" if attempt.error is None else f": {clean(_flat(attempt.error), 300)}"
    good = outcome in {"completed", "running"}
    return Field(
        f"{attempt.attempt}",
        f"{clean(attempt.agent)} on {clean(attempt.node, 40)} at"
        f" {clock(attempt.started)}, {took}, {outcome}{told}",
        "text" if good else "warn",
    )


def _agent(agent: Agent, tasks: Sequence[TaskSummary], look: Look) -> Iterator[Line]:
    yield _state("state", "agent", agent.state, look)
    yield Field("id", clean(agent.id), "strong")
    if agent.name != agent.id:
        yield Field("name", clean(agent.name))
    yield Field("node", clean(agent.node))
    word = "connected" if agent.connected else "not connected"
    yield Field("since", f"{moment(agent.since, look)} ({word})")
    yield Field("slots", f"{agent.inflight} of {agent.slots} taken")
    yield Field("done", f"{agent.completed} completed, {agent.failed} failed")
    if agent.version:
        yield Field("version", clean(agent.version))
    if agent.metrics:
        cpu, memory = percent(agent.metrics.cpu), percent(agent.metrics.memory)
        yield Field("process", f"cpu {cpu.strip()}, memory {memory.strip()}")
    yield Heading("can do")
    for one in agent.capabilities:
        labels = ", ".join(f"{key}={value}" for key, value in one.labels.items())
        version = f" {one.version}" if one.version else ""
        yield Field(
            clean(one.name, 20), clean(f"weight {one.weight:g}{version} {labels}")
        )
    yield Heading("its tasks, the newest first")
    for task in tasks:
        shown = mark("task", clean(task.status, 20), ascii_only=look.ascii_only)
        says = clean(task.summary or task.note or "", 120)
        yield Field(
            shown.text, f"{clean(task.type)} {clean(task.id)} {says}", shown.style
        )
    if not tasks:
        yield Words("none that this node remembers", "muted")


def _node(node: Node, look: Look) -> Iterator[Line]:
    yield _state("health", "health", node.health, look)
    for reason in node.reasons:
        yield Field("because", clean(reason, 500), "warn")
    yield _state("state", "node", node.state, look)
    yield Field("name", clean(node.name), "strong")
    yield Field("role", clean(node.role))
    yield Field("url", clean(node.url))
    yield Field("version", clean(node.version))
    yield Field("up since", moment(node.started, look))
    yield Field("agents", str(node.agents))
    if node.rtt_ms is not None:
        yield Field("round trip", duration(node.rtt_ms).strip())
    yield Field("id", clean(node.id), "muted")
    host = node.host
    if host is None:
        return
    yield Heading("its machine")
    yield Field("cpu", f"{percent(host.cpu).strip()}, load {host.load_1m:.2f}")
    used, total = size(host.memory_bytes), size(host.memory_total_bytes)
    yield Field(
        "memory", f"{percent(host.memory).strip()}: {used.strip()} of {total.strip()}"
    )
    free = size(host.disk_free_bytes).strip()
    yield Field("disk", f"{percent(host.disk).strip()} used, {free} free")
    received, sent = rate(host.net_rx_bytes_s), rate(host.net_tx_bytes_s)
    yield Field("network", f"{received.strip()} in, {sent.strip()} out")
    yield Field("node itself", f"{size(host.rss_bytes).strip()} resident")
    yield Field("loop lag", duration(host.loop_lag_ms).strip())


def _state(label: str, kind: Kind, state: str, look: Look) -> Field:
    shown = mark(kind, clean(state, 20), ascii_only=look.ascii_only)
    return Field(label, shown.text, shown.style)


def moment(when: datetime | None, look: Look) -> str:
    """A date, and how long ago that is."""
    if when is None:
        return "-"
    seconds = since(when, look.now)
    ago = "" if seconds is None else f", {age(seconds).strip()} ago"
    return date(when) + ago


def _json(title: str, value: Json, style: StyleKey = "text") -> Iterator[Line]:
    if not value and not isinstance(value, int | float | bool):
        return
    yield Heading(title)
    if isinstance(value, str):
        text = value
    else:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    for line in clean_lines(text, 2000, JSON_LINES_MAX):
        yield Words(line, style)


def _flat(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
