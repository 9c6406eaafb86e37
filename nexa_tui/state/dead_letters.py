"""Dead letters as rows: tasks that used up their attempts, and what would mend them."""

import msgspec

from nexa_node.contract.tasks import TaskSummary
from nexa_tui.state.effects import Effect
from nexa_tui.state.listing import Listing
from nexa_tui.state.tasks import TASKS, says
from nexa_tui.state.text import clean


def _always(_: TaskSummary) -> bool:
    return True


DEAD_LETTERS: Listing[TaskSummary] = msgspec.structs.replace(
    TASKS,
    title="Dead letters",
    empty=("No task used up its attempts.", "nexa dead-letters list"),
    problem=_always,
)
"""The columns of tasks; an address is the task's."""


def redrive_task(task: TaskSummary) -> Effect:
    """Bring one back into its queue."""
    lines = (
        f"It failed {task.attempts} times, the last time: {says(task) or 'without a word'}.",
        "It waits in its queue again, all its attempts before it.",
    )
    return Effect(
        "Redrive a dead letter",
        f"{clean(task.id)} ({clean(task.type)})",
        lines,
        "Redrive it",
    )


def purge_task(task: TaskSummary) -> Effect:
    """Forget one for good."""
    lines = (
        "Its data, its history and its error are gone for good.",
        "To keep them first: nexa task show ID --json",
    )
    return Effect(
        "Purge a dead letter",
        f"{clean(task.id)} ({clean(task.type)})",
        lines,
        "Purge it",
        keep="Keep it",
    )
