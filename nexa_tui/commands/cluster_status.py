"""`nexa cluster status`: one verdict; what is wrong, the worst first; nodes; streams."""

import argparse

from nexa_node.contract.nodes import Cluster, Node, StreamPlace
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import EXIT_FAILED, Call, Cell, clean, state_style
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.state.topology import Part, Topology, behind, topology, troubled
from nexa_tui.state.topology_loss import growing, loss, loss_sentences
from nexa_tui.state.topology_told import findings, said_of, seen_words

_STYLES = {"crit": "bad", "warn": "warn", "muted": "dim", "unknown": "warn"}
_MANY = 12
"""More streams are listed only with `--streams`."""


def run(arguments: list[str], call: Call) -> int:
    """Show the cluster; exit 1 when it is unhealthy."""
    parser = Parser(
        "cluster status",
        "The cluster: its verdict, its nodes, where its data is, who doubts whom.",
        epilog="What the loss of a node would do: nexa cluster status --loss NODE",
    )
    parser.add_argument(
        "--streams", action="store_true", help="every stream, not only those in trouble"
    )
    parser.add_argument(
        "--opinions", action="store_true", help="who thinks what of whom"
    )
    parser.add_argument("--loss", metavar="NODE", help="what its end would do")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        cluster = node.get("/v1/cluster", Cluster)
    if options.json:
        call.json(cluster)
    else:
        _print(topology(cluster), options, call)
    return EXIT_FAILED if cluster.verdict == "unhealthy" else 0


def _print(view: Topology, options: argparse.Namespace, call: Call) -> None:
    cluster = view.cluster
    stale = ", STALE: without a quorum this may be old" if cluster.stale else ""
    verdict = state_style(cluster.verdict)
    call.line(f"{clean(cluster.name)} is {cluster.verdict}{stale}", verdict)
    told = findings(view)
    for one in told:
        call.line(f"  {one.text}", _STYLES.get(one.style))
    known = {one.text for one in told}
    for reason in cluster.reasons:
        if clean(reason, 300) not in known:
            call.line(f"  {clean(reason, 300)}")
    _print_votes(view, call)
    call.line()
    _print_nodes(view, call)
    _print_streams(view, call, every=options.streams)
    if options.opinions:
        _print_opinions(view, call)
    if options.loss:
        _print_loss(view, options.loss, call)
    if len(view.parts) == 1 and not view.attached:
        call.note("add a node: " + ", then there: ".join(_lesson()))


def _print_votes(view: Topology, call: Call) -> None:
    quorum = view.cluster.quorum
    margin = f"margin {view.margin}" if view.margin >= 0 else "NO QUORUM"
    if view.attached:
        call.line("  store attached; its votes, leader and routes are unknown here")
    else:
        call.line(f"  quorum {quorum.have} of {quorum.need} needed, {margin}")
    lose = view.cluster.tolerates
    words = "no node may be lost" if lose == 0 else f"{lose} may be lost at once"
    keeper = clean(view.cluster.controller or "nobody")
    copies = view.cluster.replicas
    noun = "copy" if copies == 1 else "copies"
    call.line(f"  {copies} {noun} of everything, {words}; controller {keeper}")


def _print_nodes(view: Topology, call: Call) -> None:
    call.table(
        ("NODE", "STATE", "HEALTH", "SEEN AS", "ROLE", "AGENTS", "LEADS", "LAG", "RTT",
         "URL"),
        [_row(part) for part in view.parts],
        empty="no nodes",
    )  # fmt: skip


def _row(part: Part) -> tuple[str | Cell, ...]:
    node: Node = part.node
    seen, style = seen_words(part)
    role = f"{node.role}, controller" if part.controller else node.role
    lag = str(part.lag) if part.lag or not part.behind else "behind"
    return (
        node.name,
        Cell(node.state, state_style(node.state)),
        Cell(node.health, state_style(node.health)),
        Cell(seen, _STYLES.get(style, "good")),
        role,
        str(node.agents),
        str(len(part.leads)),
        Cell(lag, "warn" if part.behind else None),
        Cell(
            "-" if part.rtt_ms is None else f"{part.rtt_ms:.1f} ms",
            "warn" if part.slow else None,
        ),
        node.url,
    )


def _print_streams(view: Topology, call: Call, *, every: bool) -> None:
    streams = view.cluster.streams
    wrong = troubled(streams)
    if not streams:
        return
    call.line()
    shown = sorted(streams, key=lambda one: one.name) if every else wrong[:_MANY]
    if shown:
        call.table(
            ("STREAM", "LEADER", "COPIES"), [_place(one) for one in shown], empty=""
        )
    well = len(streams) - len(wrong)
    call.line(f"{well} of {len(streams)} streams have a leader and every copy in step")


def _place(stream: StreamPlace) -> tuple[str | Cell, ...]:
    late = {one.node for one in behind(stream)}
    copies = ", ".join(
        f"{one.node} (away)" if one.offline
        else f"{one.node} ({one.lag} behind)" if one.node in late
        else one.node
        for one in sorted(stream.replicas, key=lambda one: one.node)
    )  # fmt: skip
    leader = Cell("none: writes wait", "bad") if not stream.leader else stream.leader
    return (stream.name, leader, Cell(copies, "warn" if late else None))


def _print_opinions(view: Topology, call: Call) -> None:
    for part in view.parts:
        call.line()
        call.line(clean(part.name), "bold")
        for one in (*part.seen.doubts, *part.seen.trusts):
            call.line(f"  {said_of(one)}", "warn" if one in part.seen.doubts else None)
        if not part.seen.doubts and not part.seen.trusts:
            call.line("  nobody else says anything of it", "dim")


def _print_loss(view: Topology, name: str, call: Call) -> None:
    told = loss(view, (), name)
    call.line()
    if told is None:
        call.note(f"there is no node {name}")
        return
    call.line(f"{clean(told.node)} is down" if told.down else f"If {told.node} stops")
    for one in loss_sentences(told):
        call.line(f"  {one.text}", _STYLES.get(one.style))


def _lesson() -> tuple[str, str]:
    """The two commands that add a node."""
    here, there = (one.text.split(maxsplit=1)[1] for one in growing(1)[2:])
    return here, there
