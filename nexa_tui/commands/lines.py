"""`nexa --screen-reader`: the console line by line, for those who hear it.

Nothing moves, nothing is drawn over: the report, a prompt, and an answer to what was
typed. What changed is told before each prompt, never in the middle of a sentence.
"""

import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from nexa_node.contract.alerts import Alert
from nexa_node.contract.errors import NexaError
from nexa_node.contract.nodes import Cluster
from nexa_node.contract.rest import Page
from nexa_tui.client.discovery import Target, discover
from nexa_tui.client.rest import Rest
from nexa_tui.commands.dispatch import dispatch
from nexa_tui.commands.output import Call, clean
from nexa_tui.commands.plain import alert_line, report
from nexa_tui.state.alerts import is_problem

PROMPT = "nexa> "
_HELP = (
    "Type a command without nexa in front: alerts, agents, task list, node drain alpha.",
    "An empty line tells what changed. status reads the report again. help lists the",
    "commands. quit ends.",
)


@dataclass(frozen=True, slots=True)
class Heard:
    """What was told last."""

    verdict: str = ""
    reasons: tuple[str, ...] = ()
    nodes: Mapping[str, str] = field(default_factory=dict[str, str])
    """States by name."""
    alerts: Mapping[str, Alert] = field(default_factory=dict[str, Alert])
    """Those that wait for somebody, by fingerprint."""
    trouble: str = ""
    """Why nothing could be asked."""


def run(call: Call, *, context: str | None, attach: str | None) -> int:
    """Report, then answer line by line until `quit` or the end of the input."""
    call.colour = False
    code = report(call, context=context, attach=attach)
    for line in _HELP:
        call.line(line)
    heard = listen(call, context=context, attach=attach)
    while True:
        call.out.write(PROMPT)
        call.out.flush()
        typed = sys.stdin.readline()
        if not typed:
            call.line()
            return code
        words = typed.strip()
        if words in {"quit", "exit", "q"}:
            return 0
        if words == "status":
            code = report(call, context=context, attach=attach)
        elif words:
            _do(words, call)
        now = listen(call, context=context, attach=attach)
        told = list(changes(heard, now))
        for one in told:
            call.line(one)
        if not words and not told:
            call.line(
                f"Nothing changed. {now.verdict or now.trouble}.".replace("..", ".")
            )
        heard = now


def _do(words: str, call: Call) -> None:
    try:
        arguments = shlex.split(words)
    except ValueError as error:
        call.line(f"That can't be read: {error}.")
        return
    if arguments[:1] == ["nexa"]:
        arguments = arguments[1:]
    if not arguments or arguments[0].startswith("-") or arguments[0] == "console":
        arguments = ["help"]
    code = dispatch(arguments, call)
    if code:
        call.line(f"It ended with {code}.")


def listen(call: Call, *, context: str | None, attach: str | None) -> Heard:
    """Ask how things stand; what can't be asked is part of the answer."""
    try:
        target = discover(call.environ, context=context, attach=attach)
        if target is None:
            return Heard(trouble="no node runs here and no context is set")
        return _ask(target)
    except NexaError as error:
        return Heard(trouble=clean(error.message, 300))


def _ask(target: Target) -> Heard:
    with Rest(target) as node:
        cluster = node.get("/v1/cluster", Cluster)
        page = node.get("/v1/alerts", Page[Alert], query={"limit": 500})
    return Heard(
        verdict=cluster.verdict,
        reasons=tuple(clean(one, 300) for one in cluster.reasons),
        nodes={one.name: one.state for one in cluster.nodes},
        alerts={one.fingerprint: one for one in page.items if is_problem(one)},
    )


def changes(before: Heard, now: Heard) -> Iterator[str]:
    """Say in sentences what is different, the worst first."""
    if now.trouble:
        if now.trouble != before.trouble:
            yield f"Nothing can be asked: {now.trouble}."
        return
    if before.trouble:
        yield "The node answers again."
    if now.verdict != before.verdict or now.reasons != before.reasons:
        why = f", because {'; '.join(now.reasons)}" if now.reasons else ""
        yield f"The cluster is {now.verdict}{why}."
    for fingerprint in now.alerts.keys() - before.alerts.keys():
        yield alert_line(now.alerts[fingerprint])
    for fingerprint in before.alerts.keys() - now.alerts.keys():
        yield f"No longer waiting: {clean(before.alerts[fingerprint].name, 80)}."
    yield from _of_nodes(before.nodes, now.nodes)


def _of_nodes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            state = now.get(name) or "no longer in the cluster"
            yield f"Node {clean(name, 60)} is {state}."
