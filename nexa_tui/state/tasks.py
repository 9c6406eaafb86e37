"""Tasks as rows."""

import re
from collections.abc import Iterable

from nexa_node.contract.tasks import FINISHED, PRIORITIES, TaskSummary
from nexa_tui.state.formats import age, duration, percent
from nexa_tui.state.listing import Cell, Column, Listing, Look, Order, how_old, since
from nexa_tui.state.severity import StyleKey, mark
from nexa_tui.state.text import clean

_PROBLEMS = frozenset(("failed", "expired", "dead_lettered"))
_PRIORITY_STYLES: dict[str, StyleKey] = {
    "critical": "crit", "high": "warn", "normal": "muted", "low": "muted",
}  # fmt: skip
_MESSAGE = re.compile(r'\{[^{}]*?"message":\s*"((?:[^"\\]|\\.)*)')
_TAIL = 8
_STAGES: dict[str, int] = {"running": 0, "assigned": 0, "pending": 1}
_OVER = 2


def is_problem(task: TaskSummary) -> bool:
    """Say whether somebody should look at it."""
    if task.status in _PROBLEMS:
        return True
    return task.attempts > 1 and task.status not in FINISHED


def in_work_order(tasks: Iterable[TaskSummary]) -> list[TaskSummary]:
    """What is worked on, then what waits, then what is over; the newest of each first."""
    ordered = sorted(tasks, key=lambda one: one.submitted, reverse=True)
    ordered.sort(key=lambda one: _STAGES.get(one.status, _OVER))
    return ordered


def short_id(task_id: str, *, ascii_only: bool = False) -> str:
    """The end of an id: the beginning is the time, and alike for all of a minute."""
    shown = clean(task_id, 64)
    return (
        shown
        if len(shown) <= _TAIL + 1
        else f"{'~' if ascii_only else '…'}{shown[-_TAIL:]}"
    )


def took_ms(task: TaskSummary, look: Look) -> float | None:
    """From the start to the end, or to now; None before the start."""
    seconds = since(task.started, task.finished or look.now)
    return None if seconds is None else seconds * 1000


def says(task: TaskSummary) -> str:
    """What there is to say: progress while it runs, else how it ended."""
    if task.status == "pending":
        return clean(f"waits for {task.type}")
    if task.status not in FINISHED:
        done = "" if task.pct is None else percent(task.pct / 100).strip()
        return clean(" ".join(part for part in (done, task.note or "") if part))
    return clean(_words_of(task.summary or ""))


def _words_of(summary: str) -> str:
    """The message of an error that is an object, or the summary as it is.

    A summary is the beginning of JSON, and cut: it can't be decoded.
    """
    found = _MESSAGE.match(summary)
    return found[1].replace('\\"', '"') if found else summary


def _state(task: TaskSummary, look: Look) -> Cell:
    shown = mark("task", clean(task.status, 20), ascii_only=look.ascii_only)
    return Cell(shown.text, shown.style)


def _took(task: TaskSummary, look: Look) -> Cell:
    """Exactly, once it is over; until then in whole seconds, as the clock here goes."""
    ms = took_ms(task, look)
    if task.finished is None and ms is not None:
        return Cell(age(ms / 1000))
    return Cell(duration(ms))


def _attempts(task: TaskSummary, _: Look) -> Cell:
    return Cell(str(task.attempts), "warn" if task.attempts > 1 else "muted")


def _short(task: TaskSummary, look: Look) -> Cell:
    return Cell(short_id(task.id, ascii_only=look.ascii_only), "muted")


def _says(task: TaskSummary, _: Look) -> Cell:
    bad = task.status in _PROBLEMS
    return Cell(says(task), "text" if bad else "muted")


TASKS: Listing[TaskSummary] = Listing(
    title="Tasks",
    columns=(
        Column("state", "state", 13, _state, lambda t: mark("task", t.status).order,
               narrow=11),
        Column("type", "type", 9, lambda t, _: Cell(clean(t.type), "strong"),
               lambda t: t.type, grows=1),
        Column("agent", "agent", 11, lambda t, _: Cell(clean(t.agent or "-")),
               lambda t: t.agent or "", grows=1, narrow=10),
        Column("took", "took", 7, _took,
               lambda t: took_ms(t, Look()) or 0.0, right=True, descending=True),
        Column("age", "age", 7,
               lambda t, look: Cell(age(since(t.submitted, look.now)), "muted"),
               lambda t: how_old(t.submitted), right=True, rank=2),
        Column("says", "says", 14, _says, says, grows=4, rank=2),
        Column("tries", "tries", 6, _attempts, lambda t: t.attempts, right=True,
               rank=3, descending=True),
        Column("priority", "priority", 9,
               lambda t, _: Cell(t.priority, _PRIORITY_STYLES.get(t.priority, "text")),
               lambda t: _urgency(t.priority), rank=4),
        Column("id", "id", 10, _short,
               lambda t: t.id, rank=3),
    ),
    key=lambda task: task.id,
    problem=is_problem,
    address=lambda task: f"nexa://tasks/{task.id}",
    first=Order("age"),
    empty=(
        "No task yet. Submit one, in another terminal:",
        "nexa task submit wc --data @README.md --wait",
    ),
)  # fmt: skip
"""The list of tasks: the newest first."""


def _urgency(priority: str) -> int:
    known: tuple[str, ...] = PRIORITIES
    return known.index(priority) if priority in known else len(known)
