"""`nexa task`: submit tasks and see what came of them."""

import argparse
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import Namespace, TaskId
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import (
    FINISHED,
    PRIORITIES,
    Budget,
    Explanation,
    NewTask,
    RetryPolicy,
    Submitted,
    Task,
    TaskSummary,
)
from nexa_tui.client.rest import Rest
from nexa_tui.commands import task_card
from nexa_tui.commands.arguments import Parser, choose_verb, seconds
from nexa_tui.commands.output import (
    EXIT_FAILED,
    Call,
    Cell,
    age,
    clean,
    pretty,
    state_style,
)
from nexa_tui.commands.payload import read_data
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.commands.records import Listed, checked_id, list_records, on_record

_POLL_S = 10.0
"""How long the node may wait for the end of a task before it answers."""
_LOOK_S = 1.0
"""The same where each change is told: what comes in between is not seen."""
_VERBS = ("submit", "list", "show", "cancel", "explain", "watch")


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verb, rest = choose_verb("task", arguments, _VERBS, default="list")
    does = {
        "submit": _submit,
        "list": _list,
        "show": _show,
        "cancel": _cancel,
        "explain": _explain,
        "watch": _watch,
    }
    return does[verb](rest, call)


def _submit(arguments: list[str], call: Call) -> int:
    options = _submit_parser().parse_args(arguments)
    task = NewTask(
        type=options.type,
        data=read_data(options.data, sys.stdin.buffer.read),
        id=options.id,
        priority=options.priority,
        namespace=Namespace(options.namespace) if options.namespace else None,
        labels=_pairs(options.label),
        fairness_key=options.fairness_key,
        idempotency_key=options.idempotency_key,
        retry=RetryPolicy(max_attempts=options.max_attempts),
        budget=_budget(options),
        delay_ms=None if options.delay is None else round(options.delay * 1000),
        deadline=_from_now(options.deadline),
        start_by=_from_now(options.start_by),
        parent=TaskId(options.parent) if options.parent else None,
    )
    with reach(options, call) as node:
        told = node.post("/v1/tasks", Submitted, body=task)
        if not options.wait:
            _say_submitted(told, options, call)
            return 0
        end = time.monotonic() + options.timeout if options.timeout else None
        finished = _follow(node, told.id, call, quiet=options.json, end=end)
    return _say_outcome(finished, options, call)


def _submit_parser() -> Parser:
    parser = Parser(
        "task submit",
        "Submit a task. It is answered when the task is safe in the store.",
        epilog=(
            "--data takes JSON, @FILE or - (standard input). A file, or input, that is\n"
            "JSON is sent as JSON; anything else is sent as one JSON string of its text.\n\n"
            "  nexa task submit wc --data @README.md --wait\n"
            "  nexa task submit resize --data '{\"width\": 80}' --priority high"
        ),
    )
    parser.add_argument("type", help="the capability that is asked for")
    parser.add_argument("--data", metavar="JSON|@FILE|-")
    parser.add_argument("--priority", choices=PRIORITIES, default="normal")
    parser.add_argument("--wait", action="store_true", help="until it is finished")
    parser.add_argument("--timeout", type=seconds, metavar="S", help="of --wait")
    parser.add_argument("--id", metavar="ID", help="a slug; made if none is given")
    parser.add_argument("--idempotency-key", metavar="KEY")
    parser.add_argument("--fairness-key", metavar="KEY")
    parser.add_argument("--namespace", metavar="NAME")
    parser.add_argument("--label", action="append", default=[], metavar="K=V")
    parser.add_argument("--max-attempts", type=int, default=3, metavar="N")
    parser.add_argument("--budget-tokens", type=int, metavar="N", help="it may use")
    parser.add_argument("--budget-usd", type=float, metavar="USD", help="it may cost")
    parser.add_argument("--delay", type=seconds, metavar="S", help="not before that")
    parser.add_argument(
        "--start-by", type=seconds, metavar="S", help="expired unless begun by then"
    )
    parser.add_argument(
        "--deadline", type=seconds, metavar="S", help="expired unless finished by then"
    )
    parser.add_argument("--parent", metavar="ID", help="the task it is a part of")
    add_target_options(parser)
    return parser


def _from_now(wait_s: float | None) -> datetime | None:
    return None if wait_s is None else datetime.now(UTC) + timedelta(seconds=wait_s)


