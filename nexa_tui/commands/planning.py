"""Dangerous commands: look first, then do just that.

`--dry-run` tells the plan and the command that carries it out; `--plan ID` carries it out,
unless something changed since; without either a person at a terminal sees the plan and is
asked. What he agreed to is what is done: the call names the plan.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nexa_node.contract.cluster import ClusterChange
from nexa_node.contract.plans import Plan
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser, Usage
from nexa_tui.commands.asking import confirm
from nexa_tui.commands.output import Call, clean
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.commands.records import checked_id
from nexa_tui.state.lookalikes import warnings

_WORDS_MAX = 400
"""A command with more characters is not told whole: what is cut off does not run."""

Asked = dict[str, Any]
"""The query of the call: `plan`, or nothing."""


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """Add `--yes`, `--dry-run` and `--plan`."""
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what it would do, and do nothing"
    )
    parser.add_argument(
        "--plan", metavar="ID", help="only if all is as it was in that --dry-run"
    )


def check_options(options: argparse.Namespace) -> None:
    """Refuse options that contradict each other.

    Raises:
        Usage: A plan is to be made and carried out at once.
    """
    if options.plan is not None and options.dry_run:
        raise Usage(
            "a plan is made, or carried out: not both",
            remedy="leave out --dry-run, or --plan",
        )


def agree(
    node: Rest,
    method: str,
    path: str,
    options: argparse.Namespace,
    call: Call,
    *,
    command: Sequence[str],
    body: Any = None,
) -> Asked | None:
    """Find out whether it is to be done, and by which plan.

    Where nobody can be asked it is done, as the words say: a script means them.

    Args:
        node: Whom to ask.
        method: `POST` or `DELETE`.
        path: Of the operation.
        options: With `yes`, `dry_run`, `plan` and `json`.
        call: Where to speak.
        command: The words that do it: `nexa`, `token`, `revoke`, …
        body: What is wanted.

    Returns:
        The query to do it with; None after a dry run, which was told.

    Raises:
        Invalid: The person said no; nothing was done.
        NexaError: The node will not do it.
    """
    check_options(options)
    if options.plan is not None:
        return {"plan": options.plan}
    if options.dry_run:
        tell_plan(node.plan(method, path, body=body), options, call, command)
        return None
    if options.yes or not sys.stdin.isatty():
        return {}
    plan = node.plan(method, path, body=body)
    confirm(plan.what, plan.effects, call)
    return {"plan": plan.id}


def tell_plan(
    plan: Plan, options: argparse.Namespace, call: Call, command: Sequence[str]
) -> None:
    """Say what would be done, and what does it."""
    if options.json:
        call.json(plan)
        return
    call.line(clean(plan.what, 300), "bold")
    for effect in plan.effects:
        call.line(f"  {clean(effect, 300)}")
    for line in warnings((plan.what, *plan.effects)):
        call.line(f"  {clean(line, 200)}", "warn")
    figures = ", ".join(
        f"{number:,} {name.removesuffix('s') if number == 1 else name}"
        for name, number in plan.counts.items()
    )
    if figures:
        call.line(f"  touches {clean(figures, 200)}")
    tell_how(plan, options, call, command)


def tell_how(
    plan: Plan | None, options: argparse.Namespace, call: Call, command: Sequence[str]
) -> None:
    """Say the plan's id, and the command that carries it out."""
    if plan is None:
        return  # an older node makes none
    where = [
        word
        for name in ("context", "attach")
        if (given := getattr(options, name, None)) is not None
        for word in (f"--{name}", given)
    ]
    words = shlex.join([*command, *where, "--plan", plan.id])
    if len(words) > _WORDS_MAX:
        words = f"the same with --plan {plan.id}"
    call.note(
        f"to do just this, until {plan.expires:%H:%M:%S} UTC: {clean(words, _WORDS_MAX)}"
    )


def change(
    node: Rest,
    path: str,
    options: argparse.Namespace,
    call: Call,
    *,
    body: Any = None,
    wait_s: float = 0.0,
) -> ClusterChange:
    """Change the cluster, after asking; with `--dry-run` only say what it would do.

    Args:
        node: Whom to ask.
        path: Of the change.
        options: With `yes`, `dry_run` and `plan`.
        call: Where to ask.
        body: What is wanted.
        wait_s: How long it may take.

    Raises:
        Invalid: Nobody can be asked, or the answer was no; nothing was done.
        Conflict: The plan is stale.
        NexaError: The node will not do it.
    """
    check_options(options)
    query: Asked = {} if options.plan is None else {"plan": options.plan}
    if not (options.yes or query) or options.dry_run:
        planned = node.post(path, ClusterChange, body=body, query={"dry_run": True})
        if options.dry_run:
            return planned
        confirm(planned.what, planned.effects, call)
        query = {} if planned.plan is None else {"plan": planned.plan.id}
    return node.post(path, ClusterChange, body=body, query=query, wait_s=wait_s)


def tell_change(
    told: ClusterChange,
    options: argparse.Namespace,
    call: Call,
    command: Sequence[str],
) -> None:
    """Say what was done, or would be; its effects are for the person."""
    if options.json:
        call.json(told)
        return
    call.line(clean(told.what, 300))
    for effect in told.effects if not told.done else ():
        call.line(f"  {clean(effect, 300)}")
    tell_how(told.plan, options, call, command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one record is ended."""

    method: Literal["POST", "DELETE"]
    path: str
    """`{}` is where its id goes."""
    did: str
    """What came of it, one word: `revoked`."""
    member: str = "id"
    """What the id is called in the answer."""


def end_record(
    command: str, about: str, how: Ending, arguments: list[str], call: Call
) -> int:
    """End one record, after looking at what that does.

    Args:
        command: Noun and verb: `token revoke`.
        about: One sentence for the help.
        how: What is asked of the node.
        arguments: The record's id, and the usual options.
        call: Where to speak.
    """
    parser = Parser(command, about)
    parser.add_argument("one", metavar=how.member.upper())
    add_plan_options(parser)
    add_target_options(parser)
    options = parser.parse_args(arguments)
    one = checked_id(options.one)
    words = ("nexa", *command.split(), one)
    path = how.path.format(one)
    with reach(options, call) as node:
        asked = agree(node, how.method, path, options, call, command=words)
        if asked is None:
            return 0
        if how.method == "DELETE":
            node.delete(path, query=asked)
        else:
            node.post(path, type(None), query=asked)
    if options.json:
        call.json({how.member: one, how.did: True})
    else:
        call.line(f"{clean(one)} is {how.did}")
    return 0
