"""`nexa node`: run, start, stop or look at a node of this machine."""

import argparse
import os
import sys
import time
from datetime import UTC, datetime

from nexa_node.contract.errors import NotFound
from nexa_node.contract.nodes import NodeFile, NodeStatus
from nexa_node.contract.version import VERSION
from nexa_tui.client.discovery import Target, discover, local_nodes
from nexa_tui.client.launch import (
    START_TIMEOUT_S,
    Say,
    exists,
    find_local,
    start_node,
    stop_node,
)
from nexa_tui.client.rest import NoNode, Rest
from nexa_tui.commands.arguments import Parser, Usage, choose_verb
from nexa_tui.commands.node_care import drain, maintenance
from nexa_tui.commands.node_join import (
    JOIN_TIMEOUT_S,
    add_join_options,
    refuse_running,
    token_of,
    token_on_stdin,
)
from nexa_tui.commands.output import EXIT_FAILED, EXIT_NO_NODE, Call, age, state_style
from nexa_tui.commands.reach import add_target_options

_VERBS = ("run", "start", "stop", "restart", "status", "drain", "maintenance")
_BEAT_S = 0.05


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verb, rest = choose_verb("node", arguments, _VERBS, default="status")
    does = {
        "run": _run,
        "start": _start,
        "stop": _stop,
        "restart": _restart,
        "status": _status,
        "drain": drain,
        "maintenance": maintenance,
    }
    return does[verb](rest, call)


def _run(arguments: list[str], call: Call) -> int:
    """Become the node, in the foreground."""
    call.out.flush()
    parser = Parser("node run", "", add_help=False)
    add_join_options(parser)
    options, rest = parser.parse_known_args(arguments)
    token = token_of(options, call)
    if token is not None:
        token_on_stdin(token)
        rest += ["--join-file", "-"]
    words = [sys.executable, "-m", "nexa_node", "run", "--foreground", *rest]
    os.execve(sys.executable, words, dict(call.environ))  # noqa: S606  # no shell is wanted


def _node_options(parser: Parser) -> None:
    parser.add_argument(
        "--name", metavar="NAME", help="a slug; the host's name by default"
    )
    parser.add_argument(
        "--port", type=int, metavar="PORT", help="6392 by default; 0: any"
    )
    parser.add_argument("--config", metavar="FILE", help="instead of nexa.toml")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting: leases.lease_ms=10000",
    )
    parser.add_argument("--timeout", type=float, metavar="S", help="until it is ready")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def _flags(options: argparse.Namespace) -> tuple[str, ...]:
    flags: list[str] = []
    for name in ("name", "port", "config"):
        value = getattr(options, name)
        if value is not None:
            flags += [f"--{name}", str(value)]
    for pair in options.set:
        flags += ["--set", pair]
    return tuple(flags)


def _start(arguments: list[str], call: Call) -> int:
    parser = Parser(
        "node start", "Start a node in the background; returns when it is ready."
    )
    _node_options(parser)
    add_join_options(parser)
    options = parser.parse_args(arguments)
    token = token_of(options, call)
    if options.timeout is None:
        options.timeout = START_TIMEOUT_S if token is None else JOIN_TIMEOUT_S
    target = _running(options, call)
    if target is not None and _answers_or_ends(target, options.timeout):
        if token is not None:
            refuse_running(target)
        call.note(f"{target.name} runs already (pid {target.pid})")
    else:
        target = start_node(
            call.environ,
            flags=_flags(options) + (("--join-file", "-") if token else ()),
            say=_say(call),
            timeout_s=options.timeout,
            stdin=None if token is None else token.encode(),
        )
    _tell_started(target, options, call)
    return 0


def _answers_or_ends(target: Target, timeout_s: float) -> bool:
    """Wait for a node whose process is there: True once it answers, False if it ended.

    One that was killed just now is listed until the kernel has taken it down.

    Raises:
        NoNode: It still does neither.
    """
    end = time.monotonic() + timeout_s
    while True:
        try:
            with Rest(target) as node:
                node.get("/v1/node", NodeStatus)
        except NoNode:
            if not exists(target.pid):
                return False
            if time.monotonic() > end:
                raise
            time.sleep(_BEAT_S)
        else:
            return True


def _running(options: argparse.Namespace, call: Call) -> Target | None:
    """The node that is asked for, if it runs already: starting twice is no error."""
    for target in local_nodes(call.environ):
        same_port = options.port in {None, 0} or target.url.endswith(f":{options.port}")
        if options.name in {None, target.name} and same_port:
            return target
    return None


def _tell_started(target: Target, options: argparse.Namespace, call: Call) -> None:
    with Rest(target) as node:
        status = node.get("/v1/node", NodeStatus)
    if options.json:
        call.json(status)
    else:
        call.line(target.url)
        call.note(f"node {target.name} is {status.state} (pid {status.pid})")


