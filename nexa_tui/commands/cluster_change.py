"""Changing what a cluster is made of: who may join, who goes, how many copies there are."""

import time
from urllib.parse import quote

import msgspec

from nexa_node.contract.cluster import (
    ClusterChange,
    Copies,
    Growth,
    JoinToken,
    NewJoinToken,
)
from nexa_node.contract.errors import NexaError
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import Call
from nexa_tui.commands.planning import add_plan_options, change, tell_change
from nexa_tui.commands.progress import Progress, growth_of
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.commands.token import seconds

_BEAT_S = 0.3
_OVER = frozenset(("done", "failed", "rolled_back"))
_DEFAULT = "30m"


def join_token(arguments: list[str], call: Call) -> int:
    """Issue a token by which one node may join; alone on stdout, so that it can be piped."""
    parser = Parser(
        "cluster join-token",
        "A token by which one node may join, once.",
        epilog="On the machine of the new node: nexa node start --join TOKEN\n"
        "or, so that nobody else there sees it: nexa node start --join-file -",
    )
    parser.add_argument(
        "--expires", default=_DEFAULT, metavar=_DEFAULT, help="from now on"
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    wanted = NewJoinToken(expires_s=seconds(options.expires))
    with reach(options, call) as node:
        made = node.post("/v1/cluster/join-tokens", JoinToken, body=wanted)
    if options.json:
        call.json(made)
        return 0
    call.line(made.token)
    call.note(
        f"good for one node until {made.expires:%H:%M} UTC; it is not shown again"
    )
    call.note("there: nexa node start --join TOKEN, or --join-file - and paste it")
    return 0


def leave(arguments: list[str], call: Call) -> int:
    """Have a node leave in order."""
    parser = Parser(
        "cluster leave",
        "Have the node that is asked leave the cluster for good: its agents are asked\n"
        "to move, its copies are made anew elsewhere, then it ends.",
        epilog="Another one than here: nexa cluster leave --attach URL\n"
        "For a while: nexa node maintenance on, or nexa node drain",
    )
    add_plan_options(parser)
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        told = change(node, "/v1/cluster/leave", options, call)
    tell_change(told, options, call, ("nexa", "cluster", "leave"))
    return 0


def remove(arguments: list[str], call: Call) -> int:
    """Strike a dead node off."""
    parser = Parser(
        "cluster remove",
        "Strike a dead node off the cluster; its copies are made anew elsewhere.",
        epilog="A node that is alive leaves by itself: nexa cluster leave --attach URL",
    )
    parser.add_argument("node", metavar="NODE", help="its name or its id")
    add_plan_options(parser)
    add_target_options(parser)
    options = parser.parse_args(arguments)
    path = f"/v1/nodes/{quote(options.node, safe='')}/remove"
    with reach(options, call) as node:
        told = change(node, path, options, call)
    tell_change(told, options, call, ("nexa", "cluster", "remove", options.node))
    return 0


def replicas(arguments: list[str], call: Call) -> int:
    """Keep so many copies of everything; waits until they are there."""
    parser = Parser(
        "cluster replicas",
        "Keep so many copies of everything: 1, 3 or 5. Of 3 copies any one may be lost,\n"
        "of 5 any two. Writes go on meanwhile.",
    )
    parser.add_argument("copies", type=int, metavar="N", choices=(1, 3, 5))
    parser.add_argument(
        "--no-wait", action="store_true", help="answer when it has begun"
    )
    add_plan_options(parser)
    add_target_options(parser)
    options = parser.parse_args(arguments)
    body = Copies(copies=options.copies)
    with reach(options, call) as node:
        path = "/v1/cluster/replicas"
        told = change(node, path, options, call, body=body)
        if told.growth is not None and not options.no_wait:
            told = _finished(node, told, call, quiet=options.json)
    tell_change(
        told, options, call, ("nexa", "cluster", "replicas", str(options.copies))
    )
    return 0


_ROTATE_S = 600.0
"""Each node makes its routes anew several times, one node after the other."""


def rotate(arguments: list[str], call: Call) -> int:
    """Give all nodes new authorities and a new password for their routes."""
    parser = Parser(
        "cluster rotate",
        "Give all nodes new authorities and a new password for their routes. No call\n"
        "fails; who was struck off, and has the old keys, is shut out for good.",
    )
    add_plan_options(parser)
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        told = change(node, "/v1/cluster/rotate", options, call, wait_s=_ROTATE_S)
    tell_change(told, options, call, ("nexa", "cluster", "rotate"))
    return 0


def _finished(
    node: Rest, told: ClusterChange, call: Call, *, quiet: bool
) -> ClusterChange:
    """Wait for the end of a change that has begun.

    Raises:
        NexaError: It failed; the node's own words.
    """
    growth = told.growth
    with Progress(call, quiet=quiet) as progress:
        while growth is not None and growth.phase not in _OVER:
            progress.growth(growth)
            time.sleep(_BEAT_S)
            growth = growth_of(node)
    if growth is not None:
        check(growth)
    return msgspec.structs.replace(told, growth=growth)


def check(growth: Growth) -> None:
    """Raise what a change of the cluster's shape died of, if it did.

    Raises:
        NexaError: It failed or was rolled back.
    """
    if growth.phase == "failed" or growth.error is not None:
        raise NexaError(
            f"{growth.action}: {growth.error or growth.detail or growth.phase}",
            remedy=growth.remedy or "nexa cluster status",
        )
    if growth.phase == "rolled_back":
        raise NexaError(
            f"{growth.action} was rolled back, nothing is changed: {growth.detail}",
            remedy=growth.remedy or "nexa cluster status; then again",
        )
