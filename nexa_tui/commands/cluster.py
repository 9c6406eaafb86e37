"""`nexa cluster status`: one verdict, and the nodes."""

from nexa_node.contract.nodes import Cluster
from nexa_tui.commands.arguments import Parser, choose_verb
from nexa_tui.commands.output import EXIT_FAILED, Call, Cell, clean, state_style
from nexa_tui.commands.reach import add_target_options, reach


def run(arguments: list[str], call: Call) -> int:
    """Show the cluster; exit 1 when it is unhealthy."""
    _, rest = choose_verb("cluster", arguments, ("status",), default="status")
    parser = Parser("cluster status", "The cluster, its verdict and its nodes.")
    add_target_options(parser)
    options = parser.parse_args(rest)
    with reach(options, call) as node:
        cluster = node.get("/v1/cluster", Cluster)
    if options.json:
        call.json(cluster)
    else:
        _print(cluster, call)
    return EXIT_FAILED if cluster.verdict == "unhealthy" else 0


def _print(cluster: Cluster, call: Call) -> None:
    call.line(f"{cluster.name} is {cluster.verdict}", state_style(cluster.verdict))
    for reason in cluster.reasons:
        call.line(f"  {clean(reason)}")
    call.line(f"  quorum {cluster.quorum.have} of {cluster.quorum.need} needed")
    call.line()
    call.table(
        ("NODE", "STATE", "HEALTH", "ROLE", "AGENTS", "RTT", "URL"),
        [
            (
                node.name,
                Cell(node.state, state_style(node.state)),
                Cell(node.health, state_style(node.health)),
                node.role,
                str(node.agents),
                "-" if node.rtt_ms is None else f"{node.rtt_ms:.1f} ms",
                node.url,
            )
            for node in cluster.nodes
        ],
        empty="no nodes",
    )
