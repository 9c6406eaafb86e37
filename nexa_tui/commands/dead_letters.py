"""`nexa dead-letters`: tasks that used up their attempts; brought back, or forgotten."""

import argparse
import sys
from datetime import UTC, datetime
from typing import Any

from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import Namespace, TaskId
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import Redrive, Redriven, TaskSummary
from nexa_tui.commands.arguments import Parser, Usage, choose_verb
from nexa_tui.commands.asking import confirm
from nexa_tui.commands.output import EXIT_FAILED, Call, age
from nexa_tui.commands.planning import add_plan_options, check_options, tell_how
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.state.tasks import says

_VERBS = ("list", "redrive", "purge")
_IDS_MAX = 10_000
"""Ids that one call may name."""
_WHY_MAX = 80
_DONE = {"redrive": "back in the queue", "purge": "forgotten"}


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verb, rest = choose_verb("dead-letters", arguments, _VERBS, default="list")
    return _list(rest, call) if verb == "list" else _change(verb, rest, call)


def _list(arguments: list[str], call: Call) -> int:
    parser = Parser("dead-letters list", "Tasks that used up their attempts.")
    parser.add_argument("--type", metavar="TYPE")
    parser.add_argument("--namespace", metavar="NAME")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--cursor", metavar="CURSOR")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    names = ("type", "namespace", "limit", "cursor")
    with reach(options, call) as node:
        page = node.get(
            "/v1/dead-letters",
            Page[TaskSummary],
            query={name: getattr(options, name) for name in names},
        )
    if options.json:
        call.json(page)
        return 0
    now = datetime.now(UTC)
    call.table(
        ("TASK", "TYPE", "TRIES", "LAST AGENT", "DIED", "WHY"),
        [
            (
                task.id,
                task.type,
                str(task.attempts),
                task.agent or "-",
                age(task.finished or task.submitted, now),
                says(task)[:_WHY_MAX],
            )
            for task in page.items
        ],
        empty="no dead letters",
    )
    if page.items:
        call.note("one in full: nexa task show ID; again: nexa dead-letters redrive ID")
    if page.next_cursor:
        call.note(f"there are more: nexa dead-letters --cursor {page.next_cursor}")
    return 0


def _change(verb: str, arguments: list[str], call: Call) -> int:
    options = _parser(verb).parse_args(arguments)
    wanted = Redrive(
        ids=tuple(TaskId(each) for each in options.ids),
        type=options.type,
        namespace=Namespace(options.namespace) if options.namespace else None,
        all=options.all,
    )
    if not (wanted.ids or wanted.type or wanted.namespace or wanted.all):
        raise Usage(
            "it does not say which dead letters",
            remedy=f"nexa dead-letters {verb} ID…, --type TYPE or --all",
        )
    with reach(options, call) as node:
        path = f"/v1/dead-letters/{verb}"
        check_options(options)
        query: dict[str, Any] = {"plan": options.plan}
        if options.dry_run:
            query = {"dry_run": True}
        elif _is_to_be_asked(verb, options):
            planned = node.post(path, Redriven, body=wanted, query={"dry_run": True})
            if not planned.done:
                return _say(verb, planned, options, call)
            _confirm(verb, planned, call)
            wanted, query = _as_planned(wanted, planned), {}
        told = node.post(path, Redriven, body=wanted, query=query)
    code = _say(verb, told, options, call)
    if options.dry_run and not options.json and told.done:
        words = ("nexa", "dead-letters", verb, *_which(wanted))
        tell_how(told.plan, options, call, words)
    return code


def _is_to_be_asked(verb: str, options: argparse.Namespace) -> bool:
    """Forgetting always is; bringing back where somebody is there to answer."""
    if options.yes or options.plan is not None:
        return False
    return verb == "purge" or sys.stdin.isatty()


def _which(wanted: Redrive) -> list[str]:
    words = list(wanted.ids)
    for name, given in (("--type", wanted.type), ("--namespace", wanted.namespace)):
        words += [] if given is None else [name, given]
    return [*words, "--all"] if wanted.all else words


def _as_planned(wanted: Redrive, planned: Redriven) -> Redrive:
    """Ask for what was agreed to: nobody was asked about what died meanwhile."""
    if len(planned.done) > _IDS_MAX:
        return wanted
    return Redrive(ids=(*planned.done, *planned.failed))


def _parser(verb: str) -> Parser:
    about = {
        "redrive": "Bring dead letters back into their queues, attempts counted anew.",
        "purge": "Forget dead letters for good, with their history.",
    }
    parser = Parser(f"dead-letters {verb}", about[verb])
    parser.add_argument("ids", nargs="*", metavar="ID")
    parser.add_argument("--type", metavar="TYPE", help="all of one type")
    parser.add_argument("--namespace", metavar="NAME", help="all of one namespace")
    parser.add_argument("--all", action="store_true", help="every one there is")
    add_plan_options(parser)
    add_target_options(parser)
    return parser


def _confirm(verb: str, planned: Redriven, call: Call) -> None:
    """Ask before what can't be undone; without a terminal it must be said."""
    number = len(planned.done)
    if verb == "redrive":
        confirm(f"{number} dead letters would be back in their queues", (), call)
        return
    if not sys.stdin.isatty():
        raise Invalid(
            f"{number} dead letters would be forgotten for good",
            remedy="add --yes, or look first with --dry-run",
        )
    call.err.write(f"Forget {number} dead letters for good? [y/N] ")
    call.err.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Invalid("nothing was done", remedy="nexa dead-letters list")


def _say(verb: str, told: Redriven, options: argparse.Namespace, call: Call) -> int:
    if options.json:
        call.json(told)
    else:
        done = "would be " + _DONE[verb] if options.dry_run else _DONE[verb]
        call.line(f"{len(told.done)} {done}")
        for task_id, why in told.failed.items():
            call.note(f"{task_id} was left: {why}")
    return EXIT_FAILED if told.failed else 0
