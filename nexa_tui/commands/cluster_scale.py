"""`nexa cluster scale [N]`: how large the cluster should be, and what gets it there.

nexa has no machines to give: for more nodes it issues the join tokens and says what to
run where, or starts them here with `--here`. For fewer it has nodes leave, one by one.
"""

import argparse
import hashlib
import time

import msgspec

from nexa_node.contract.cluster import ClusterChange, JoinToken, NewJoinToken
from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.contract.nodes import Cluster
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import Queue
from nexa_tui.client.discovery import Target
from nexa_tui.client.launch import start_node
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.asking import confirm
from nexa_tui.commands.node_join import JOIN_TIMEOUT_S
from nexa_tui.commands.output import Call, clean
from nexa_tui.commands.planning import add_plan_options, check_options
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.state.scaling import Plan, Wish, better, plan, standing, wishes
from nexa_tui.state.topology import Part, Topology, topology

_GONE_S = 120.0
"""A node that leaves may have to hand over what it leads."""
_BEAT_S = 0.5


class Scaled(msgspec.Struct, frozen=True, kw_only=True):
    """`nexa cluster scale --json`."""

    nodes: int
    wanted: int
    done: bool
    steps: tuple[str, ...] = ()
    tokens: tuple[JoinToken, ...] = ()
    """For the nodes that are to join; each is good for one."""
    notes: tuple[str, ...] = ()
    plan: str | None = None
    """Of a dry run: with `--plan` just these steps are done."""
    agents: tuple[Wish, ...] = ()
    """Queues that could use more agents."""


def run(arguments: list[str], call: Call) -> int:
    """Advise, or get to the size that is asked for."""
    parser = Parser(
        "cluster scale",
        "How large the cluster should be; with N, get it there: join tokens for more\n"
        "nodes, or nodes that leave one by one. Without N: what is wanted and why.",
    )
    parser.add_argument("nodes", type=int, nargs="?", metavar="N")
    parser.add_argument(
        "--here", action="store_true", help="start the new nodes on this machine"
    )
    add_plan_options(parser)
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        view = topology(node.get("/v1/cluster", Cluster))
        queues = node.get("/v1/queues", Page[Queue], query={"limit": 1000}).items
        wanted = view.members if options.nodes is None else options.nodes
        planned = plan(view, wanted)
        if planned.refused is not None:
            raise Conflict(planned.refused, remedy=planned.remedy)
        _check_plan(view, planned, options)
        done = _carry_out(node, view, planned, options, call)
    done = msgspec.structs.replace(done, agents=tuple(wishes(queues)))
    _tell(done, view, options, call)
    return 0


def _carry_out(
    node: Rest, view: Topology, planned: Plan, options: argparse.Namespace, call: Call
) -> Scaled:
    steps = _steps(planned, here=options.here)
    told = Scaled(
        nodes=planned.have,
        wanted=planned.wanted,
        done=planned.nothing,
        steps=steps,
        notes=planned.notes,
    )
    if planned.nothing or options.dry_run:
        name = None if planned.nothing else _plan_id(view, planned, here=options.here)
        return msgspec.structs.replace(told, plan=name)
    changes = planned.strike or planned.leave or options.here
    if changes and not (options.yes or options.plan):
        what = (
            f"scale {view.cluster.name} from {planned.have} to {planned.wanted} nodes"
        )
        confirm(what, (*steps, *planned.notes), call)
    for part in planned.strike:
        node.post(f"/v1/nodes/{part.node.id}/remove", ClusterChange)
        call.note(f"{part.name} is struck off")
    for part in planned.leave:
        _leave(node, part, call)
    tokens = _join(node, planned.add, options, call)
    done = options.here or not planned.add
    return msgspec.structs.replace(told, done=done, tokens=tokens)


def _plan_id(view: Topology, planned: Plan, *, here: bool) -> str:
    """Name these steps for a cluster of these members, and no others."""
    members = sorted(f"{one.name} {one.state}" for one in view.cluster.nodes)
    facts = (view.cluster.name, members, planned.wanted, _steps(planned, here=here))
    return f"scale-{hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:32]}"