def _stop(arguments: list[str], call: Call) -> int:
    parser = Parser("node stop", "Drain a node of this machine, and end it.")
    parser.add_argument("--name", metavar="NAME")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="S")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(arguments)
    _refuse_several("stop", options, call)
    found = find_local(call.environ, options.name)
    if found is None or not found.alive:
        which = options.name or "node"
        call.note(f"no {which} runs on this machine")
        if options.json:
            call.json(_stopped(found.file if found else None, options.name))
        return 0
    _stop_one(found.file, call, options.timeout)
    if options.json:
        call.json(_stopped(found.file, options.name))
    else:
        call.line(f"node {found.file.name} is stopped")
    return 0


def _refuse_several(verb: str, options: argparse.Namespace, call: Call) -> None:
    """Of several nodes on this machine none is meant before one is named.

    Raises:
        Usage: There are several, and no name.
    """
    running = [target.name for target in local_nodes(call.environ)]
    if options.name is None and len(running) > 1:
        raise Usage(
            f"{len(running)} nodes run on this machine: {', '.join(running)}",
            remedy=f"nexa node {verb} --name {running[-1]}",
        )


def _stop_one(file: NodeFile, call: Call, timeout_s: float) -> None:
    target = Target(
        url=file.url, token=None, name=file.name, source="here", pid=file.pid
    )
    stop_node(target, environ=call.environ, say=_say(call), timeout_s=timeout_s)


def _say(call: Call) -> Say:
    """Progress is for a person; a script hears the outcome alone."""
    return call.note if call.err.isatty() else _nothing


def _nothing(_: str) -> None:
    return


def _restart(arguments: list[str], call: Call) -> int:
    parser = Parser(
        "node restart", "Drain and end a node of this machine, start it again."
    )
    _node_options(parser)
    options = parser.parse_args(arguments)
    _refuse_several("restart", options, call)
    found = find_local(call.environ, options.name)
    if found is not None and found.alive:
        _stop_one(found.file, call, 30.0)
        options.name = options.name or found.file.name
        if options.port is None:
            options.port = int(found.file.url.rpartition(":")[2])
    target = start_node(
        call.environ,
        flags=_flags(options),
        timeout_s=options.timeout or START_TIMEOUT_S,
    )
    _tell_started(target, options, call)
    return 0


def _status(arguments: list[str], call: Call) -> int:
    parser = Parser("node status", "Show the node: exit 0 if it runs, 3 if none does.")
    parser.add_argument("--name", metavar="NAME")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    target = discover(
        call.environ, context=options.context, attach=options.attach, name=options.name
    )
    if target is None:
        return _status_of_none(options, call)
    with Rest(target) as node:
        try:
            status = node.get("/v1/node", NodeStatus)
        except NoNode:
            if target.pid is None:
                raise
            status = _unresponsive(options, call)
    if options.json:
        call.json(status)
    else:
        _print_status(status, call)
    return 0 if status.state != "error" else EXIT_FAILED


def _unresponsive(options: argparse.Namespace, call: Call) -> NodeStatus:
    """A node whose process lives and whose port does not answer."""
    found = find_local(call.environ, options.name)
    if found is None:
        raise NotFound("the node ended just now", remedy="nexa node status")
    starting = found.file.state in {"starting", "stopping"}
    return NodeStatus(
        id=found.file.id,
        name=found.file.name,
        state=found.file.state if starting else "error",
        url=found.file.url,
        pid=found.file.pid,
        version=found.file.version,
        started=found.file.started,
        cluster=found.file.cluster,
        error=None if starting else "its process lives and its port does not answer",
        remedy=None if starting else f"nexa node restart --name {found.file.name}",
    )


def _status_of_none(options: argparse.Namespace, call: Call) -> int:
    found = find_local(call.environ, options.name)
    status = _stopped(found.file if found else None, options.name)
    if options.json:
        call.json(status)
    elif found is not None:
        call.line(f"node {status.name} is stopped; it ended without a word")
        call.note("start it again: nexa node start")
    else:
        call.line("no node on this machine")
        call.note("start one: nexa node start")
    return EXIT_NO_NODE


def _stopped(file: NodeFile | None, name: str | None) -> NodeStatus:
    return NodeStatus(
        id=file.id if file else None,
        name=file.name if file else name or "",
        state="stopped",
        url=None,
        pid=None,
        version=file.version if file else VERSION,
        started=None,
        cluster=file.cluster if file else None,
    )


def _print_status(status: NodeStatus, call: Call) -> None:
    call.line(f"{status.name} is {status.state}", state_style(status.state))
    rows = [
        ("url", status.url or "-"),
        ("pid", str(status.pid or "-")),
        ("version", status.version),
        ("cluster", status.cluster or "-"),
        ("store", status.store or "-"),
        ("health", status.health + "".join(f"; {reason}" for reason in status.reasons)),
        ("up", age(status.started, datetime.now(UTC))),
    ]
    if status.tasks is not None:
        waiting, running = (
            status.tasks.pending,
            status.tasks.running + status.tasks.assigned,
        )
        rows.append(("tasks", f"{waiting} waiting, {running} running"))
    if status.agents is not None:
        rows.append(("agents", str(status.agents)))
    if status.error:
        rows += [("error", status.error), ("mend", status.remedy or "-")]
    for key, value in rows:
        call.line(f"  {key:<9}{value}")
