"""`nexa node drain` and `nexa node maintenance`: a node that is to rest, or to end."""

import argparse
import sys
from urllib.parse import quote

from nexa_node.contract.cluster import Maintenance
from nexa_node.contract.errors import Invalid, NexaError, NotFound
from nexa_node.contract.nodes import Cluster, Node, NodeStatus
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import Call, clean
from nexa_tui.commands.planning import add_plan_options, agree
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.state.topology import topology
from nexa_tui.state.topology_loss import loss, loss_sentences


def drain(arguments: list[str], call: Call) -> int:
    """Stop a node gracefully; asks first where writes would stop."""
    parser = Parser(
        "node drain", "Take nothing new, finish what is in hand, then end the process."
    )
    _add_node(parser)
    add_plan_options(parser)
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        cluster = node.get("/v1/cluster", Cluster)
        found = _find(node, cluster, options.node)
        path = f"/v1/nodes/{quote(found.id, safe='')}/drain"
        _refuse_if_it_hurts(cluster, found, options)
        words = ("nexa", "node", "drain", found.name)
        asked = agree(node, "POST", path, options, call, command=words)
        if asked is None:
            return 0
        node.post(path, type(None), query=asked)
    if options.json:
        call.json({"id": found.id, "name": found.name, "state": "stopping"})
    else:
        call.line(f"node {clean(found.name)} drains, and ends")
    return 0


def maintenance(arguments: list[str], call: Call) -> int:
    """Begin or end a node's maintenance; its process, vote and copies stay."""
    parser = Parser(
        "node maintenance",
        "Have a node take nothing new, or take it again. Its agents are asked to move,\n"
        "what they have in hand is finished; its vote and its copies of the data stay.",
    )
    parser.add_argument("on", choices=("on", "off"), metavar="on|off")
    _add_node(parser)
    add_target_options(parser)
    options = parser.parse_args(arguments)
    on = options.on == "on"
    with reach(options, call) as node:
        found = _find(node, node.get("/v1/cluster", Cluster), options.node)
        path = f"/v1/nodes/{quote(found.id, safe='')}/maintenance"
        node.post(path, type(None), body=Maintenance(on=on))
    state = "maintenance" if on else "running"
    if options.json:
        call.json({"id": found.id, "name": found.name, "state": state})
    elif on:
        call.line(f"node {clean(found.name)} takes nothing new; its agents move")
        call.note(f"afterwards: nexa node maintenance off {found.name}")
    else:
        call.line(f"node {clean(found.name)} takes work again")
    return 0


def _add_node(parser: Parser) -> None:
    parser.add_argument(
        "node",
        metavar="NODE",
        nargs="?",
        help="its name or its id; the one that is asked by default",
    )


def _find(rest: Rest, cluster: Cluster, wanted: str | None) -> Node:
    """The node that is meant: by name, by id, or the one that is asked.

    Raises:
        NotFound: The cluster has none of that name.
    """
    if wanted is None:
        status = rest.get("/v1/node", NodeStatus)
        if status.id is None:
            raise NexaError(
                f"the node at {rest.target.url} has no id yet",
                remedy="nexa node status",
            )
        wanted = status.id
    for node in cluster.nodes:
        if wanted in {node.id, node.name}:
            return node
    there = ", ".join(node.name for node in cluster.nodes[:8])
    raise NotFound(
        f"the cluster has no node {wanted}; it has {there}",
        remedy="nexa cluster status",
    )


def _refuse_if_it_hurts(
    cluster: Cluster, node: Node, options: argparse.Namespace
) -> None:
    """Where nobody can be asked, nothing is done that stops writes unless so said.

    Raises:
        Invalid: It would, and standard input is no terminal.
    """
    told = loss(topology(cluster), (), node.name)
    agreed = options.yes or options.dry_run or options.plan is not None
    if told is None or not told.breaks or agreed or sys.stdin.isatty():
        return
    effects = "; ".join(sentence.text for sentence in loss_sentences(told))
    raise Invalid(
        f"not done, nobody could be asked: drain node {node.name} of cluster"
        f" {cluster.name}; {effects}",
        remedy="add --yes, or look first with --dry-run",
    )