def _check_plan(view: Topology, planned: Plan, options: argparse.Namespace) -> None:
    """Refuse a plan that is not what would be done now.

    Raises:
        Conflict: It is stale, or was made for something else.
    """
    check_options(options)
    if options.plan in {None, _plan_id(view, planned, here=options.here)}:
        return
    steps = "; ".join(_steps(planned, here=options.here)) or "nothing"
    raise Conflict(
        f"the plan is stale, nothing was done; now it would be: {steps}",
        remedy=f"look at it again: nexa cluster scale {planned.wanted} --dry-run",
    )


def _steps(planned: Plan, *, here: bool) -> tuple[str, ...]:
    steps = [f"{part.name} is dead: struck off" for part in planned.strike]
    steps += [f"{part.name} leaves in order" for part in planned.leave]
    if planned.add:
        where = "started here" if here else "to be started elsewhere"
        steps.append(f"{planned.add} more, {where}")
    return tuple(steps)


def _join(
    node: Rest, number: int, options: argparse.Namespace, call: Call
) -> tuple[JoinToken, ...]:
    """Issue tokens; with `--here` use each at once."""
    tokens: list[JoinToken] = []
    for _ in range(number):
        made = node.post("/v1/cluster/join-tokens", JoinToken, body=NewJoinToken())
        if not options.here:
            tokens.append(made)
            continue
        name = _free_name(node)
        started = start_node(
            call.environ,
            flags=("--name", name, "--port", "0", "--join-file", "-"),
            say=call.note if call.err.isatty() else lambda _: None,
            timeout_s=JOIN_TIMEOUT_S,
            stdin=made.token.encode(),
        )
        call.note(f"{name} joined: {started.url}")
    return tuple(tokens)


def _free_name(node: Rest) -> str:
    """`node-2`, or the next that nobody has."""
    taken = {one.name for one in node.get("/v1/cluster", Cluster).nodes}
    number = len(taken) + 1
    while f"node-{number}" in taken:
        number += 1
    return f"node-{number}"


def _leave(node: Rest, part: Part, call: Call) -> None:
    """Have one node leave, and wait until the others agree that it has."""
    there = Target(
        url=part.node.url,
        token=node.target.token,
        name=part.name,
        source=f"node {part.name} of the cluster",
        trust=node.target.trust,
    )
    with Rest(there) as leaving:
        leaving.post("/v1/cluster/leave", ClusterChange)
    end = time.monotonic() + _GONE_S
    while time.monotonic() < end:
        left = node.get("/v1/cluster", Cluster).nodes
        if part.name not in {one.name for one in left}:
            call.note(f"{part.name} has left")
            return
        time.sleep(_BEAT_S)
    raise Unavailable(
        f"{part.name} has not left after {_GONE_S:.0f} s; nothing else was begun",
        remedy="nexa cluster status; then again",
    )


def _tell(
    done: Scaled, view: Topology, options: argparse.Namespace, call: Call
) -> None:
    if options.json:
        call.json(done)
        return
    call.line(f"{clean(view.cluster.name)}: {standing(view)}")
    for text in (*done.steps, *done.notes):
        call.line(f"  {clean(text)}")
    if done.plan is not None:
        here = " --here" if options.here else ""
        call.note(
            f"to do just this: nexa cluster scale {done.wanted}{here} --plan {done.plan}"
        )
    for made in done.tokens:
        call.line()
        call.line("on a machine of its own, with a store that is empty:")
        call.line(f"nexa node start --join {clean(made.token, 8192)}", "bold")
    if done.tokens:
        call.note("each token is good for one node and shown once")
    if options.nodes is None:
        more = better(view)
        if more is not None:
            call.line(f"  {more}")
        _tell_agents(done.agents, call)


def _tell_agents(wanted: tuple[Wish, ...], call: Call) -> None:
    if not wanted:
        call.line("  no queue wants more agents")
    for one in wanted:
        call.line(f"  more agents for {one.queue}: {one.why}", "warn")
    if wanted:
        call.note(
            f"one: nexa agent run --id NAME --capability {wanted[0].queue} -- PROGRAM"
        )