def _pairs(given: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise Invalid(f"'{text}' is no label", remedy="give --label KEY=VALUE")
        pairs[key] = value
    return pairs


def _budget(options: argparse.Namespace) -> Budget | None:
    tokens, cost_usd = options.budget_tokens, options.budget_usd
    if tokens is None and cost_usd is None:
        return None
    return Budget(tokens=tokens, cost_usd=cost_usd)


def _say_submitted(told: Submitted, options: argparse.Namespace, call: Call) -> None:
    if options.json:
        call.json(told)
        return
    call.line(clean(told.id))
    if told.duplicate:
        call.note(f"it was submitted before, and is {told.status}")


def _follow(
    node: Rest, task_id: TaskId, call: Call, *, quiet: bool, end: float | None = None
) -> Task:
    """Wait for a task to finish, telling each change; the task as it is at `end`."""
    told = ""
    while True:
        wait_s = _POLL_S if quiet else _LOOK_S
        if end is not None:
            wait_s = max(0.0, min(wait_s, end - time.monotonic()))
        path = f"/v1/tasks/{task_id}"
        task = node.get(path, Task, query={"wait_s": wait_s}, wait_s=wait_s)
        words = _progress(task)
        if words != told and not quiet:
            call.note(words)
        told = words
        if task.status in FINISHED or (end is not None and time.monotonic() >= end):
            return task


def _progress(task: Task) -> str:
    words = f"{task.id} {task.status}"
    if task.agent and task.status not in FINISHED:
        words += f" on {task.agent} (attempt {task.attempts})"
    if task.pct is not None and task.status not in FINISHED:
        words += f" {task.pct:.0f} %"
    return words + (
        f": {task.note}" if task.note and task.status not in FINISHED else ""
    )


def _say_outcome(task: Task, options: argparse.Namespace, call: Call) -> int:
    if options.json:
        call.json(task)
    elif task.status == "completed":
        text = task.result
        call.line(clean_block(text) if isinstance(text, str) else pretty(text))
    elif task.status in FINISHED:
        call.note(f"nexa: {task.id} {task.status}: {_plain(task.error)}")
        call.note(f"see its history: nexa task show {task.id}")
    else:
        call.note(f"nexa: {task.id} is still {task.status}; it goes on")
        call.note(f"why it waits: nexa task explain {task.id}")
    return 0 if task.status == "completed" else EXIT_FAILED


def clean_block(text: str) -> str:
    """Several lines of foreign text, each made harmless."""
    return "\n".join(clean(line, 10_000) for line in text.split("\n"))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _list(arguments: list[str], call: Call) -> int:
    return list_records(_TASKS, arguments, call)


def _row(task: TaskSummary, now: datetime) -> tuple[str | Cell, ...]:
    took = "-"
    if task.started is not None:
        seconds = ((task.finished or now) - task.started).total_seconds()
        took = (
            f"{seconds:.2f}s"
            if seconds < 100
            else age(task.started, task.finished or now)
        )
    return (
        task.id,
        task.type,
        Cell(task.status, state_style(task.status)),
        task.priority,
        str(task.attempts),
        task.agent or "-",
        age(task.submitted, now),
        took,
        (task.summary or task.note or "")[:40],
    )


_TASKS = Listed(
    command="task list",
    about="List tasks, the newest first.",
    path="/v1/tasks",
    page=Page[TaskSummary],
    filters=("status", "type", "agent", "parent", "namespace"),
    titles=(
        "TASK", "TYPE", "STATUS", "PRIORITY", "TRIES", "AGENT", "AGE", "TOOK", "SAYS",
    ),
    row=_row,
    empty="no tasks. Submit one: nexa task submit wc --data @README.md --wait",
)  # fmt: skip


def _show(arguments: list[str], call: Call) -> int:
    return on_record(
        "task show",
        "Show one task: data, result, history.",
        arguments,
        call,
        ask=lambda node, task: node.get(f"/v1/tasks/{task}", Task),
        tell=task_card.tell,
    )


def _cancel(arguments: list[str], call: Call) -> int:
    return on_record(
        "task cancel",
        "Call a task off, pending or running.",
        arguments,
        call,
        ask=lambda node, task: node.post(f"/v1/tasks/{task}/cancel", Task),
        tell=lambda task, call: call.line(f"{clean(task.id)} is {task.status}"),
    )


def _explain(arguments: list[str], call: Call) -> int:
    return on_record(
        "task explain",
        "Say why a task is where it is.",
        arguments,
        call,
        ask=lambda node, task: node.get(f"/v1/tasks/{task}/explain", Explanation),
        tell=_tell_why,
    )


def _tell_why(told: Explanation, call: Call) -> None:
    call.line(f"{clean(told.id)} is {told.status}: {clean(told.verdict, 400)}")
    if told.considered:
        call.line()
        call.table(
            ("AGENT", "ELIGIBLE", "WHY"),
            [
                (one.agent, "yes" if one.eligible else "no", one.reason)
                for one in told.considered
            ],
            empty="",
        )


def _watch(arguments: list[str], call: Call) -> int:
    parser = Parser("task watch", "Follow a task until it is finished.")
    parser.add_argument("id")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        task_id = TaskId(checked_id(options.id))
        task = _follow(node, task_id, call, quiet=options.json)
    return _say_outcome(task, options, call)
